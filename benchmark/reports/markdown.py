"""Text for people: Markdown tables that line up in a terminal too."""


def aligned(heads: tuple, body: list[tuple]) -> str:
    """A Markdown table whose columns line up."""
    cells = [[str(cell) for cell in line] for line in (heads, *body)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(heads))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]) + "\n"


def shown(value, digits: int) -> str:
    """A number with so many decimals, - for none."""
    return "-" if value in (None, "") else f"{value:.{digits}f}"
