"""The figures of the page, in the order in which they stand on it."""

from functools import partial
from pathlib import Path

from benchmark.pins.settings import Settings
from benchmark.reports.page import across, of_figures, of_tables, pictures
from benchmark.reports.page.drawing import Figure, figure
from benchmark.reports.page.gathered import Table


def figures(found: list[Table], claims: list[dict], settings: Settings, root: Path) -> list[Figure]:
    """Every figure from whatever there is."""
    energies, sizes = (across.of_lines(found, cost) for cost in (across.energies, across.sizes))
    fixed = [
        figure("claims", "Claims", across.FOREST, across.forest_points(claims), across.forest),
        figure("accuracy_energy", "Accuracy and energy", across.PAIRS, energies, partial(across.pairs, "energy (mJ)")),
        figure("accuracy_size", "Accuracy and size", across.PAIRS, sizes, partial(across.pairs, "parameters (M)")),
        figure("accuracy_steps", "Accuracy and time steps", across.STEPS, across.step_points(found), across.steps),
    ]
    drawn = [*of_figures.drawings(settings, root), *pictures.pictures(settings, root)]
    return [*fixed, *drawn, *(one for table in found for one in of_table(table) if one.svg)]


def of_table(table: Table) -> list[Figure]:
    """Learning curves and firing rates."""
    about = f"{table.paper} Table {table.number}"
    curves, rates = of_tables.curve_points(table), of_tables.rate_points(table)
    return [
        figure(f"curves_{table.name}", f"Learning curves of {about}", of_tables.CURVES, curves, of_tables.curves),
        figure(f"rates_{table.name}", f"Firing rates of {about}", of_tables.RATES, rates, of_tables.heat),
    ]
