"""Result tables: the printed rows joined with what their runs measured, as CSV, as provenance and to read. Never loads torch or pandas."""

import statistics
from collections import Counter
from dataclasses import replace
from pathlib import Path

from benchmark import metrics
from benchmark.pins import comparable
from benchmark.pins.settings import Settings
from benchmark.reports import break_even, comparison, provenance
from benchmark.reports.markdown import aligned, shown
from benchmark.reports.measured import Measured, shortened
from benchmark.runs import lines
from benchmark.runs.lines import Line
from benchmark.shared.files import replacing, write_csv, write_json


def build(table: str, settings: Settings, root: Path) -> list[dict]:
    """The table's lines as dictionaries with the same keys, from whatever runs exist so far."""
    return rows([Measured.of(line, root) for line in lines.of_table(table, settings)], settings.scale)


def rows(measured: list[Measured], scale: str) -> list[dict]:
    """One dictionary per line; `scale` is written down and decides nothing."""
    printed = dict.fromkeys(number.metric for each in measured for number in each.line.numbers)
    spreads = {metrics.metric(name).spread for name in printed}
    names = [name for name in printed if name not in spreads]
    measured = [replace(each, scratch=scratch_of(each, measured)) for each in measured]
    return [row(each, first_of(each, measured), names, scale) for each in measured]


def first_of(each: Measured, measured: list[Measured]) -> Measured:
    """The table's first line of this data set, which gains are over."""
    return next(other for other in measured if other.line.first.dataset == each.line.first.dataset)


def scratch_of(each: Measured, measured: list[Measured]) -> dict[int, dict]:
    """The runs that train the network of a line, for as many steps on the same data, from scratch: by the line of plain training."""

    def trains(other: Measured) -> tuple:
        spec = other.line.resolved.spec
        return spec["network"]["name"], spec["data"]["name"], spec["time_steps"]

    lines = [other for other in measured if other.line.resolved and other.line.resolved.cell.method == "direct"]
    return next((other.runs for other in lines if each.line.resolved and trains(other) == trains(each)), {})


def row(each: Measured, first: Measured, names: list[str], scale: str) -> dict:
    """One line: what was printed, what came out, whether they agree."""
    line, seeds = described(each, scale), []
    for name in names:
        columns, needed = compared(each, first, name)
        line |= columns
        seeds += [needed] if needed else []
    line |= {metric.column: mean(each.values(metric)) for metric in metrics.columns() if metric.column not in line}
    line |= {"break_even": break_even.of(each, line["firing_rate"])}
    line |= {"seeds_needed": max(seeds, key=lambda count: (isinstance(count, str), count), default="")}
    line |= {"differs": "; ".join(each.differences), "checks": checked(each), "why": each.why}
    run = each.line.runs[0].folder.parent.name if each.line.runs else ""
    return {**line, "origin": each.line.first.origin, "source": each.line.first.source, "run": run}


def described(each: Measured, scale: str) -> dict:
    """What a line of a table or figure is of: as printed, and what it ran on."""
    first, spec = each.line.first, each.line.resolved and each.line.resolved.spec
    return {
        "row": first.row,
        "group": first.group,
        "method": first.method,
        "backbone": first.backbone,
        "dataset": first.dataset,
        "time_steps": first.time_steps,
        "options": first.options,
        "reading": each.line.resolved.cell.reading if each.line.resolved else "",
        "scale": scale,
        "data": spec["data"]["name"] if spec else "",
        "model": comparable.MODELS[spec["network"]["twin"]] if spec else "",
        "n_seeds": len(each.runs),
    }


