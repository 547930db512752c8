"""Figures as CSV: their pins, what is drawn of made-up runs, and the loss around a network whose loss is known."""

import csv
import subprocess
import sys

import helpers
import pytest
import torch
from torch import nn

from benchmark.backbones import spikformer_v2
from benchmark.networks.build import network
from benchmark.networks.layers import count_parameters
from benchmark.neurons import maker
from benchmark.pins import published
from benchmark.pins.code import ROOT
from benchmark.pins.settings import settings
from benchmark.reports import figures
from benchmark.runs import structures
from benchmark.runs.lines import of_table
from benchmark.shared.errors import UserError
from benchmark.training import surface
from tests import made

V2 = [f"figure{number}_spikformer_v2" for number in (1, 4, 7, 8)]
NAMES = ["figure5_ecmt", "figure6_ecmt", "figure5_idsnn", "figure4_ldd", *V2, "figure2_tser", "figure3_tser", "figure4_tser"]


def entries(name, **chosen):
    return of_table(name, settings(chosen))


def test_the_figures_that_are_tables_in_disguise():
    assert list(published.figures()) == NAMES and not set(NAMES) & set(published.tables())
    assert [number.name for number in published.read("figure3_tser")] == ["figure3_tser"] * 6
    with pytest.raises(UserError, match="unknown figure 'figure3_tsr': did you mean figure3_tser"):
        published.read("figure3_tsr")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", ["smoke", "reduced", "paper"])
def test_every_line_of_a_figure_can_run(name, scale):
    lines = entries(name, scale=scale)
    assert all(line.resolved and not line.lacking and line.first.metric in figures.POINTS for line in lines)
    assert len({line.resolved.id for line in lines}) == len(lines), "two lines draw the same run"


def test_a_sweep_shares_the_cell_of_the_default_with_its_table():
    whole = {line.resolved.id for line in entries("table3_tser")}
    for name, default in (("figure3_tser", "lam=0.01"), ("figure4_tser", "temperature=5.0")):
        assert [line.first.options for line in entries(name) if line.resolved.id in whole] == [default]


def test_the_surface_is_of_its_own_printed_recipe():
    for line in entries("figure4_ldd", scale="paper"):
        recipe = line.resolved.spec["recipe"]
        assert (recipe["epochs"], recipe["batch_size"], recipe["lr"], recipe["weight_decay"]) == (150, 128, 1e-3, 1e-3)
    assert figures.cells_of("loss_surface", NAMES, settings()) == {line.resolved.id for line in entries("figure4_ldd")}
    assert {path.name for path in figures.inputs("figure4_ldd", settings())} == {"metrics.json", "surface.csv"}


def test_the_picture_is_of_the_pre_training_that_table_3_goes_on_from():
    (line,) = entries("figure8_spikformer_v2")
    (tuned,) = [other for other in entries("table3_spikformer_v2") if other.first.row == 13]
    assert line.resolved.id == dict(tuned.resolved.upstream)["encoder"].id
    assert figures.cells_of("pictures", NAMES, settings()) == {line.resolved.id}
    assert figures.picture("figure8_spikformer_v2", settings()) == line.runs[0].folder / "pictures.png"
    assert figures.picture("figure7_spikformer_v2", settings()) is None
    assert {path.name for path in figures.inputs("figure8_spikformer_v2", settings())} == {"metrics.json", "pictures.csv"}


def test_what_the_text_prints_of_spikformer_v2s_figures_and_nothing_else():
    """Values that are only drawn are not pinned; those that are stand in the tables too."""
    printed = [(number.name, number.row, number.value) for name in V2 for number in published.read(name) if number.value]
    assert printed == [("figure1_spikformer_v2", 13, "80.38"), ("figure1_spikformer_v2", 16, "81.10")]
    tables = {(n.cell, n.time_steps): n.value for n in published.read("table3_spikformer_v2") if n.metric == "accuracy"}
    for number in published.read("figure1_spikformer_v2"):
        assert not number.value or tables[number.cell, number.time_steps] == number.value


def test_the_stems_of_figure_4_have_about_as_many_parameters():
    """Its caption says so; sizes were chosen by that. And the network's own stem is the one of the other tables."""
    counts = []
    for line in entries("figure4_spikformer_v2", scale="paper"):
        spec = line.resolved.spec
        counts.append(count_parameters(network(spec)) / 1e6)
    assert len(counts) == 5 and min(counts) > 29.1 and max(counts) < 29.7
    own = [other.resolved.id for other in entries("table2_spikformer_v2") if other.first.row == 29]
    assert [line.resolved.id for line in entries("figure4_spikformer_v2")][3:4] == own


