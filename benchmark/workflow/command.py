"""Commands: `python -m benchmark status [table]` for people, the others for the workflow's rules."""

import argparse
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

from benchmark.pins import code, kinds, published, texts
from benchmark.pins.settings import check_directory, settings
from benchmark.reports import costs
from benchmark.runs import lines
from benchmark.runs.run import STATES
from benchmark.shared.errors import UserError, in_one_line
from benchmark.shared.files import write_csv
from benchmark.workflow import equivalent, jobs, warm
from benchmark.workflow.arguments import Parser, existing, folder, from_on, positive, rate, threads, unwritable, writable


def main(words: list[str] | None = None) -> int:
    """Run one command; 2 and one line on stderr for a user's mistake."""
    words = sys.argv[1:] if words is None else words
    try:
        arguments = parser().parse_args(words)
        arguments.words = words
        ended = arguments.command(arguments) or 0
        sys.stdout.flush()
        return ended
    except UserError as error:
        return mistake(str(error))
    except BrokenPipeError:  # who reads has enough, like `head`; what is left in the buffer goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.filename is None:
            raise
        return mistake(f"{error.filename}: {error.strerror}: nothing can be read from or written there")


def mistake(said: str) -> int:
    """One line on stderr; the exit status of a user's mistake."""
    print(f"error: {' '.join(said.splitlines())}", file=sys.stderr)
    return 2


