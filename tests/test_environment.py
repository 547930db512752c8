"""The pins agree wherever they are written, name no place to download from, and cover what the code imports."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib

import pytest
import yaml

from benchmark.pins.kinds import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DIRECT = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]
INDIRECT = PROJECT["tool"]["uv"]["constraint-dependencies"]
REQUIREMENTS = (ROOT / "envs" / "requirements.txt").read_text(encoding="utf-8")
CONDA = yaml.safe_load((ROOT / "envs" / "environment.yaml").read_text(encoding="utf-8"))
CONTAINER = (ROOT / "envs" / "Containerfile").read_text(encoding="utf-8")

PIN = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*)==([0-9][0-9a-z.]*)")
IMPORTED_AS = {"PIL": "pillow", "yaml": "pyyaml", "sklearn": "scikit-learn", "vl_convert": "vl-convert-python"}
OPTIONAL = {  # where it lacks, one line says so
    "aedat",  # what tonic decodes .aedat4 with and does not require
    "coverage",  # of tests/mutants.py, which is run by hand
    "triton",  # kernels for GPUs, which come with torch on Linux
}
OURS = {"benchmark", "methods", "tests", "conftest", *(path.stem for path in (ROOT / "tests").glob("*.py"))}
ADDRESSES = ["pypi" + ".org", "files.python" + "hosted", "index" + "-url", "find" + "-links", "anaconda" + ".org", "docker" + ".io"]


def versions(pins):
    """Package name -> version of `name==version` pins."""
    return dict(pin.split("==") for pin in pins)


def normal(name):
    """A package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def committed():
    """Files that git would commit."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return sorted({ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()})


# ---- the pins agree


@pytest.mark.parametrize("pin", [*DIRECT, *INDIRECT])
def test_pins_are_exact(pin):
    assert PIN.fullmatch(pin)


def test_indirect_pins_are_sorted_single_and_not_direct():
    names = [pin.partition("==")[0] for pin in INDIRECT]
    assert names == sorted(set(names))
    assert not set(names) & set(versions(DIRECT))


def test_requirements_are_the_pins_with_hashes():
    entries = [line for line in REQUIREMENTS.replace("\\\n", " ").splitlines() if not line.startswith("#")]
    found = {}
    for entry in entries:
        pin, *hashes = re.split(r"\s+--hash=", entry.strip())
        assert hashes, entry
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), entry
        name, version = PIN.match(pin).groups()
        assert found.setdefault(name, version) == version, f"two versions of {name}"
    assert found == versions([*DIRECT, *INDIRECT]), "run: python envs/update.py"


def test_requirements_are_for_every_supported_python():
    lowest = PROJECT["project"]["requires-python"]
    assert lowest == ">=3.11"
    assert not re.search(r"^(numpy|torch)==.*python_(full_)?version", REQUIREMENTS, re.MULTILINE)


def test_conda_and_container_install_the_requirements():
    (python,) = [item for item in CONDA["dependencies"] if str(item).startswith("python=")]
    (pip,) = [item["pip"] for item in CONDA["dependencies"] if isinstance(item, dict)]
    entries = re.findall(r"^(\S.*==.*?) \\$", REQUIREMENTS, re.MULTILINE)
    assert pip == entries and len(entries) > 100, "run: python envs/update.py"  # no -r: Snakemake copies the file to another folder
    assert CONDA["name"] == PROJECT["project"]["name"]
    assert f"FROM python:{python.removeprefix('python=')}-slim" in CONTAINER
    assert "COPY envs/requirements.txt" in CONTAINER
    assert "--require-hashes -r /tmp/requirements.txt" in CONTAINER


def test_the_running_environment_is_the_pinned_one():
    installed = {normal(each.metadata["Name"]): each.version for each in importlib.metadata.distributions()}
    pinned = versions([*DIRECT, *INDIRECT])
    assert set(versions(DIRECT)) <= set(installed)
    assert not {name: (version, pinned[name]) for name, version in installed.items() if pinned.get(name, version) != version.split("+")[0]}


def test_one_version_of_the_project():
    version = PROJECT["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == version
    assert version in re.search(r"^## .*$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE).group()


# ---- no address of a registry


def test_no_committed_file_names_a_registry():
    for path in committed():
        data = path.read_bytes()
        named = [address for address in ADDRESSES if address.encode() in data]
        assert not named, f"{path.relative_to(ROOT)}: {named}"


def test_requirements_and_project_hold_no_address():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert not [text for text in (REQUIREMENTS, project) if re.search(r"https?:|file:|^--", text, re.MULTILINE)]


def test_the_lock_file_is_not_committed():
    """It records where every package was downloaded from."""
    assert ROOT / "uv.lock" not in committed()


# ---- what the code imports


def imported(path):
    """Top-level names that a file imports; a workflow file is no Python, so its import lines are read as text."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return set(re.findall(r"^\s*(?:from|import)\s+(\w+)", text, re.MULTILINE))
    nodes = list(ast.walk(ast.parse(text, str(path))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return {name.partition(".")[0] for name in names}


def test_every_import_is_a_direct_dependency():
    files = [path for path in committed() if path.suffix in (".py", ".smk") or path.name == "Snakefile"]
    direct = set(versions(DIRECT))
    for path in files:
        compared = {"syops", "neurobench"} if path.parent.name == "timing" else set()  # measured beside ours where somebody has them
        foreign = imported(path) - OURS - OPTIONAL - compared - set(sys.stdlib_module_names)
        lacking = {name for name in foreign if IMPORTED_AS.get(name, normal(name)) not in direct}
        assert not lacking, f"{path.relative_to(ROOT)} imports {lacking}"


def test_the_suite_does_not_need_its_tests_tools():
    """What the workflow itself imports is in the project's dependencies, not only in the dev group."""
    runtime = set(versions(PROJECT["project"]["dependencies"]))
    for path in committed():
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in ("benchmark", "methods") and path.parent.name != "timing":
            foreign = imported(path) - OURS - OPTIONAL - set(sys.stdlib_module_names)
            assert {IMPORTED_AS.get(name, normal(name)) for name in foreign} <= runtime, path