@pytest.mark.parametrize(("stem", "kernels"), [("linear", [1, 1]), ("conv-1", [3]), ("conv-2", [3, 3]), ("conv-3", [3, 3, 3])])
def test_a_stem_has_these_layers_behind_each_halving(stem, kernels):
    size = {"depth": 1, "dim": 32, "heads": 4, "shortcut": "add", "stem": stem}
    built = spikformer_v2.build(size, spikformer_v2.LAYOUTS["imagenet"], maker(spikformer_v2.NEURON), 10, (3, 32, 32), 1)
    convolutions = [layer for layer in built.stem.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.kernel_size[0] for layer in convolutions] == [2, *kernels] * 4
    assert [layer.out_channels for layer in convolutions if layer.kernel_size == (2, 2)] == [4, 8, 16, 32]
    logits = helpers.enliven(built)(torch.randn(2, 3, 32, 32))
    assert logits.shape == (1, 2, 10) and logits.any()


# ---- what is drawn


def pretend(root, run, accuracy=50.0, files=None, **changes):
    """A finished run with this accuracy after every epoch, and CSV files beside its metrics."""
    path = made.accuracy(root, run, accuracy, **changes)
    for name, lines in (files or {}).items():
        with path.with_name(f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)


def test_each_step_its_mean_and_its_spread_beside_the_printed(tmp_path):
    """74.67 and 0.98 are printed, the floor of CIFAR100 is 0.6. Means over two seeds +- 12.706205 x deviation / sqrt(2)."""
    chosen = settings({"scale": "paper", "seeds": 2})
    line = of_table("figure2_tser", chosen)[1]
    for run, steps, whole in zip(line.runs, ([74.5, 75, 76, 75.5], [73.9, 74.4, 75.4, 74.9]), (78.0, 76.0), strict=True):
        pretend(tmp_path, run, whole, accuracy_by_step=steps)
    points = figures.drawn(line, "paper", tmp_path)
    assert [point["step"] for point in points] == [1, 2, 3, 4, "mean", "spread", "all"]
    assert [point["accuracy"] for point in points] == pytest.approx([74.2, 74.7, 75.7, 75.2, 74.95, 1.5, 77])
    assert points[0]["accuracy_std"] == pytest.approx(0.6 / 2**0.5, abs=1e-5) and points[5]["accuracy_std"] == 0
    mean, spread = points[4], points[5]
    assert (mean["published"], mean["verdict"], mean["seeds_needed"]) == ("74.67", "undecided", 10)  # +- 3.812; 0.3035 with ten seeds
    assert (mean["low"], mean["high"]) == (pytest.approx(74.95 - 3.811861, abs=1e-5), pytest.approx(74.95 + 3.811861, abs=1e-5))
    assert (spread["published"], spread["verdict"]) == ("0.98", "match")
    assert "published" not in points[6] and {point["differs"] for point in points} == {""}


def test_a_wider_spread_is_none_of_the_good(tmp_path):
    chosen = settings({"scale": "paper", "seeds": 2})
    line = of_table("figure2_tser", chosen)[1]
    for run in line.runs:
        pretend(tmp_path, run, accuracy_by_step=[74.0, 75.0, 76.0, 75.0])
    assert [point.get("verdict") for point in figures.drawn(line, "paper", tmp_path)[4:]] == ["match", "worse", None]


def test_what_is_not_comparable_says_in_what(tmp_path):
    line = of_table("figure2_tser", settings())[2]
    pretend(tmp_path, line.runs[0], accuracy_by_step=[1.0] * 4)
    points = figures.drawn(line, "paper", tmp_path)
    assert {point["verdict"] for point in points if point.get("published")} == {"not comparable"}
    assert all(point["differs"].startswith("twin; digit-pairs for CIFAR100; ") for point in points)


def test_a_damaged_run_is_not_drawn(tmp_path):
    line = of_table("figure2_tser", settings({"seeds": 2}))[2]
    for run in line.runs:  # one whole seed beside it or not
        pretend(tmp_path, run, accuracy_by_step=[1.0] * 4)
    (tmp_path / line.runs[0].folder / "metrics.json").write_text("{")
    (point,) = figures.drawn(line, "smoke", tmp_path)
    assert point["verdict"] == "damaged" and point["why"].startswith(f"{line.runs[0].folder}/metrics.json: ")