def parser() -> argparse.ArgumentParser:
    top = Parser(prog="python -m benchmark", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="command")

    def command(name: str, function, about: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about)
        made.set_defaults(command=function)
        return made

    status_ = command("status", status, "which cells are done, running, stopped, missing, damaged or failed")
    status_.add_argument("table", nargs="*", help="tables (default: all)")
    status_.add_argument(
        "--watch",
        type=rate,
        nargs="?",
        const=5.0,
        metavar="SECONDS",
        help="again every so often (default: 5 s) until nothing is left to run",
    )
    table_ = command("table", table, "write a table or figure from the runs that exist so far, the rest marked `not run`")
    table_.add_argument("table")
    cost_ = command("cost", cost, "what a table's runs come to in images, operations and hours, before any of them starts")
    cost_.add_argument("table")
    cost_.add_argument(
        "--throughput", type=rate, metavar="MAC/S", help="multiply-accumulates per second of your device (default: measured)"
    )
    for one in (status_, table_, cost_):
        one.add_argument("--row", type=positive, help="of this printed row alone (of a table that is printed, not written)")
        one.add_argument("--dataset", default="", help="of this data set, as printed")
        one.add_argument("--method", default="", help="of this method: as in methods/, or a part of its printed name")
    claims_ = command("claims", claims, "whether the runs that exist so far support each `A beats B by x` of the papers")
    evidence_ = command("evidence", evidence, "write what the finished runs came to, with their provenance, into a folder to be committed")
    evidence_.add_argument("--out", type=Path, help="the folder (default: results/reference/<scale>)")
    evidence_.add_argument("--keep", action="store_true", help="keep what an earlier call wrote there of runs that are not here")
    compare_ = command("compare", compare, "run a table's cells with a method of one's own and write its rows below the printed ones")
    compare_.add_argument("method", help="a file of methods/")
    compare_.add_argument("--table", required=True)
    compare_.add_argument("--cores", type=positive, default=2)
    import_ = command("import", import_runs, "take the finished runs of another machine's working directory, each after it was checked")
    import_.add_argument("source", type=Path, help="a working directory: it holds runs/")
    import_.add_argument("--origin", default="", help="who made them, as tables' .meta.json will say (default: the directory's name)")
    reference_ = command("reference", reference, "write a table of our networks on real recordings from its finished runs")
    reference_.add_argument("table")
    reference_.add_argument("--directory", type=existing, default=Path(), help="working directory of its runs")
    report_ = command("report", report, "write results/report.html, one page to look at, from the runs that exist")
    obtained_ = command(
        "obtained", obtained, "write obtained.csv, every number that runs gave, and disagreements.csv, those unlike the printed"
    )
    curves_ = command("curves", curves, "write the learning curves of a table's runs as TensorBoard logs")
    curves_.add_argument("table")
    curves_.add_argument("--out", type=Path, help="folder of the logs (default: results/curves of the working directory)")
    look_ = command("look", look, "before the first job: data, device, hours (called by the workflow where a run takes hours)")
    look_.add_argument("runs", nargs="+", help="folders of runs, runs/<id>/seed<n>")
    look_.add_argument("--elsewhere", action="store_true", help="the runs go to other machines: this one's device says nothing")
    export_ = command("export", export, "print a table for one's own paper: printed beside obtained, from the runs that exist")
    export_.add_argument("table")
    export_.add_argument("--format", default="markdown", metavar="latex|markdown|csv|bibtex|model-index")
    for one in (status_, table_, cost_, claims_, evidence_, compare_, import_, report_, obtained_, curves_, look_, export_):
        one.add_argument("--config", nargs="*", default=[], metavar="key=value", help="as for snakemake: scale=paper seeds=3")
        one.add_argument("--directory", type=existing, help="working directory of the scale (default: its own)")

    run_ = command("run", jobs.run, "train and measure one run (called by the workflow)")
    run_.add_argument("cell", help="id of a cell whose specification lies in runs/.specs")
    run_.add_argument("--seed", type=from_on(0), required=True)
    run_.add_argument("--devices", type=from_on(0), default=1, metavar="N", help="that share its training (default: one)")
    run_.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs")
    surface_ = command("surface", jobs.surface, "the loss around a run's weights (called by the workflow)")
    surface_.add_argument("--run", type=Path, required=True, help="folder of a finished run")
    surface_.add_argument("--points", type=positive, required=True, help="of each side of the grid")
    surface_.add_argument("--images", type=positive, required=True, help="training images that the loss is taken over")
    pictures_ = command("pictures", jobs.pictures, "draw what a finished run makes of test images: masked ones filled in by a pre-training")
    pictures_.add_argument("run", type=Path, help="folder of a finished run whose method keeps its trained parts")
    pictures_.add_argument("--out", type=writable, help="<out>.png and <out>.csv (default: pictures.* in that folder)")
    pictures_.add_argument("--images", type=positive, default=100, help="test images, of which some are drawn and all measured")
    for one in (run_, surface_, pictures_):
        one.add_argument("--data-root", type=folder, default=Path(os.environ.get("SPIKELEDGER_DATA_ROOT", "data")))
        one.add_argument("--device", default=os.environ.get("SPIKELEDGER_DEVICE", "auto"))
        neurons = os.environ.get("SPIKELEDGER_NEURONS", "auto")
        one.add_argument("--neurons", default=neurons, help="what runs leaky neurons: auto, torch, numba, triton or spikingjelly")
    network_ = command("network", jobs.network, "count a network at paper size (called by the workflow)")
    network_.add_argument("backbone")
    network_.add_argument("dataset", help="as printed")
    for one in (run_, surface_, pictures_, network_):
        one.add_argument("--threads", type=threads, default=1, help="at most as many as there are cores")
    warm_ = command("warm", lambda a: warm.serve(a.socket, main), "serve runs by forks of a process that has imported everything")
    warm_.add_argument("--socket", required=True, help="its name")

    download_ = command("download", download, "fetch a data set that torchvision can fetch, with its checksum")
    download_.add_argument("dataset")
    download_.add_argument("--data-root", type=folder, default=Path("data"))
    cache_ = command("cache", cache, "how much the kept frames of event recordings take, and to remove them")
    cache_.add_argument("--clean", action="store_true", help="remove all but what a job is making right now")
    draw_ = command("draw", draw, "draw frames of an event set, a line for each recording, on red, off blue")
    draw_.add_argument("dataset", help="a stand-in, or a data set some of whose recordings lie in the data root")
    draw_.add_argument("--out", type=writable, required=True, help="the picture, x.png")
    draw_.add_argument("--steps", type=positive, default=10, help="frames of a recording")
    draw_.add_argument("--lines", type=positive, default=11, help="recordings at most")
    draw_.add_argument("--augment", default="", help="a policy of recipe key event_augment")
    for one in (cache_, draw_):
        one.add_argument("--data-root", type=folder, default=Path(os.environ.get("SPIKELEDGER_DATA_ROOT", "data")))
    same_ = command("same-result", same_result, "write down that the edit of a file since the last commit changes no result")
    same_.add_argument("file", type=Path)
    same_.add_argument("--why", required=True, help="why it changes none; a reviewer reads it")

    written = {
        "published": (every_pin, "write every pinned number into one CSV"),
        "coverage": (coverage, "for every printed row: implemented, run at which scale, verdict"),
        "audit": (audit, "what the papers' own numbers say about each other"),
        "structure": (structure, "parameters and operations of every pinned network, beside the printed ones"),
    }
    for name, (function, about) in written.items():
        command(name, function, about).add_argument("--out", type=writable, default=Path(f"results/{name}.csv"))
    network_.add_argument("--out", type=writable, required=True)
    return top


