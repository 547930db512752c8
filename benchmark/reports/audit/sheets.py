"""What paper.yaml says: settings that are stated twice, and the contradictions that somebody read.

An entry of `contradictions` has `what` (a sentence), `lines` and `fact`: the name of a fact that a rule finds too, or, with a `kind`, of
one that nothing computes; `of` another paper where the rule counts it there.
"""

from benchmark.pins import published
from benchmark.pins.published import sheet
from benchmark.reports.audit.finding import KINDS, Finding
from benchmark.shared.errors import UserError, unknown


def checks():
    for paper in sorted({path.parent.name for path in published.tables().values()}):
        yield from settings(paper)
        yield from contradictions(paper)


def settings(paper: str):
    """A hyperparameter stated for all experiments against the same one stated for some of them."""
    stated = sheet(paper)["hyperparameters"]
    for of_all in (entry for entry in stated if entry["scope"] == "all"):
        of_some = [entry for entry in stated if entry["name"] == of_all["name"] and entry["scope"] != "all"]
        if of_some:
            yield _setting(paper, of_all, of_some)


def _setting(paper: str, of_all: dict, of_some: list[dict]) -> Finding:
    other = [entry for entry in of_some if entry["value"] != of_all["value"]]
    said = f"{paper}: {of_all['name'].replace('_', ' ')} {of_all['value']} is stated for all experiments"
    but = "; ".join(f"{entry['value']} for {entry['scope']}" for entry in other)
    return Finding(
        paper,
        "",
        "",
        "setting",
        "finding" if other else "ok",
        "recipe",
        f"{paper} {of_all['name']}",
        ", ".join(str(entry["value"]) for entry in other or of_some),
        str(of_all["value"]),
        "",
        "inconsistency" if other else "",
        " ".join(dict.fromkeys(place(entry) for entry in (of_all, *of_some))),
        f"{said}, and {but}." if other else f"{said}, and so elsewhere.",
    )


def place(entry: dict) -> str:
    """'ldd.txt:236' of a `where` that also tells the words."""
    return entry["where"].split()[0].rstrip(",")


def contradictions(paper: str):
    """What was read: a further line of the fact that a rule finds, or a fact of its own with its `kind`. UserError: no such kind."""
    for entry in sheet(paper)["contradictions"]:
        if entry.get("kind", "recipe") not in KINDS:
            raise UserError(f"papers/{paper}/paper.yaml: contradictions: {unknown('kind', str(entry['kind']), KINDS)}")
        yield Finding(
            paper,
            "",
            "",
            "read",
            "finding",
            entry.get("kind", ""),
            f"{entry.get('of', paper)} {entry['fact']}",
            "",
            "",
            "",
            "inconsistency" if "kind" in entry else "remark",
            " ".join(f"{paper}.txt:{line}" for line in entry["lines"]),
            f"{paper}: {entry['what'].rstrip('.')}.",
        )
