"""Writes a line of pins/equivalent_edits.csv: the edit of a file since the last commit changes no result, and why."""

import ast
import csv
import subprocess
from pathlib import Path

from benchmark.pins import code
from benchmark.pins.code import EQUIVALENT, ROOT, shown
from benchmark.shared.errors import UserError
from benchmark.shared.files import replacing


def write_down(file: Path, why: str) -> str:
    """One more line; returns what was said. UserError: not a file of the project, not committed before, or its code has not changed."""
    path = file.resolve()
    if not why.strip():
        raise UserError("--why: say why the edit changes no result; a reviewer reads it")
    if not path.is_relative_to(ROOT) or not path.is_file():
        raise UserError(f"{file} is no file of this project")
    committed = subprocess.run(["git", "-C", str(ROOT), "show", f"HEAD:{shown(path)}"], capture_output=True, text=True)
    if committed.returncode:
        raise UserError(f"{shown(path)} is not in the last commit: a new file has nothing to be equivalent to")
    before, after = code.of_tree(ast.parse(committed.stdout)), code.of_tree(code.tree(path))
    if before == after:
        raise UserError(f"{shown(path)}: its code has not changed since the last commit (comments and docstrings do not count)")
    with EQUIVALENT.open(newline="", encoding="utf-8") as old:
        lines = [*csv.DictReader(old), {"file": shown(path), "before": before, "after": after, "why": why}]
    with replacing(EQUIVALENT) as new:
        writer = csv.DictWriter(new, ["file", "before", "after", "why"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return f"{shown(path)}: {after} counts as {before}. Commit {shown(EQUIVALENT)} with the edit."