def chosen_settings(pairs: list[str]):
    """Settings from key=value words, values as YAML."""
    found = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not (key and sign):
            raise UserError(f"--config {pair}: write key=value, the value as YAML")
        if key in found:
            raise UserError(f"--config {pair}: '{key}' is said twice")
        found[key] = texts.value(value, f"--config {pair}")
    return settings(found)


def home(arguments, chosen, writes: str = "") -> Path:
    """The working directory of a scale. UserError for another scale's, or one where the file results/<writes> cannot be written."""
    directory = arguments.directory or (Path() if chosen.scale == "smoke" else Path("work") / chosen.scale)
    check_directory(chosen.scale, directory)
    if writes and (why := unwritable(directory / "results" / writes)):
        raise UserError(why)
    return directory


# ---- for people


def status(arguments) -> None:
    """One line per run, then the counts; with --watch again and again while a run may still come to its end."""
    chosen = chosen_settings(arguments.config)
    root = home(arguments, chosen)
    if arguments.table:
        made, broken = {name: lines.of_table(name, chosen) for name in arguments.table}, {}
    else:
        made, broken = lines.made(list(published.tables()), chosen)
    entries = picked(arguments, [entry for entries in made.values() for entry in entries])
    with suppress(KeyboardInterrupt):
        while overview(entries, broken, chosen.scale, root, every=bool(arguments.table)) and arguments.watch:
            time.sleep(arguments.watch)
            print(CLEARED if sys.stdout.isatty() else "")


CLEARED = "\033[H\033[2J"  # an empty screen


def overview(entries: list, broken: dict, scale: str, root: Path, every: bool) -> int:
    """Print a line for each run, `every` one or all but those that are missing, and the counts; returns how many are left to run."""
    counts, found = dict.fromkeys(STATES, 0), lines.behind(entries)
    for place, run in found.items():
        state = run.state(root)
        counts[state] += 1
        if every or state != "missing":
            print(f"{state:8} {place}/metrics.json  {run.progress(root)}".rstrip())
    for name, error in broken.items():
        print(f"broken   {name}: {error}")
    asked = sum(len(run.resolved.with_upstream()) for entry in entries for run in entry.runs)
    summary = ", ".join(f"{count} {state}" for state, count in counts.items())
    left = costs.time_left(list(found.values()), root)
    print(f"{asked} runs asked for, {len(found)} distinct, at scale {scale} in {root.resolve().name}: {summary}" + (left and f"; {left}"))
    lacking = sum(bool(entry.lacking) for entry in entries)
    print(f"{lacking} of {len(entries)} lines cannot run; results/coverage.csv says why", flush=True)
    return sum(counts[state] for state in ("running", "stopped", "missing"))


