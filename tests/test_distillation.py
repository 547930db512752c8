"""Distillation: losses against plain loops or numbers worked out by hand, IDSNN's copied weights, and the options of recipes."""

import math
from dataclasses import replace
from types import SimpleNamespace

import helpers
import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmark.backbones import ann_resnet, idsnn_resnet, resnet
from benchmark.method import Outputs, distance, divergence, entropy, label_loss, log_probabilities, stage_ends
from benchmark.networks import build as network
from benchmark.pins import cells, published
from benchmark.pins import kinds as catalogue
from benchmark.pins.settings import settings
from benchmark.runs.lines import of_table
from benchmark.shared.errors import UserError
from benchmark.training import augment
from benchmark.training.optimiser import optimiser, schedule
from benchmark.training.outputs import Tapped
from methods.bkdsnn import BKDSNN
from methods.idsnn import IDSNN
from methods.kdsnn import KDSNN
from methods.lasnn import LaSNN, attention
from methods.skd import SKD
from methods.tser import TSER

STEPS, BATCH, CLASSES = 3, 4, 5
METHODS = {"tser": TSER, "skd": SKD, "kdsnn": KDSNN, "lasnn": LaSNN, "bkdsnn": BKDSNN, "idsnn": IDSNN}


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def one_hot(*labels):
    return functional.one_hot(torch.tensor(labels), CLASSES).double()


ANSWER, TEACHER, TARGET = draw(STEPS, BATCH, CLASSES), draw(1, BATCH, CLASSES, seed=1), one_hot(0, 3, 3, 1) * 0.9 + 0.1 / CLASSES


# ---- the same in plain loops, on lists of numbers


def softmax(logits, temperature=1.0):
    powers = [math.exp(z / temperature) for z in logits]
    return [power / sum(powers) for power in powers]


def mean(rows):
    """Mean over the first index of equally long lists."""
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def ce(q, y):
    return -sum(b * math.log(a) for a, b in zip(q, y, strict=True))


def kl(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def per_step(answer, image, tau, over):
    """The probabilities that a term sees of an image: one list per step, or a single one."""
    steps = [step[image] for step in answer]
    if over == "logits":
        return [softmax(mean(steps), tau)]
    each = [softmax(step, tau) for step in steps]
    return each if over == "steps" else [mean(each)]


def tser_in_loops(params):
    """Equations 7 to 11, image by image and step by step."""
    answer, teacher, target = ANSWER.tolist(), TEACHER[0].tolist(), TARGET.tolist()
    tau, alpha, total = params["temperature"], params["alpha"], 0.0
    for i in range(BATCH):
        wanted = softmax(teacher[i], tau)
        labels = per_step(answer, i, tau if params["ce_tempered"] else 1.0, "steps" if params["ts_ce"] else params["average"])
        guides = per_step(answer, i, tau, "steps" if params["ts_kl"] else params["average"])
        total += (1 - alpha) * sum(ce(q, target[i]) for q in labels) / len(labels)
        total += alpha * (tau**2 if params["tau2"] else 1) * sum(kl(wanted, q) for q in guides) / len(guides)
        if params["entropy"]:
            each = per_step(answer, i, tau if params["entropy_tempered"] else 1.0, "steps")
            total -= params["lam"] * sum(ce(q, q) for q in each) / STEPS
    return total / BATCH


def total(method, *extra, answer=ANSWER, parts=None):
    """The summed loss of a method on the fixed answers."""
    student, teacher = extra or (Outputs(answer), Outputs(TEACHER))
    return float(sum(method.loss(student, teacher, TARGET, parts or nn.Identity()).values()))


# ---- pieces


def test_pieces_by_hand():
    # q = (1/4, 3/4), p = (1/2, 1/2): KL(p||q) = ln 2 / 2 + ln(2/3) / 2; H(q) = ln 4 - 3/4 ln 3; CE with (0, 1) = -ln 3/4
    log_q, log_p = torch.tensor([[[0.25, 0.75]]]).log(), torch.tensor([[[0.5, 0.5]]]).log()
    assert float(divergence(log_q, log_p)) == pytest.approx((math.log(2) + math.log(2 / 3)) / 2)
    assert float(divergence(log_q, log_q)) == pytest.approx(0.0, abs=1e-7)
    assert float(entropy(log_q)) == pytest.approx(math.log(4) - 0.75 * math.log(3))
    assert float(label_loss(log_q, torch.tensor([[0.0, 1.0]]))) == pytest.approx(-math.log(0.75))
    assert float(distance(torch.tensor([[3.0, 4.0], [1.0, 1.0]]), torch.tensor([[0.0, 0.0], [1.0, 2.0]]))) == 13.0  # (25 + 1) / 2


@pytest.mark.parametrize("over", ["steps", "logits", "probabilities"])
def test_log_probabilities_are_what_the_loops_say(over):
    found = log_probabilities(ANSWER, 2.0, over).exp()
    expected = [per_step(ANSWER.tolist(), image, 2.0, over) for image in range(BATCH)]
    torch.testing.assert_close(found.double(), torch.tensor(expected, dtype=torch.float64).transpose(0, 1), rtol=1e-5, atol=1e-6)


def test_averaging_probabilities_or_logits_by_hand():
    # logits (ln 9, 0) and (0, 0): probabilities 0.9 and 0.5, mean 0.7; mean logits (ln 3, 0): 0.75
    logits = torch.tensor([[[math.log(9), 0.0]], [[0.0, 0.0]]])
    assert log_probabilities(logits, over="probabilities").exp()[0, 0, 0].item() == pytest.approx(0.7)
    assert log_probabilities(logits, over="logits").exp()[0, 0, 0].item() == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("widths", "ends"),
    [([64] * 2 + [128] * 2 + [256] * 2 + [512] * 2, [1, 3, 5, 7]), ([64, 128, 256, 512, 512], [0, 1, 2, 4]), ([384] * 4, [3]), ([8], [0])],
)
def test_stage_ends(widths, ends):
    assert stage_ends(widths) == ends


