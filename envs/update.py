"""Write every version that pyproject.toml does not choose itself: its constraint list, envs/requirements.txt with hashes, and the list for conda
in envs/environment.yaml: Snakemake copies that file before conda reads it, so it cannot name another one beside it.

python envs/update.py            keep each version that is pinned already (after adding, dropping or moving a direct dependency)
python envs/update.py --upgrade  take the newest versions that fit the direct dependencies

uv resolves once for all supported systems and Pythons with one version per package; its lock file records where the packages were
downloaded from, so it stays out of the repository and is made again from these pins on first use.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXPORT = (
    "export",
    "--frozen",
    "--all-groups",
    "--all-extras",
    "--no-header",
    "--no-annotate",
    "--no-emit-project",
    "--format",
    "requirements-txt",
)
CONDA = ROOT / "envs" / "environment.yaml"
PIP = re.compile(r"(?<=  - pip:\n)( +- .*\n)+")
PYPROJECT, REQUIREMENTS = ROOT / "pyproject.toml", ROOT / "envs" / "requirements.txt"
CONSTRAINTS = re.compile(r"^constraint-dependencies = \[\n.*?^\]$", re.MULTILINE | re.DOTALL)
HEADER = (
    "# Every version with its hashes: pip install --require-hashes -r requirements.txt. Written by envs/update.py from pyproject.toml.\n"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upgrade", action="store_true", help="forget the pinned versions of everything indirect")
    project = PYPROJECT.read_text(encoding="utf-8")
    start = with_constraints(project, []) if parser.parse_args().upgrade else project
    with tempfile.TemporaryDirectory() as folder:
        project = with_constraints(project, indirect(project, lock(Path(folder), start)))
        lock(Path(folder), project)  # again, so that the export is of the constrained project
        requirements = HEADER + uv(Path(folder), *EXPORT)
    PYPROJECT.write_text(project, encoding="utf-8")
    REQUIREMENTS.write_text(requirements, encoding="utf-8")
    CONDA.write_text(for_conda(CONDA.read_text(encoding="utf-8"), requirements), encoding="utf-8")
    return 0


def for_conda(environment: str, requirements: str) -> str:
    """The text of environment.yaml with the versions of requirements.txt, without their hashes."""
    pins = [line.removesuffix(" \\") for line in requirements.splitlines() if line and line[0] not in "# "]
    return PIP.sub("".join(f'      - "{pin}"\n' for pin in pins), environment)


def with_constraints(project: str, pins: list[str]) -> str:
    """The text of pyproject.toml with this constraint list."""
    block = "".join(["constraint-dependencies = [\n", *(f'  "{pin}",\n' for pin in pins), "]"])
    return CONSTRAINTS.sub(lambda _: block, project, count=1)


def lock(folder: Path, project: str) -> dict[str, str]:
    """Version of each package that uv chooses for this pyproject.toml."""
    (folder / "pyproject.toml").write_text(project, encoding="utf-8")
    (folder / "uv.lock").unlink(missing_ok=True)
    uv(folder, "lock", "--fork-strategy", "fewest")
    packages = tomllib.loads((folder / "uv.lock").read_text(encoding="utf-8"))["package"]
    found = {package["name"]: package["version"] for package in packages}
    if len(found) < len(packages):
        sys.exit("error: no single version of each package fits all supported Pythons: pin an older direct dependency")
    return found


def indirect(project: str, versions: dict[str, str]) -> list[str]:
    """`name==version` of everything but the project itself and its direct dependencies, sorted."""
    table = tomllib.loads(project)
    direct = {pin.partition("==")[0] for pin in [*table["project"]["dependencies"], *table["dependency-groups"]["dev"]]}
    return [f"{name}=={version}" for name, version in sorted(versions.items()) if name not in direct | {table["project"]["name"]}]


def uv(folder: Path, *words: str) -> str:
    """What a uv command prints; its own message and a non-zero exit if it fails."""
    program = os.environ.get("UV") or shutil.which("uv")
    if not program:
        sys.exit("error: uv is not installed: pip install uv")
    done = subprocess.run([program, *words, "--project", str(folder)], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{done.stderr.strip()}\nerror: uv {words[0]} failed; if a pinned version stands in the way, try --upgrade")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
