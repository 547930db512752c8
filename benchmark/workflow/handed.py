"""What the workflow hands to its jobs: the specification of every cell, resolved once, in runs/.specs/<id>.json."""

import json
import os
from pathlib import Path

from benchmark.pins.cells import id_of
from benchmark.shared.errors import UserError
from benchmark.shared.files import replacing

FOLDER = ".specs"


def write(runs: Path, cells) -> None:
    """One file per cell; a file that is there has the same content, which its name says."""
    (runs / FOLDER).mkdir(parents=True, exist_ok=True)
    there = set(os.listdir(runs / FOLDER))
    for cell in cells:
        if f"{cell.id}.json" not in there:
            with replacing(runs / FOLDER / f"{cell.id}.json") as file:
                file.write(cell.json)


def read(runs: Path, cell: str) -> dict:
    """The specification of a cell. UserError: none was handed out, or the file is not what its name says."""
    path = runs / FOLDER / f"{cell}.json"
    try:
        spec = json.loads(path.read_text(encoding="utf-8"))
        found = id_of(spec)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: the workflow writes it; run snakemake from this directory") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}): delete it and run the workflow again") from None
    if found != cell:
        raise UserError(f"{path} is damaged (it holds {found}): delete it and run the workflow again")
    return spec