# ---- TSER and vanilla distillation

SETTINGS = [  # Table 3's rows
    {"ts_kl": 0, "ts_ce": 0, "entropy": 0},
    {"ts_kl": 0, "entropy": 0},
    {"ts_ce": 0, "entropy": 0},
    {"entropy": 0},
    {},
]
READINGS = [
    {},
    {"alpha": 0.2},
    {"temperature": 2.0},
    {"lam": 0.2},
    {"tau2": 0},
    {"ce_tempered": 1},
    {"entropy_tempered": 0},
    {"average": "probabilities"},
]


@pytest.mark.parametrize("reading", READINGS, ids=str)
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_tser_is_what_the_loops_say(setting, reading):
    chosen = {**TSER.params, **setting, **reading}
    assert total(TSER(**chosen)) == pytest.approx(tser_in_loops(chosen), rel=1e-5)


def test_tser_by_hand():
    # one image, two steps with logits (ln 3, 0) and (0, 0), teacher (0, 0), label 0, tau 1, alpha 1/2, lam 0.1:
    # CE: (ln 4/3 + ln 2) / 2; KL of (1/2, 1/2) from (3/4, 1/4): ln 2 of 4/3 ^ 1/2 = ln(4/3)/2, then 0; H: ln 4 - 3/4 ln 3 and ln 2
    student, teacher = Outputs(torch.tensor([[[math.log(3), 0.0]], [[0.0, 0.0]]])), Outputs(torch.zeros(1, 1, 2))
    terms = TSER(alpha=0.5, temperature=1.0, lam=0.1).loss(student, teacher, torch.tensor([[1.0, 0.0]]), None)
    assert float(terms["task"]) == pytest.approx((math.log(4 / 3) + math.log(2)) / 4)
    assert float(terms["teacher"]) == pytest.approx((0.5 * math.log(2 / 3) + 0.5 * math.log(2)) / 4)
    assert float(terms["entropy"]) == pytest.approx(-0.1 * (math.log(4) - 0.75 * math.log(3) + math.log(2)) / 2)


