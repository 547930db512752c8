"""Commands: `python -m benchmark status [table]` for people, the others for the workflow's rules."""

import argparse
import json
import os
import sys
from pathlib import Path

import yaml

from benchmark.pins import published
from benchmark.pins.settings import check_directory, settings
from benchmark.reports import figures, tables
from benchmark.runs import lines as ledger
from benchmark.shared.errors import UserError, unknown
from benchmark.shared.files import write_csv
from benchmark.workflow import warm


def main(words: list[str] | None = None) -> int:
    """Run one command; 2 and one line on stderr for a user's mistake."""
    words = sys.argv[1:] if words is None else words
    arguments = parser().parse_args(words)
    arguments.words = words
    try:
        return arguments.command(arguments) or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m benchmark", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="command")

    status_ = commands.add_parser("status", help="which cells are done, running, missing or failed")
    status_.add_argument("table", nargs="*", help="tables (default: all with a recipe)")
    status_.set_defaults(command=status)
    table_ = commands.add_parser("table", help="write a table or figure from the runs that exist so far, the rest marked `not run`")
    table_.add_argument("table")
    table_.set_defaults(command=table)
    claims_ = commands.add_parser("claims", help="whether the runs that exist so far support each `A beats B by x` of the papers")
    claims_.set_defaults(command=claims)
    for command in (status_, table_, claims_):
        command.add_argument("--config", nargs="*", default=[], metavar="key=value", help="as for snakemake: scale=paper seeds=3")
        command.add_argument("--directory", type=Path, help="working directory of the scale (default: its own)")

    run_ = commands.add_parser("run", help="train and measure one run (called by the workflow)")
    which = run_.add_mutually_exclusive_group(required=True)
    which.add_argument("--cell", help="id of a cell that some table needs under the configuration in SPIKELEDGER_CONFIG")
    which.add_argument("--spec", type=json.loads, help="or a resolved specification as JSON")
    run_.add_argument("--seed", type=int, required=True)
    run_.add_argument("--out", type=Path, required=True)
    run_.add_argument("--upstream", nargs="*", default=[], metavar="role=weights")
    run_.add_argument("--data-root", type=Path, default=Path(os.environ.get("SPIKELEDGER_DATA_ROOT", "data")))
    run_.add_argument("--device", default=os.environ.get("SPIKELEDGER_DEVICE", "auto"))
    run_.add_argument("--threads", type=int, default=1)
    run_.set_defaults(command=run)

    surface_ = commands.add_parser("surface", help="the loss around a run's weights (called by the workflow)")
    surface_.add_argument("--run", type=Path, required=True, help="folder of a finished run")
    surface_.add_argument("--points", type=int, required=True, help="of each side of the grid")
    surface_.add_argument("--images", type=int, required=True, help="training images that the loss is taken over")
    surface_.add_argument("--data-root", type=Path, default=Path(os.environ.get("SPIKELEDGER_DATA_ROOT", "data")))
    surface_.add_argument("--device", default=os.environ.get("SPIKELEDGER_DEVICE", "auto"))
    surface_.add_argument("--threads", type=int, default=1)
    surface_.set_defaults(command=surface)

    warm_ = commands.add_parser("warm", help="serve runs by forks of a process that has imported everything (started by the workflow)")
    warm_.add_argument("--socket", type=Path, required=True)
    warm_.set_defaults(command=lambda a: warm.serve(a.socket))

    download_ = commands.add_parser("download", help="fetch a data set that torchvision can fetch, with its checksum")
    download_.add_argument("dataset")
    download_.add_argument("--data-root", type=Path, default=Path("data"))
    download_.set_defaults(command=download)

    published_ = commands.add_parser("published", help="write every pinned number into one CSV")
    published_.add_argument("--out", type=Path, default=Path("results/published.csv"))
    published_.set_defaults(command=lambda a: write_csv(a.out, [vars(number) for number in published.numbers()]))
    coverage_ = commands.add_parser("coverage", help="for every printed row: implemented, run at which scale, verdict")
    coverage_.add_argument("--out", type=Path, default=Path("results/coverage.csv"))
    coverage_.set_defaults(command=coverage)
    audit_ = commands.add_parser("audit", help="what the papers' own numbers say about each other")
    audit_.add_argument("--out", type=Path, default=Path("results/audit.csv"))
    audit_.set_defaults(command=audit)
    structure_ = commands.add_parser("structure", help="parameters and operations of every pinned network, beside the printed ones")
    structure_.add_argument("--out", type=Path, default=Path("results/structure.csv"))
    structure_.set_defaults(command=structure)
    return top


def chosen_settings(pairs: list[str]):
    """Settings from key=value words, values as YAML."""
    for pair in pairs:
        if "=" not in pair:
            raise UserError(f"--config {pair}: write key=value")
    return settings({key: yaml.safe_load(value) for key, _, value in (pair.partition("=") for pair in pairs)})