def test_a_sweep_has_the_option_as_a_column(tmp_path):
    chosen = settings()
    for line, value in zip(of_table("figure3_tser", chosen)[:2], (50.0, 51.0), strict=True):
        made.write(tmp_path, line.runs[0], made.ending(line.runs[0], 60.0, value))
    points = figures.build("figure3_tser", chosen, tmp_path)
    assert [(point["lam"], point["accuracy"], point["accuracy_last"]) for point in points[:2]] == [
        (0.0001, 60.0, 50.0),
        (0.001, 60.0, 51.0),
    ]
    assert [point["verdict"] for point in points[2:]] == ["not run"] * 4 and not any("lam" in point for point in points[2:])


def test_a_conversion_is_drawn_at_every_step(tmp_path):
    """The mean of the first t outputs, at every t of the one run that answers for all."""
    chosen = settings({"seeds": 2})
    line = of_table("figure5_ecmt", chosen)[0]
    for run, accuracies in zip(line.runs, ([10.0, *[80.0] * 10, 90.0], [20.0, *[80.0] * 10, 94.0]), strict=True):
        pretend(tmp_path, run, accuracy_up_to=accuracies)
    points = figures.drawn(line, "smoke", tmp_path)
    assert [(point["step"], point["accuracy"]) for point in points] == [(t, a) for t, a in enumerate([15.0, *[80.0] * 10, 92.0], 1)]


def test_a_threshold_has_its_share_of_all_neurons_and_of_each_place(tmp_path):
    """n = 2: spikes of 1, 2, -1, -2 times the smallest, then neurons times steps: 10 + 30 of them."""
    line = of_table("figure6_ecmt", settings())[0]
    pretend(tmp_path, line.runs[0], firing_by_threshold={"fc1": [5, 1, 2, 0, 10], "fc2": [3, 0, 6, 3, 30]})
    points = figures.drawn(line, "smoke", tmp_path)
    drawn = {place: {p["threshold"]: p["rate"] for p in points if p["place"] == place} for place in ("all", "fc1", "fc2")}
    assert drawn["all"] == {1: 20.0, 2: 2.5, -1: 20.0, -2: 7.5}
    assert drawn["fc1"] == {1: 50.0, 2: 10.0, -1: 20.0, -2: 0.0} and drawn["fc2"] == {1: 10.0, 2: 0.0, -1: 20.0, -2: 10.0}


def test_a_bubble_has_accuracy_power_and_size_beside_what_is_printed(tmp_path):
    chosen = settings({"scale": "paper"})
    line = of_table("figure1_spikformer_v2", chosen)[12]
    made.accuracy(tmp_path, line.runs[0], 80.4)
    made.structure(tmp_path, structures.path("spikformer-v2-8-512", "ImageNet"))
    (point,) = figures.drawn(line, "paper", tmp_path)
    assert (point["accuracy"], point["accuracy_published"], point["accuracy_verdict"]) == (80.4, "80.38", "match")
    assert point["accuracy_low"] < 80.4 < point["accuracy_high"]
    assert point["power_mJ"] > 0 and point["params_M"] == 9.32 and not {"power_mJ_published", "params_M_published"} & set(point)
    wanted = {path.name for path in figures.inputs("figure1_spikformer_v2", chosen)}
    assert wanted == {"metrics.json", "ImageNet.json"}
    assert {path.name for path in figures.inputs("figure3_tser", chosen)} == {"metrics.json"}


def test_pictures_are_a_line_for_each_image_and_their_mean(tmp_path):
    line = of_table("figure8_spikformer_v2", settings())[0]
    images = [{"image": 0, "label": 3, "error": 0.5, "error_of_mean": 1.0}, {"image": 7, "label": 1, "error": 0.7, "error_of_mean": 0.9}]
    pretend(tmp_path, line.runs[0], files={"pictures": images})
    points = figures.drawn(line, "smoke", tmp_path)
    assert [(point["image"], point["error"], point["error_of_mean"]) for point in points] == [
        ("0", 0.5, 1.0),
        ("7", 0.7, 0.9),
        ("all", 0.6, 0.95),
    ]