def test_table_3_is_vanilla_distillation_and_four_settings_of_tser():
    rows = [line.resolved.spec for line in of_table("table3_tser", settings())]
    assert [row["method"]["name"] for row in rows] == ["skd", "tser", "tser", "tser", "tser"]
    assert [{key: row["method"]["params"][key] for key in ("ts_kl", "ts_ce", "entropy")} for row in rows[1:]] == [
        {**{"ts_kl": 1, "ts_ce": 1, "entropy": 1}, **setting} for setting in SETTINGS[1:]
    ]
    assert {row["time_steps"] for row in rows} == {2}


def test_the_five_settings_differ():
    losses = [total(TSER(**setting)) for setting in SETTINGS]
    assert len({round(loss, 6) for loss in losses}) == 5
    assert losses[4] < losses[3]  # the entropy is rewarded


@pytest.mark.parametrize("reading", [{}, {"average": "probabilities"}, {"tau2": 0}, {"ce_tempered": 1}, {"alpha": 0.1, "temperature": 3.0}])
def test_vanilla_distillation_is_tser_without_its_three_ideas(reading):
    assert total(SKD(**reading)) == pytest.approx(total(TSER(**SETTINGS[0], **reading)), rel=1e-6)


def test_one_step_has_nothing_to_separate():
    answer = ANSWER[:1]
    assert total(TSER(entropy=0), answer=answer) == pytest.approx(total(SKD(), answer=answer), rel=1e-6)


# ---- the other losses


def pair(student_widths, teacher_widths, side=3):
    """Outputs of a student and a teacher with a map per block, tokens their means."""
    maps = [[draw(steps, BATCH, width, side, side, seed=10 * steps + k) for k, width in enumerate(widths)]
            for steps, widths in ((STEPS, student_widths), (1, teacher_widths))]  # fmt: skip
    logits = (ANSWER, TEACHER)
    return [Outputs(z, features, [f.flatten(3).mean(3) for f in features]) for z, features in zip(logits, maps, strict=True)]


def squares(ours, theirs):
    """Squared differences, summed over everything but the batch, in loops over images."""
    return sum(float(((a - b) ** 2).sum()) for a, b in zip(ours, theirs, strict=True)) / BATCH


def soft_cross_entropy(tau):
    answer = [softmax(mean([step[i] for step in ANSWER.tolist()]), tau) for i in range(BATCH)]
    return [ce(answer[i], softmax(TEACHER[0, i].tolist(), tau)) for i in range(BATCH)]


def label_cross_entropy(answer):
    return [ce(softmax(mean([step[i] for step in answer.tolist()])), TARGET[i].tolist()) for i in range(BATCH)]


def test_kdsnn_is_what_the_loops_say():
    student, teacher = pair([2, 6], [6])
    feature = squares(student.tokens[1].mean(0), teacher.tokens[0][0])
    expected = 0.7 * sum(label_cross_entropy(ANSWER)) / BATCH + 0.3 * 16 * sum(soft_cross_entropy(4.0)) / BATCH + 0.5 * feature
    assert total(KDSNN(alpha=0.3, temperature=4.0, weight=0.5), student, teacher) == pytest.approx(expected, rel=1e-5)


def test_kdsnn_pulls_logits_as_a_divergence_does():
    answer, (_, teacher) = ANSWER.clone().requires_grad_(), pair([6], [6])
    student = Outputs(answer, *[getattr(pair([6], [6])[0], name) for name in ("features", "tokens")])
    (cross,) = torch.autograd.grad(KDSNN().loss(student, teacher, TARGET, nn.Identity())["teacher"], answer)
    (plain,) = torch.autograd.grad(SKD().loss(student, teacher, TARGET, None)["teacher"], answer)
    torch.testing.assert_close(cross, plain)


def test_kdsnn_aligns_other_widths():
    widths = SimpleNamespace(widths=[2, 4]), SimpleNamespace(widths=[6])
    assert tuple(KDSNN().parts(*widths).weight.shape) == (6, 4)
    assert isinstance(KDSNN().parts(widths[1], widths[1]), nn.Identity)