def compared(each: Measured, first: Measured, name: str) -> tuple[dict, int | str]:
    """Columns of one printed metric (published, obtained, its interval, verdict), and the seeds that would decide it."""
    numbers = [number for number in each.line.numbers if number.metric == name]
    metric = comparison.metric_in(name, each.line.first.paper)
    values = each.values(metric, first)
    verdict = each.verdict(numbers[0], values, first) if numbers else comparison.Verdict("")
    columns = {f"{name}_published": numbers[0].value if numbers else "", name: mean(values)}
    if metric.spread:
        published = [number.value for number in each.line.numbers if number.metric == metric.spread]
        columns |= {f"{metric.spread}_published": published[0] if published else "", metric.spread: spread(values)}
    if metric.of == "run":
        columns |= {f"{name}_low": verdict.low, f"{name}_high": verdict.high}
    columns |= {other: mean(each.values(metrics.metric(other))) for other in metric.beside}
    return {**columns, f"{name}_verdict": verdict.word}, verdict.seeds


def checked(each: Measured) -> str:
    """`passed`, or the checks that a run's network failed; empty without a run."""
    return ", ".join(each.failed_checks) or ("passed" if each.runs else "")


def mean(values: dict[int, float]) -> float | None:
    """Over seeds; None without any."""
    return statistics.mean(values.values()) if values else None


def spread(values: dict[int, float]) -> float | None:
    """Standard deviation over seeds; None below two."""
    return statistics.stdev(values.values()) if len(values) > 1 else None


# ---- how it is written


def write(table: str, settings: Settings, root: Path, name: str = "") -> str:
    """results/<name>.csv, .md and .meta.json under `root`, <name> being the table's own by default; returns the readable table."""
    measured = [Measured.of(line, root) for line in lines.of_table(table, settings)]
    found, target = rows(measured, settings.scale), root / "results" / (name or table)
    text = readable(table, found, measured, settings)
    write_csv(target.with_name(f"{target.name}.csv"), [{key: rounded(key, value) for key, value in line.items()} for line in found])
    with replacing(target.with_name(f"{target.name}.md")) as file:
        file.write(text)
    write_json(target.with_name(f"{target.name}.meta.json"), {**provenance.of(table, settings, root), "columns": columns(found)})
    return text


def part(table: str, settings: Settings, root: Path, wanted: list[Line]) -> str:
    """Some lines of the readable table; nothing is written, for a part is not the table."""
    measured = [Measured.of(line, root) for line in lines.of_table(table, settings)]
    pairs = [pair for pair in zip(rows(measured, settings.scale), measured, strict=True) if pair[1].line in wanted]
    return readable(table, [found for found, _ in pairs], [each for _, each in pairs], settings)


def rounded(key: str, value):
    """As metrics have their digits; six significant ones for the others."""
    if not isinstance(value, float):
        return value
    digits = digits_of().get(key)
    return float(f"{value:.6g}") if digits is None else round(value, digits)


def digits_of() -> dict[str, int]:
    """Column -> decimals."""
    return {
        name: metric.digits for metric in metrics.offered().values() for name in (metric.name, metric.column) if metric.digits is not None
    }


BESIDE = {
    "reading": "the named reading of the recipe that ran, empty for the likely one",
    "accuracy": (
        "top-1 test accuracy, %, at the epoch that the paper reports, mean over seeds; all else (energy, rates, single steps, what learns "
        "from it) is of the last epoch's weights"
    ),
    "dataset": "as printed; `data` is what was really used",
    "break_even": break_even.MEANING,
    "checks": "of the network that ran: the names of those that failed",
    "differs": "what was run otherwise than printed; what it decides is not compared then",
    "seeds_needed": "seeds that would decide the line's undecided numbers if they go on as they do",
    "why": "what is wrong with the line's runs, if anything",
    "*_low, *_high": "95 % interval of what was obtained: over seeds, with one seed that of drawing the test images",
}


def columns(found: list[dict]) -> dict[str, str]:
    """What the columns of a table mean."""
    known = metrics.offered().values()
    return {name: metric.meaning for metric in known for name in (metric.name, metric.column) if found and name in found[0]} | BESIDE