def cost(arguments) -> None:
    """One line per run, then what they come to; networks that nobody has counted yet are counted first."""
    chosen = chosen_settings(arguments.config)
    root = home(arguments, chosen)
    runs = lines.behind(picked(arguments, lines.of_table(arguments.table, chosen)))
    print(costs.shown(costs.costs(list(runs.values()), root, partial(macs_of, root), arguments.throughput)))


@cache
def macs_of(root: Path, backbone: str, dataset: str) -> float:
    """Multiply-accumulates of one image and step at paper size: as a job of the workflow counted them, or counted now."""
    from benchmark.runs import structures

    return structures.macs(structures.read(root, backbone, dataset) or jobs.counted(backbone, dataset))


def picked(arguments, entries: list) -> list:
    """The lines that --row, --dataset and --method leave, all without them."""
    asked = (arguments.row, arguments.dataset, arguments.method)
    return entries if asked == (None, "", "") else lines.chosen(entries, *asked)


def table(arguments) -> None:
    """The table, under its own name once all runs are done, else as <table>.partial.csv: the workflow would take it for the whole."""
    from benchmark.reports import figures, tables

    chosen = chosen_settings(arguments.config)
    root, name = home(arguments, chosen, f"{arguments.table}.partial.csv"), arguments.table
    entries = lines.of_table(name, chosen)
    if len(wanted := picked(arguments, entries)) < len(entries):
        if name in published.figures():
            raise UserError(f"{name}: --row, --dataset and --method choose lines of tables, not of figures")
        return print(tables.part(name, chosen, root, wanted))
    whole = all(run.state(root) == "done" for run in lines.behind(entries).values())
    writer = figures if name in published.figures() else tables
    print(writer.write(name, chosen, root, name if whole else f"{name}.partial"))


def claims(arguments) -> None:
    """The claims, as claims.partial while a run that decides one is not done."""
    from benchmark.reports import claims as claiming

    chosen = chosen_settings(arguments.config)
    root = home(arguments, chosen, "claims.csv")
    whole = all(run.state(root) == "done" for run in claiming.runs(chosen).values())
    name = "claims" if whole else "claims.partial"
    print(claiming.write(chosen, root, name), root / "results" / f"{name}.md")


def evidence(arguments) -> None:
    """results/reference/<scale>/ from the runs that are done."""
    from benchmark.reports import evidence as written

    chosen = chosen_settings(arguments.config)
    root, out = home(arguments, chosen), arguments.out or code.ROOT / "results" / "reference" / chosen.scale
    if why := unwritable(out / "runs.csv"):
        raise UserError(why)
    print(written.write(chosen, root, out, arguments.keep))


def compare(arguments) -> int:
    """results/<table>.<method>.csv through the workflow, which also runs what the printed rows need."""
    method = arguments.method.replace("_", "-")
    name = f"{arguments.table}.{method}"
    chosen = chosen_settings([*arguments.config, f"compare={method}"])
    root = home(arguments, chosen)
    if lacking := [entry.lacking for entry in lines.of_table(name, chosen) if entry.lacking and entry.first.origin == "own"]:
        raise UserError(f"{name} cannot run: {lacking[0]}")
    words = ["--snakefile", code.ROOT / "Snakefile", "--directory", root, "--cores", arguments.cores]
    config = ["--config", *arguments.config, f"scale={chosen.scale}", f"compare={method}"]
    return subprocess.run([sys.executable, "-m", "snakemake", *map(str, words), *config, "--", f"results/{name}.csv"]).returncode


def import_runs(arguments) -> int:
    """One line per run that was offered; 1 if one was refused."""
    from benchmark.runs import imported

    chosen = chosen_settings(arguments.config)
    root = home(arguments, chosen)
    if arguments.source.resolve() == root.resolve():
        raise UserError(f"import {arguments.source}: this is the working directory itself, name another one")
    answers = imported.bring(arguments.source, root, chosen, arguments.origin)
    for answer in answers:
        print(f"{answer.word:12} {answer.folder}  {answer.why}".rstrip())
    return int(any(answer.word == "refused" for answer in answers))


