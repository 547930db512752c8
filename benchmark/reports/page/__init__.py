"""results/report.html: one file to look at, from the pins and whatever runs exist; its figures as SVG under results/figures/.

Values flow one way: `gathered` (printed beside obtained), `behind` (what lies behind a line), `charts` (by Altair, as `drawing` says:
`across` all tables, `of_tables`, `of_figures` of the papers, `pictures`), `rendered` (Jinja2).
Never loads torch or pandas.
"""

from benchmark.reports.page.rendered import html, write

__all__ = ["html", "write"]