READABLE = {  # head: what stands under it
    "row": lambda line: line["row"],
    "method": lambda line: line["method"],
    "options": lambda line: line["options"] or "-",
    "backbone": lambda line: line["backbone"],
    "data set": lambda line: line["dataset"],
    "T": lambda line: line["time_steps"],
    "run on": lambda line: line["data"] or "-",
    "published": lambda line: line.get("accuracy_published") or "-",
    "obtained": lambda line: obtained(line),
    "last, best": lambda line: ", ".join(shown(line.get(f"accuracy_{which}"), 2) for which in ("last", "best")),
    "verdict": lambda line: said(line),
    "hours: published, obtained": lambda line: beside(line, "training_time_h", 4),
    "speed-up: published, obtained": lambda line: beside(line, "speedup", 2),
    "params M": lambda line: shown(line.get("params_M"), 3),
    "rate %": lambda line: shown(line["firing_rate"], 2),
    "energy uJ": lambda line: shown(line["energy_mJ"] and line["energy_mJ"] * 1e3, 3),
    "break-even": lambda line: line["break_even"] if line["break_even"] in break_even.SIDES else "-",
}


SOMETIMES = {  # head: whether it is shown, of all lines
    "options": lambda lines: len({line["options"] for line in lines}) > 1,
    "hours: published, obtained": lambda lines: any(line.get("training_time_h_published") for line in lines),
    "speed-up: published, obtained": lambda lines: any(line.get("speedup_published") for line in lines),
    "break-even": lambda lines: any(line["break_even"] in break_even.SIDES for line in lines),
}


def readable(table: str, found: list[dict], measured: list[Measured], settings: Settings) -> str:
    """The table in Markdown, columns aligned; options where lines differ by them, hours, speed-ups and break-even where any has one."""
    heads = [head for head in READABLE if head not in SOMETIMES or SOMETIMES[head](found)]
    body = [tuple(READABLE[head](line) for head in heads) for line in found]
    return f"# {table}\n\n{aligned(tuple(heads), body)}\n{notes(found, measured, settings)}\n\n{tally(found)}\n"


def beside(line: dict, name: str, digits: int) -> str:
    """What is printed of a metric and what came out."""
    return f"{line.get(f'{name}_published') or '-'}, {shown(line.get(name), digits)}"


def obtained(line: dict) -> str:
    """Mean and deviation of the accuracy, `!` where a network's checks failed."""
    value, deviation = line.get("accuracy"), line.get("accuracy_std")
    flag = " !" if value is not None and line["checks"] not in ("", "passed") else ""
    return shown(value, 2) + (f" +- {deviation:.2f}" if deviation is not None else "") + flag


def said(line: dict) -> str:
    """The accuracy's verdict and its reason."""
    word = line.get("accuracy_verdict") or "-"
    if word == "not comparable":
        return f"{word}: {shortened(line['differs'].split('; '))}"
    return f"{word} ({line['seeds_needed']} seeds)" if word == "undecided" else word


def notes(found: list[dict], measured: list[Measured], settings: Settings) -> str:
    """What the columns are of, and what is wrong with lines."""
    specs = [each.line.resolved.spec for each in measured if each.line.resolved]
    tiny = any(spec["network"]["twin"] == "tiny" for spec in specs) and any(spec["data"]["stand_in"] for spec in specs)
    text = f"Scale {settings.scale}. params: the paper-size model. rate, energy: the network that ran"
    text += ", a tiny twin on stand-in data: its accuracy says that the code works, nothing about the paper." if tiny else "."
    text += f"\n\nbreak-even: {break_even.MEANING}." if SOMETIMES["break-even"](found) else ""
    failed = [f"row {line['row']}: {line['checks']}" for line in found if line["checks"] not in ("", "passed")]
    text += f"\n\n! a check of the network that ran failed ({'; '.join(dict.fromkeys(failed))})." if failed else ""
    wrong = [
        f"- row {line['row']}: {line['why']}" for line, each in zip(found, measured, strict=True) if line["why"] and not each.line.lacking
    ]
    return text + ("\n\n" + "\n".join(dict.fromkeys(wrong)) if wrong else "")


def tally(found: list[dict]) -> str:
    """How many printed numbers got which verdict, in the order of their explanation."""
    counts = Counter(value for line in found for key, value in line.items() if key.endswith("_verdict") and value)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in comparison.VERDICTS if counts[verdict])
    return f"{counts.total()} printed numbers: {told}."