def test_lasnn_is_what_the_loops_say():
    student, teacher = pair([4, 4, 6], [4, 6, 6])
    parts = LaSNN().parts(SimpleNamespace(widths=[4, 4, 6]), SimpleNamespace(widths=[4, 6, 6]))
    feature = sum(squares(student.features[s].mean(0), teacher.features[t][0]) for s, t in ((2, 2), (1, 0)))
    expected = sum(label_cross_entropy(ANSWER)) / BATCH + 0.5 * feature
    assert len(parts) == 2 and total(LaSNN(weight=0.5), student, teacher, parts=parts) == pytest.approx(expected, rel=1e-5)


def test_lasnn_aligns_widths_and_pairs_stages_from_the_last():
    parts = LaSNN().parts(SimpleNamespace(widths=[2, 2, 4, 8]), SimpleNamespace(widths=[8, 16]))
    assert [tuple(part.weight.shape) for part in parts] == [(16, 8, 1, 1), (8, 4, 1, 1)]


def test_lasnn_averages_the_larger_map_and_takes_tokens_where_there_is_no_map():
    method = LaSNN()
    wide, narrow = torch.arange(16.0).view(1, 1, 4, 4), torch.zeros(1, 1, 2, 2)
    assert float(method.compare(wide, narrow)) == 2.5**2 + 4.5**2 + 10.5**2 + 12.5**2
    student, _ = pair([4], [4])
    tokens = Outputs(TEACHER, [draw(BATCH, 7, 4)], [draw(1, BATCH, 4, seed=5)])
    expected = squares(student.features[0].mean((0, 3, 4)), tokens.tokens[0][0])
    assert float(LaSNN(weight=1.0).loss(student, tokens, TARGET, [nn.Identity()])["feature"]) == pytest.approx(expected, rel=1e-5)


def test_attention_by_hand():
    # two channels (1, 4) and (3, 3) at two places: squares sum to (10, 25), of length sqrt(725); the teacher's (0, 3) gives (0, 1)
    ours, theirs = torch.tensor([[[[1.0, 4.0]], [[3.0, 3.0]]]]), torch.tensor([[[[0.0, 3.0]]]])
    length = math.sqrt(725)
    assert attention(ours)[0].tolist() == pytest.approx([10 / length, 25 / length])
    wanted = (10 / length) ** 2 + (25 / length - 1) ** 2
    assert float(LaSNN(features="attention").compare(ours, theirs)) == pytest.approx(wanted)


def test_bkdsnn_without_blur_is_what_the_loops_say():
    student, teacher = pair([6], [6])
    parts = nn.ModuleDict({"align": nn.Identity(), "restore": nn.Identity()})
    ours, theirs = label_cross_entropy(ANSWER), label_cross_entropy(TEACHER)
    weights = [1 - math.exp(-a / b) for a, b in zip(ours, theirs, strict=True)]
    soft = sum(w * each for w, each in zip(weights, soft_cross_entropy(2.0), strict=True)) / BATCH
    feature = squares(student.tokens[0].mean(0), teacher.tokens[0][0])
    expected = sum(ours) / BATCH + 0.5 * feature + 3.0 * 4 * soft
    assert total(BKDSNN(weight=0.5, blur=0.0, logit_weight=3.0), student, teacher, parts=parts) == pytest.approx(expected, rel=1e-5)


def test_bkdsnns_mask_hides_its_share_of_channels_and_follows_torchs_seed():
    student, teacher = (
        Outputs(torch.zeros(1, 50, 5), [], [torch.ones(1, 50, 200)]),
        Outputs(torch.zeros(1, 50, 5), [], [torch.zeros(1, 50, 200)]),
    )
    parts, target = nn.ModuleDict({"align": nn.Identity(), "restore": nn.Identity()}), one_hot(*[0] * 50)

    def kept(seed):
        torch.manual_seed(seed)
        return float(BKDSNN(weight=1.0).loss(student, teacher, target, parts)["feature"]) / 200

    assert kept(1) == kept(1) != kept(2)
    assert kept(1) == pytest.approx(0.85, abs=0.015)  # four deviations of 10,000 draws


def test_bkdsnns_restoration_has_the_teachers_width():
    parts = BKDSNN().parts(SimpleNamespace(widths=[2, 4]), SimpleNamespace(widths=[6]))
    assert parts["restore"](parts["align"](torch.zeros(3, 4))).shape == (3, 6)