def test_a_curve_has_every_epoch_and_both_losses(tmp_path):
    line = of_table("figure5_idsnn", settings())[1]
    epochs = [{"epoch": e, "accuracy": 10 * e, "loss_task": 2.0 / e, "loss_teacher": 1.0} for e in (1, 2)]
    pretend(tmp_path, line.runs[0], files={"curve": epochs})
    points = figures.drawn(line, "smoke", tmp_path)
    drawn = [(point["epoch"], point["accuracy"], point["loss_labels"], point["loss"]) for point in points]
    assert drawn == [("1", 10.0, 2.0, 3.0), ("2", 20.0, 1.0, 2.0)]


def test_a_run_without_its_curve_is_one_line(tmp_path):
    line = of_table("figure5_idsnn", settings())[1]
    pretend(tmp_path, line.runs[0])
    with pytest.raises(UserError, match=r"curve.csv is not there: remove metrics.json beside it"):
        figures.drawn(line, "smoke", tmp_path)


def grid(height, side=5):
    steps = torch.linspace(-1, 1, side).tolist()
    return [{"a": a, "b": b, "loss": height(a, b)} for a in steps for b in steps]


def test_roughness_is_none_for_a_plane_and_does_not_depend_on_height():
    def bowl(a, b):
        return a * a + b * b

    assert figures.roughness(grid(lambda a, b: 3 * a - b)) == pytest.approx(0, abs=1e-9)
    # second differences are 2 x 0.5^2 everywhere, the range is 2
    assert figures.roughness(grid(bowl)) == pytest.approx(0.25)
    assert figures.roughness(grid(lambda a, b: 7 * bowl(a, b) + 3)) == pytest.approx(0.25)


def test_a_surface_ends_with_its_roughness(tmp_path):
    line = of_table("figure4_ldd", settings())[0]
    pretend(tmp_path, line.runs[0], files={"surface": grid(lambda a, b: a * a + b * b)})
    points = figures.drawn(line, "smoke", tmp_path)
    assert len(points) == 26 and points[-1]["roughness"] == pytest.approx(0.25) and "roughness" not in points[0]
    assert (points[0]["a"], points[0]["b"], points[0]["loss"]) == (-1.0, -1.0, 2.0)


def test_a_figure_is_partial_while_runs_are_missing_and_loads_no_torch(tmp_path):
    code = "import sys; from benchmark.__main__ import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    words = [sys.executable, "-c", code, "table", "figure3_tser", "--directory", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["figure3_tser: 6 points of 6 curves at scale smoke", "False"]
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["figure3_tser.partial.csv", "figure3_tser.partial.meta.json"]


# ---- the loss around the weights


class Plain(nn.Module):
    """Logits of one step, by a linear layer and a batch normalisation."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm = nn.Linear(6, 3), nn.BatchNorm1d(3)

    def forward(self, images):
        return self.norm(self.linear(images.flatten(1)))[None]


def shown():
    draw = torch.Generator().manual_seed(0)
    images, labels = torch.randn(20, 1, 2, 3, generator=draw), torch.arange(20) % 3
    return list(zip(images.split(8), nn.functional.one_hot(labels, 3).float().split(8), strict=True))


def test_the_middle_is_the_loss_itself_and_the_weights_are_put_back():
    torch.manual_seed(0)
    module = Plain().eval()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    lines = surface.surface(module, shown(), 5)
    images, targets = (torch.cat(parts) for parts in zip(*shown(), strict=True))
    assert lines[12] == {"a": 0.0, "b": 0.0, "loss": pytest.approx(nn.functional.cross_entropy(module(images)[0], targets).item())}
    assert len(lines) == 25 and len({line["loss"] for line in lines}) == 25
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_a_filter_of_a_direction_is_as_long_as_the_weights_own():
    weights = [torch.randn(4, 3, 3, 3), torch.randn(5, 4), torch.zeros(2, 4), torch.randn(7)]
    convolution, linear, zero, bias = surface.direction(weights, 1)
    assert convolution.flatten(1).norm(dim=1).allclose(weights[0].flatten(1).norm(dim=1))
    assert linear.norm(dim=1).allclose(weights[1].norm(dim=1)) and not zero.any() and not bias.any()
    other = surface.direction(weights, 2)[0].flatten()
    assert abs(float(torch.nn.functional.cosine_similarity(convolution.flatten(), other, dim=0))) < 0.5


def test_a_grid_without_a_middle_is_refused(tmp_path):
    with pytest.raises(UserError, match="--points 4: the grid needs an odd number"):
        surface.write(tmp_path, 4, 10, tmp_path, "cpu", 1)