def reference(arguments) -> None:
    from benchmark.reports import reference as referring

    print(referring.write(arguments.table, arguments.directory))


def report(arguments) -> None:
    """The page, from whatever runs exist; the rest is shown as not run."""
    from benchmark.reports import page

    chosen = chosen_settings(arguments.config)
    print(page.write(chosen, home(arguments, chosen, "report.html")))


def obtained(arguments) -> None:
    from benchmark.reports import obtained as joining

    chosen = chosen_settings(arguments.config)
    print(joining.write(chosen, home(arguments, chosen)))


def curves(arguments) -> None:
    from benchmark.reports import curves as logging

    chosen = chosen_settings(arguments.config)
    root = home(arguments, chosen)
    print(logging.write(arguments.table, chosen, root, arguments.out or root / "results" / "curves"))


def export(arguments) -> None:
    from benchmark.reports import export as exporting

    chosen = chosen_settings(arguments.config)
    print(exporting.exported(arguments.table, arguments.format, chosen, home(arguments, chosen)), end="")


def same_result(arguments) -> None:
    print(equivalent.write_down(arguments.file, arguments.why))


def download(arguments) -> None:
    from benchmark.networks.build import module_of

    _, file = kinds.dataset(arguments.dataset)
    module = module_of(file.file)
    if not hasattr(module, "download"):
        raise UserError(f"{arguments.dataset} cannot be fetched automatically; see {file.path.name}")
    try:
        print(f"{arguments.dataset} is in {module.download(arguments.dataset, arguments.data_root)}")
    except (OSError, RuntimeError) as error:
        if isinstance(error, (FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError)):
            raise
        said = in_one_line(error)
        raise UserError(f"{arguments.dataset} could not be fetched into {arguments.data_root} ({said}): is there a network?") from None


def cache(arguments) -> None:
    """Packs of frames and their size; with --clean they are removed."""
    from benchmark.datasets import _frame_cache

    folder = _frame_cache.place(arguments.data_root)
    packs = _frame_cache.held(folder)
    print(f"{folder}: {len(packs)} packs of frames, {sum(packs.values()) / 1e9:.3f} GB of {_frame_cache.limit() / 1e9:g}")
    if arguments.clean:
        print(f"{_frame_cache.clean(folder) / 1e9:.3f} GB are free again")


def draw(arguments) -> None:
    from benchmark.datasets import _draw

    a = arguments
    _draw.draw(a.dataset, a.data_root, a.out, a.steps, a.lines, a.augment)


# ---- for the workflow's rules


def look(arguments) -> int:
    """What stands before the first job; 2 if it had better not start."""
    from benchmark.workflow import looking

    chosen = chosen_settings(arguments.config)
    root = home(arguments, chosen)
    made, _ = lines.made([*published.tables(), *published.figures()], chosen)
    known = {str(folder): run for folder, run in lines.behind([entry for entries in made.values() for entry in entries]).items()}
    data_root = Path(os.environ.get("SPIKELEDGER_DATA_ROOT", chosen.data_root))
    runs = [known[folder] for folder in arguments.runs if folder in known]
    return looking.look(runs, chosen, root, data_root, partial(macs_of, root), arguments.elsewhere)


def every_pin(arguments) -> None:
    write_csv(arguments.out, [vars(number) for number in published.numbers()])


def coverage(arguments) -> None:
    from benchmark.reports import implemented

    print(implemented.write(arguments.out, code.ROOT))


def audit(arguments) -> None:
    from benchmark.reports import audit as auditing

    auditing.write(arguments.out, arguments.out.with_suffix(".md"))


def structure(arguments) -> None:
    from benchmark.reports import structure as counted

    counted.write(arguments.out, Path())