@pytest.mark.parametrize(("params", "weight"), [({}, 0.3), ({"init": 0}, 0.5), ({"init": 0, "alpha_alone": 0.3}, 0.3), ({"kd": 0}, 0.0)])
def test_idsnns_loss_is_what_the_loops_say(params, weight):
    answer, teacher = ANSWER.tolist(), TEACHER[0].tolist()
    guides = [kl(softmax(teacher[i], 4.0), per_step(answer, i, 4.0, "logits")[0]) for i in range(BATCH)]
    expected = (sum(label_cross_entropy(ANSWER)) + weight * 16 * sum(guides)) / BATCH
    assert total(IDSNN(**params)) == pytest.approx(expected, rel=1e-5)


# ---- on real networks

R18 = {"stem": 4, "widths": [4, 8, 12, 16], "depths": [2, 2, 2, 2], "hidden": 0}
R34 = {"stem": 4, "widths": [4, 8, 12, 16], "depths": [3, 4, 6, 3], "hidden": 0}


def build(family, size, seed):
    """A network whose every value, statistics and counters included, differs from other seeds'."""
    torch.manual_seed(seed)
    neuron = {"name": "lif", **family.NEURON} if family.NEURON else {}
    described = {"file": family.__name__.replace(".", "/") + ".py", "size": size, "layout": family.LAYOUTS["cifar"], "neuron": neuron}
    model = network.build(described, CLASSES, [3, 8, 8], STEPS)
    for value in (value for value in model.state_dict().values() if value.dim() < 2):
        value.copy_(torch.rand(value.shape) + 0.5 if value.is_floating_point() else torch.tensor(seed))
    return model


STUDENTS = {"idsnn": idsnn_resnet}  # the others' are plain


def networks(size=R18, teachers=R34, students=idsnn_resnet):
    return build(students, size, 1), build(ann_resnet, teachers, 2).eval().requires_grad_(False)


@pytest.mark.parametrize("name", METHODS)
def test_the_student_learns_and_the_teacher_does_not(name):
    method = METHODS[name]()
    student, teacher = networks(students=STUDENTS.get(name, resnet))
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    teacher.requires_grad_()  # even if it could
    parts = method.parts(student, teacher)
    images = torch.rand(BATCH, 3, 8, 8)
    answers = [Tapped(module, method.sees)(images) for module in (student, teacher)]
    sum(method.loss(*answers, TARGET.float(), parts).values()).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in student.parameters())
    assert sum(bool(parameter.grad.any()) for parameter in student.parameters()) > 40
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())


def convolutions(block):
    """(3x3 convolutions, 1x1 shortcuts) of a block, each with its normalisation, in order."""
    found = ([m for m in block.modules() if isinstance(m, kind)] for kind in (nn.Conv2d, nn.BatchNorm2d))
    pairs = list(zip(*found, strict=True))
    return [p for p in pairs if p[0].kernel_size == (3, 3)], [p for p in pairs if p[0].kernel_size == (1, 1)]


def same(ours, theirs):
    """Are all values of two lists of (convolution, normalisation) equal?"""
    values = zip((m for p in ours for m in p), (m for p in theirs for m in p), strict=True)
    return all(
        torch.equal(a, b)
        for ours_, theirs_ in values
        for a, b in zip(ours_.state_dict().values(), theirs_.state_dict().values(), strict=True)
    )


def start(method, student, teacher):
    """The student as it starts, changed where it is."""
    assert method.start(student, {"teacher": teacher}, iter(())) is student


FIRST_TWO = [0, 1, 3, 4, 7, 8, 13, 14]  # of R-34's stages of 3, 4, 6 and 3 blocks


@pytest.mark.parametrize("students", [idsnn_resnet, resnet], ids=["idsnn-resnet", "resnet"])
def test_r18_starts_from_the_first_two_blocks_of_each_stage_of_r34(students):
    (student, teacher), (fresh, _) = networks(students=students), networks(students=students)
    start(IDSNN(), student, teacher)
    assert same(convolutions(student.stem)[0], convolutions(teacher.stem)[0])
    for block, source, untouched in zip(student.blocks, (teacher.blocks[k] for k in FIRST_TWO), fresh.blocks, strict=True):
        ours, shortcut = convolutions(block)
        assert len(ours) == 2 and same(ours, convolutions(source)[0])
        assert not same(ours, convolutions(untouched)[0])
        assert same(shortcut, convolutions(untouched)[1])
    assert torch.equal(student.head.classifier.weight, fresh.head.classifier.weight)
    assert torch.equal(student.head.classifier.bias, fresh.head.classifier.bias)