def home(arguments, chosen) -> Path:
    """The working directory of a scale. UserError for another scale's."""
    directory = arguments.directory or (Path() if chosen.scale == "smoke" else Path("work") / chosen.scale)
    check_directory(chosen.scale, directory)
    return directory


def status(arguments) -> None:
    """One line per run, then the counts."""
    chosen = chosen_settings(arguments.config)
    root, names = home(arguments, chosen), arguments.table or list(published.tables())
    entries = [entry for name in names for entry in ledger.lines(name, chosen)]
    lacking = sum(bool(entry.lacking) for entry in entries)
    asked = sum(len(run.resolved.with_upstream()) for entry in entries for run in entry.runs)
    counts, found = dict.fromkeys(ledger.STATES, 0), ledger.runs(names, chosen)
    for folder, run in found.items():
        state = run.state(root)
        counts[state] += 1
        if arguments.table or state != "missing":
            print(f"{state:8} {folder}/metrics.json  {run.progress(root)}".rstrip())
    summary = ", ".join(f"{count} {state}" for state, count in counts.items())
    print(f"{asked} runs asked for, {len(found)} distinct, at scale {chosen.scale} in {root.resolve().name}: {summary}")
    print(f"{lacking} of {len(entries)} lines not implemented")


def table(arguments) -> None:
    """The table, under its own name once all runs are done, else as <table>.partial.csv: the workflow would take it for the whole."""
    chosen = chosen_settings(arguments.config)
    root, name = home(arguments, chosen), arguments.table
    print((figures if name in published.figures() else tables).write(name, chosen, root))
    if any(run.state(root) != "done" for run in ledger.runs([name], chosen).values()):
        for suffix in (".csv", ".md", ".meta.json"):
            if (made := root / "results" / f"{name}{suffix}").exists():
                made.replace(root / "results" / f"{name}.partial{suffix}")


def claims(arguments) -> None:
    """The claims, as claims.partial while a run that decides one is not done."""
    from benchmark.reports import claim_verdicts as evidence
    from benchmark.reports import claims as claiming

    chosen = chosen_settings(arguments.config)
    root = home(arguments, chosen)
    done = all(run.state(root) == "done" for run in claiming.runs(chosen).values())
    name = "claims" if done else "claims.partial"
    print(evidence.write(chosen, root, name), root / "results" / f"{name}.md")


def run(arguments) -> int | None:
    """Train and measure; in a fork of the workflow's warm process where there is one."""
    if (status := warm.ask(arguments.words)) is not None:
        return status
    from benchmark.training.run import run as run_one

    upstream = {role: Path(path) for role, _, path in (pair.partition("=") for pair in arguments.upstream)}
    spec = spec_of(arguments.cell) if arguments.spec is None else arguments.spec
    metrics = run_one(spec, arguments.seed, arguments.out, upstream, arguments.data_root, arguments.device, arguments.threads)
    print(
        f"{metrics['accuracy']:6.2f} % (best {metrics['accuracy_best']:.2f})  {arguments.out.parent.name}"
        f"  seed {arguments.seed}  {metrics['seconds']:.1f} s  on {metrics['data']}"
    )


def spec_of(cell: str) -> dict:
    """The specification behind a cell's id; the id is its hash, so it is the very one that the workflow asked for."""
    chosen = settings(json.loads(os.environ.get("SPIKELEDGER_CONFIG", "{}")))
    found = {run.resolved.id: run.resolved.spec for run in ledger.runs([*published.tables(), *published.figures()], chosen).values()}
    if cell not in found:
        raise unknown("cell", cell, found)
    return found[cell]


def surface(arguments) -> None:
    from benchmark.training import surface as surrounding

    a = arguments
    surrounding.write(a.run, a.points, a.images, a.data_root, a.device, a.threads)


def download(arguments) -> None:
    import importlib

    from benchmark.pins import kinds as catalogue

    _, file = catalogue.dataset(arguments.dataset)
    module = importlib.import_module(f"benchmark.datasets.{file.path.stem}")
    if not hasattr(module, "download"):
        raise UserError(f"{arguments.dataset} cannot be fetched automatically; see {file.path.name}")
    print(f"{arguments.dataset} is in {module.download(arguments.dataset, arguments.data_root)}")


def coverage(arguments) -> None:
    from benchmark.pins import kinds as catalogue
    from benchmark.reports import implemented as covering

    print(covering.write(arguments.out, catalogue.ROOT))


def audit(arguments) -> None:
    from benchmark.reports import audit as auditing

    auditing.write(arguments.out, arguments.out.with_suffix(".md"))


def structure(arguments) -> None:
    from benchmark.measuring.structure import structure as count
    from benchmark.reports import structure as comparing

    comparing.write(arguments.out, lambda *which: count(*comparing.network(*which)))
