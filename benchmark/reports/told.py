"""What the claims of a paper came to in our runs, in a paragraph of plain words. Loads nothing heavy."""

from benchmark.reports.claimed import unique

CERTAIN = 0.05
WORDS = {"supported": "A is ahead in our runs too", "contradicted": "B is ahead in our runs"}


def paragraphs(found: list[dict]) -> str:
    """One for each paper with a claim that has runs on both sides; `found` are lines of claims.csv."""
    told = [line for line in found if line["difference"] is not None]
    return "\n\n".join(paragraph([line for line in told if line["paper"] == paper]) for paper in unique(line["paper"] for line in told))


def paragraph(lines: list[dict]) -> str:
    """Of one paper: how many claims, what they were asked of, which were decided, and what could not have been seen."""
    sentences = [f"**{lines[0]['paper']}**: {len(lines)} claims have runs on both sides ({scope(lines)})."]
    for verdict in WORDS:
        held = [line for line in lines if line["verdict"] == verdict]
        if held:
            still = sum(line["q"] is not None and line["q"] < CERTAIN for line in held)
            sentences.append(
                f"{len(held)} {verdict}, {still} of them with all that were asked at once taken in: {'; '.join(map(pair, held))}."
            )
    open_ = [line for line in lines if line["verdict"] not in WORDS]
    if open_:
        sentences.append(f"{len(open_)} cannot be told{smallest(open_)}: {'; '.join(map(pair, open_))}.")
    return " ".join(sentences)


def scope(lines: list[dict]) -> str:
    """What the runs were of, in the words of the lines."""
    seeds = sorted({line["n_seeds"] for line in lines})
    data = unique(part for line in lines for part in line["data"].split(" / "))
    shared = [part for part in lines[0]["differs"].split("; ") if all(part in line["differs"].split("; ") for line in lines)]
    of = [part for part in shared if "twin" in part or "images" in part]
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return ", ".join([*data, *of, f"{count} seed{'s' if seeds[-1] > 1 else ''}"])


def pair(line: dict) -> str:
    """`tser above skd on CIFAR100 (printed +0.98, obtained +1.20)`."""
    a, b = (" ".join(filter(None, (line[f"{side}_method"], options(line[f"{side}_options"])))) for side in "ab")
    if a == b:  # what tells them apart stands in the table alone
        a, b = (f"{name} (row {line[f'{side}_row']})" for name, side in ((a, "a"), (b, "b")))
    where = line["dataset"] if line["a_backbone"] == "-" else f"{line['a_backbone']}, {line['dataset']}"
    return f"{a} above {b} on {where} (printed {float(line['printed_difference']):+.2f}, obtained {line['difference']:+.2f})"


def options(text: str) -> str:
    return f"[{text}]" if text not in ("", "-") else ""


def smallest(lines: list[dict]) -> str:
    """The differences that these seeds could have told from none."""
    half = sorted(line["resolves"] for line in lines if line["resolves"] is not None)
    return f" (a difference would have had to be {half[0]:.1f} to {half[-1]:.1f} points)" if half else " (one seed has no interval)"