def test_shortcuts_are_copied_if_wanted():
    student, teacher = networks()
    start(IDSNN(shortcuts=1), student, teacher)
    shortcuts = [convolutions(student.blocks[j])[1] for j in (2, 4, 6)]
    assert all(shortcuts) and all(same(ours, convolutions(teacher.blocks[k])[1]) for ours, k in zip(shortcuts, (3, 7, 13), strict=True))


def test_a_deeper_student_repeats_the_last_block():
    student, teacher = networks(R34, R18)
    start(IDSNN(), student, teacher)
    assert [same(convolutions(student.blocks[j])[0], convolutions(teacher.blocks[1])[0]) for j in (1, 2)] == [True, True]


@pytest.mark.parametrize(("widths", "order"), [([6, 8, 12, 16], [0, 1, 2, 3, 0, 1]), ([3, 8, 12, 16], [0, 1, 2])])
def test_channels_are_looped_or_cut_off(widths, order):
    student, teacher = networks({**R18, "stem": widths[0], "widths": widths})
    start(IDSNN(), student, teacher)
    ((ours, norm), *_), ((theirs, source), *_) = (convolutions(model.blocks[0])[0] for model in (student, teacher))
    for i, out in enumerate(order):
        for j, in_ in enumerate(order):
            assert torch.equal(ours.weight[i, j], theirs.weight[out, in_])
    for name in ("weight", "bias", "running_mean", "running_var"):
        assert torch.equal(getattr(norm, name), getattr(source, name)[order])


def test_init_0_and_the_other_methods_leave_the_student_random():
    for method in (IDSNN(init=0), TSER(), KDSNN()):
        (student, teacher), (fresh, _) = networks(), networks()
        start(method, student, teacher)
        assert all(torch.equal(a, b) for a, b in zip(student.state_dict().values(), fresh.state_dict().values(), strict=True))


def backbone(name, ann=False, **size):
    return SimpleNamespace(name=name, family=name, size=size, ann=ann)


def test_what_cannot_be_copied_does_not_fit_and_says_so():
    fits = catalogue.fits_of(catalogue.FOLDERS["method"] / "idsnn.py")
    three = backbone("ann-resnet-19", widths=[4, 8, 12], depths=[3, 3, 2])
    assert fits(backbone("r18", **R18), backbone("r34", **R34)) == fits(backbone("r34", **R34), backbone("r18", **R18)) == ""
    assert fits(backbone("r18", **R18), teacher=three) == "idsnn copies stage by stage, and r18 has 4 stages, ann-resnet-19 3"
    for other in (backbone("vit-l-32", depth=24, dim=8), backbone("r50", bottleneck=True, **R34), backbone("vgg", widths=[1], pools=[1])):
        wanted = f"idsnn copies residual blocks of two 3x3 convolutions, and {other.name} has none"
        assert fits(other, backbone("r34", **R34)) == fits(backbone("r18", **R18), other) == wanted


def test_ldd_takes_no_teacher_with_time_steps():
    fits = catalogue.fits_of(catalogue.FOLDERS["method"] / "ldd.py")
    assert fits(backbone("spikformer-4-384"), backbone("vit-l-32", ann=True)) == ""
    assert "spikformer-8-768 has time steps" in fits(backbone("spikformer-4-384"), backbone("spikformer-8-768"))


def test_a_file_without_fits_has_none_and_one_is_compiled_alone(tmp_path):
    assert catalogue.fits_of(catalogue.FOLDERS["method"] / "tser.py") is None
    (tmp_path / "new.py").write_text("import nothing_there\nLIMIT = 1\ndef fits(student, teacher):\n    return str(LIMIT)\n")
    with pytest.raises(NameError):
        catalogue.fits_of(tmp_path / "new.py")(None, None)


