"""What paper.yaml says: settings that are stated twice, and the contradictions that somebody read.

An entry of `contradictions` has `what` (a sentence), `lines` and `fact`: the name of a fact that a rule finds too, or, with a `kind`, of
one that nothing computes.
"""

from functools import cache

import yaml

from benchmark.pins import published
from benchmark.reports.audit.finding import Finding

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the slow one takes a quarter of the audit's time


@cache
def sheet(paper: str) -> dict:
    """paper.yaml as it is."""
    return yaml.load((published.PAPERS / paper / "paper.yaml").read_text(encoding="utf-8"), LOADER)


def checks():
    for paper in sorted({path.parent.name for path in published.tables().values()}):
        yield from settings(paper)
        yield from contradictions(paper)


def settings(paper: str):
    """A hyperparameter stated for all experiments against the same one stated for some of them."""
    stated = sheet(paper)["hyperparameters"]
    general = {entry["name"]: entry for entry in stated if entry["scope"] == "all"}
    for entry in stated:
        of_all = general.get(entry["name"])
        if of_all and entry["scope"] != "all":
            yield _setting(paper, entry, of_all)


def _setting(paper: str, entry: dict, of_all: dict) -> Finding:
    same = entry["value"] == of_all["value"]
    said = f"{entry['name'].replace('_', ' ')} {of_all['value']} for all experiments and {entry['value']} for {entry['scope']}"
    return Finding(
        paper,
        "",
        "",
        "setting",
        "ok" if same else "finding",
        "recipe",
        f"{paper} {entry['name']}",
        str(entry["value"]),
        str(of_all["value"]),
        "",
        "" if same else "inconsistency",
        f"{place(entry)} {place(of_all)}",
        f"{paper}: the text states {said}.",
    )


def place(entry: dict) -> str:
    """'ldd.txt:236' of a `where` that also tells the words."""
    return entry["where"].split()[0].rstrip(",")


def contradictions(paper: str):
    """What was read: a further line of the fact that a rule finds, or a fact of its own with its `kind`."""
    for entry in sheet(paper)["contradictions"]:
        yield Finding(
            paper,
            "",
            "",
            "read",
            "finding",
            entry.get("kind", ""),
            f"{paper} {entry['fact']}",
            "",
            "",
            "",
            "inconsistency" if "kind" in entry else "remark",
            " ".join(f"{paper}.txt:{line}" for line in entry["lines"]),
            f"{paper}: {entry['what'].rstrip('.')}.",
        )
