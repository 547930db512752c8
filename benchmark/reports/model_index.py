"""What a table's runs obtained, as the metadata of a Hugging Face model card (`model-index`): YAML for the top of its README. No torch.

Fields as https://huggingface.co/docs/hub/model-cards has them: a result has a task, the data set it was measured on (that of the run, a
stand-in where one ran) and metrics; `args` holds what is printed and what keeps the two from being compared. Nothing is `verified`.
"""

from pathlib import Path

import yaml

from benchmark import metrics
from benchmark.pins import comparable, published
from benchmark.pins.settings import Settings
from benchmark.reports import tables
from benchmark.reports.measured import Measured
from benchmark.runs import lines
from benchmark.shared.errors import UserError

WHOLE = comparable.MODELS[False]  # the printed network, no twin of it
TASK = {"type": "image-classification", "name": "Image Classification"}


def text(table: str, settings: Settings, root: Path) -> str:
    """One model for each method, network and number of steps. UserError: nothing has been obtained yet."""
    measured = [Measured.of(line, root) for line in lines.of_table(table, settings)]
    models: dict[str, list[dict]] = {}
    for each, row in zip(measured, tables.rows(measured, settings.scale), strict=True):
        if each.runs and each.line.resolved:
            models.setdefault(name(row), []).append(result(each, row))
    if not models:
        raise UserError(f"no line of {table} has a finished run yet: a model index holds what was obtained")
    index = [{"name": one, "results": results} for one, results in models.items()]
    return yaml.safe_dump({"model-index": index}, sort_keys=False, allow_unicode=True, width=140)


def name(row: dict) -> str:
    """As printed, and whether the network that ran was a twin of it."""
    words = (row["method"], row["backbone"], row["options"], f"T={row['time_steps']}", f"({row['model']})" if row["model"] != WHOLE else "")
    return " ".join(word for word in words if word not in ("", "-", "T=-"))


def result(each: Measured, row: dict) -> dict:
    """One line's."""
    first, data = each.line.first, each.line.resolved.spec["data"]["name"]
    paper = published.sheet(first.paper)
    return {
        "task": dict(TASK),
        "dataset": {"name": data, "type": data.lower(), "split": "test", "args": {"printed": first.dataset}},
        "metrics": [metric(number.metric, number.value, row) for number in each.line.numbers if measured(number.metric, row)],
        "source": {"name": f"{paper['title']}, Table {first.table}, row {first.row}", "url": paper["url"]},
    }


def measured(of: str, row: dict) -> bool:
    """Whether the network that ran has this value: what its layers decide is counted at paper size, whatever ran."""
    return row.get(of) is not None and (metrics.metric(of).of == "run" or row["model"] == WHOLE)


def metric(of: str, printed: str, row: dict) -> dict:
    """One number."""
    value = tables.rounded(of, row[of])
    said = {"printed": printed, "verdict": row.get(f"{of}_verdict", ""), "differs": row["differs"], "seeds": row["n_seeds"]}
    return {"type": of, "value": value, "name": metrics.metric(of).meaning, "verified": False, "args": said}