# ---- recipes, options, mistakes

PAPER = settings({"scale": "paper"})


def idsnn_cell(**options):
    """The cell of a row of Table 4 with these options."""
    row = next(n for n in published.read("table4_idsnn") if n.cell.startswith("idsnn:") and n.metric == "accuracy")
    return cells.cell_of(replace(row, options=" ".join(f"{key}={value}" for key, value in options.items())))


@pytest.mark.parametrize(
    ("options", "milestones"),
    [({}, [60, 120, 160]), ({"schedule": "20-40-60"}, [20, 40, 60]), ({"schedule": "10-20-30", "init": 0}, [10, 20, 30])],
)
def test_a_printed_schedule_is_the_recipes_and_not_the_methods(options, milestones):
    spec = cells.resolve(idsnn_cell(**options), PAPER).spec
    assert spec["recipe"]["milestones"] == milestones and spec["recipe"]["epochs"] == 200
    assert spec["method"]["params"] == {**IDSNN.params, "init": options.get("init", 1)}


def test_a_teacher_keeps_its_own_schedule():
    plain, quick = (cells.resolve(idsnn_cell(**options), PAPER) for options in ({}, {"schedule": "10-20-30"}))
    assert plain.id != quick.id and plain.upstream[0][1].id == quick.upstream[0][1].id


def test_a_reading_of_the_curve_is_no_run_of_its_own():
    read, plain = (cells.resolve(idsnn_cell(schedule="10-20-30", **more), PAPER) for more in ({"at_epoch": 14}, {}))
    assert read.id == plain.id


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"shedule": "5-10-15"}, "table4_idsnn, row 2: unknown option 'shedule': did you mean schedule"),
        ({"alpha": -0.1}, "method idsnn: alpha must be a number from 0.0 to 100.0, not -0.1"),
        ({"kd": 2}, "method idsnn: unknown value of kd '2': known: 0, 1"),
        ({"temperature": 0}, "method idsnn: temperature must be a number from 0.1 to 100.0, not 0"),
        ({"initt": 1}, "table4_idsnn, row 2: unknown option 'initt': did you mean init"),
    ],
)
def test_a_wrong_option_is_said_in_one_line(options, said):
    with pytest.raises(UserError) as error:
        cells.resolve(idsnn_cell(**options), PAPER)
    assert str(error.value).startswith(said) and len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("scale", ["smoke", "reduced", "paper"])
def test_every_row_that_the_papers_ran_has_a_run(scale):
    lines = [line for name in published.tables() if name.endswith(("tser", "idsnn")) for line in of_table(name, settings({"scale": scale}))]
    ran = [line for line in lines if line.first.origin != "quoted"]
    assert len(ran) > 80 and not [line.lacking for line in ran if line.lacking]
    assert all(line.resolved.upstream for line in lines if line.resolved and line.resolved.cell.method in METHODS)


def test_milestones_are_torchs():
    """IDSNN's recipe: SGD at 0.05, a tenth of it after 60, 120 and 160 epochs."""
    chosen = {**helpers.RECIPE, "optimizer": "momentum", "lr": 0.05, "momentum": 0.9, "schedule": "multistep", "decay_rate": 0.1}
    chosen |= {"milestones": [60, 120, 160], "epochs": 200}
    optimizer = optimiser(chosen, nn.Linear(1, 1))
    timms = schedule(chosen, optimizer)
    rates = {}
    for epoch in range(200):
        timms.step(epoch)
        rates[epoch] = optimizer.param_groups[0]["lr"]
    assert type(optimizer) is torch.optim.SGD and not optimizer.defaults["nesterov"]
    assert [rates[e] for e in (0, 59, 60, 119, 120, 159, 160)] == pytest.approx([0.05, 0.05, 5e-3, 5e-3, 5e-4, 5e-4, 5e-5])


# ---- TSER's augmentation


def test_autoaugments_operations_are_torchvisions(monkeypatch):
    """Inside an image every operation of the policy gives torchvision's values, on average to less than a grey value."""
    from torchvision.transforms import v2

    image = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(3)), size=16, mode="bicubic")
    image = (image.clamp(0, 1) * 255).to(torch.uint8)
    policy = augment.AutoAugment("cifar10")
    monkeypatch.setattr(augment.random, "choice", lambda options: options[-1])  # the positive sign
    for name, strength in {(operation[0], operation[2]) for pair_ in policy.table._policies for operation in pair_}:
        ours = augment.apply_drawn(image, {name: [(0, policy.level(name, strength, 16, 16))]}, policy.fill)
        values, _ = policy.table._AUGMENTATION_SPACE[name]
        magnitude = 0.0 if strength is None else float(values(10, 16, 16)[strength])
        magnitude = -magnitude if name in ("TranslateX", "TranslateY") else magnitude  # torchvision's sign says where the image goes
        bilinear = v2.InterpolationMode.BILINEAR
        theirs = policy.table._apply_image_or_video_transform(image, name, magnitude, bilinear, {torch.Tensor: [128.0] * 3})
        apart = (ours.float() - theirs.float()).abs()[..., 4:-4, 4:-4]
        limit = 9 if name.startswith("Translate") else 1  # torchvision moves by whole pixels
        assert apart.mean() < limit, (name, strength, apart.mean())


def test_autoaugment_draws_each_pair_for_each_image_and_repeats_with_the_seed():
    images = torch.randint(0, 256, (64, 3, 16, 16), dtype=torch.uint8)
    policy = augment.AutoAugment("cifar10")

    def drawn(seed):
        augment.random.seed(seed)
        return policy(images)

    assert torch.equal(drawn(1), drawn(1)) and not torch.equal(drawn(1), drawn(2))
    changed = (drawn(1) != images).flatten(1).any(1).float().mean()
    assert 0.6 < changed < 1.0 and drawn(1).dtype == torch.uint8


def test_cutout_blanks_one_square_that_the_border_may_cut():
    torch.manual_seed(0)
    images = torch.full((500, 3, 16, 16), 9, dtype=torch.uint8)
    black = (augment.cutout(images, 6) == 0).float()
    assert torch.equal(black[:, 0], black[:, 2])
    rows, columns = black[:, 0].amax(2).sum(1), black[:, 0].amax(1).sum(1)
    assert torch.equal(black[:, 0].sum((1, 2)), rows * columns)
    assert rows.min() == 3 and rows.max() == 6 and columns.min() == 3 and columns.max() == 6
    assert augment.cutout(images, 0) is images


CONSTANTS = {  # a second time by hand: TSER's temperature, its group's alpha; the public code of BKDSNN and of IDSNN; LDD as we read it
    "skd": {"alpha": 0.2, "temperature": 5.0, "average": "logits", "tau2": 1, "ce_tempered": 0},
    "tser": {
        "ts_kl": 1, "ts_ce": 1, "entropy": 1, "alpha": 0.2, "temperature": 5.0, "lam": 0.01, "tau2": 1, "ce_tempered": 0,
        "entropy_tempered": 1, "average": "logits",
    },
    "kdsnn": {"alpha": 0.2, "temperature": 5.0, "weight": 0.002},
    "lasnn": {"weight": 0.002, "features": "map"},
    "bkdsnn": {"weight": 0.002, "blur": 0.15, "logit_weight": 1.0, "temperature": 2.0},
    "idsnn": {"init": 1, "kd": 1, "alpha": 0.3, "alpha_alone": 0.5, "temperature": 4.0, "shortcuts": 0},
    "ldd": {
        "lam": 0.7, "projection": "temporal", "stop_gradient": "none", "distance": "mse", "reduce": "mean", "blocks": "uniform", "heads": 8,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_method_runs_with_these_constants_unless_told_otherwise(name):
    tables = catalogue.method(name).tables
    assert tables["params"] == CONSTANTS[name]
    assert tables.get("params_for", {}) == ({"ImageNet": {"weight": 7e-5}} if "weight" in CONSTANTS[name] else {})
    shares = {key: limits for key, limits in tables["ranges"].items() if key in ("lam", "alpha") and name not in ("idsnn", "tser")}
    assert all(limits == [0.0, 1.0] for limits in shares.values())
