"""Contracts that every file in methods/ keeps by being there, and LDD's loss against values worked out by hand or in plain loops."""

import ast
import importlib
import inspect
import math
import re
from types import SimpleNamespace

import helpers
import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmark.method import Method, Outputs, cross_entropy
from benchmark.networks import build as networks
from benchmark.pins import kinds as catalogue
from benchmark.pins.cells import Cell, parameters
from benchmark.pins.published import datasets
from benchmark.shared.errors import UserError
from benchmark.training.outputs import Tapped
from methods.direct import Direct
from methods.ldd import LDD, Pooled, TemporalLayer
from methods.plif import PLIF

STEPS, BATCH, CLASSES = 3, 5, 4
STUDENT = SimpleNamespace(widths=[6, 6, 8, 8], steps=STEPS)
TEACHER = SimpleNamespace(widths=[10] * 8, steps=1)
FILES = [*sorted(catalogue.files("method").values()), catalogue.FOLDERS["method"] / "_template.py"]

TABLES = ("params", "params_for", "choices", "ranges", "needs", "sees", "recipe", "neuron", "any_time", "keeps")

LEARNS = [path for path in FILES if {"training", "evaluation"} <= set(catalogue.declared(path).tables.get("recipe", Method.recipe))]

each_learner = pytest.mark.parametrize("path", LEARNS, ids=[path.stem for path in LEARNS])  # from labels
each_file = pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])


def class_of(path):
    """The one method class that a file defines."""
    module = importlib.import_module(f"methods.{path.stem}")
    classes = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__]
    (found,) = [value for value in classes if issubclass(value, Method)]
    return found


def tables(path):
    """What the file declares, read without importing it."""
    return {"params": {}, "choices": {}, "ranges": {}, **catalogue.declared(path).tables}


def outputs(network, steps, seed):
    """Random logits and tokens of a network, all waiting for gradients."""
    draw = torch.Generator().manual_seed(seed)
    shapes = [(steps, BATCH, CLASSES), *((steps, BATCH, width) for width in network.widths)]
    logits, *tokens = (torch.randn(shape, generator=draw).requires_grad_() for shape in shapes)
    features = [torch.randn(*shape, 2, 2, generator=draw).requires_grad_() for shape in shapes[1:]]
    return Outputs(logits, features, tokens)


def one_batch(method):
    """(student, teacher, target, parts) as the loop hands them to a method's loss."""
    student = outputs(STUDENT, STEPS, seed=0)
    teacher = outputs(TEACHER, 1, seed=1) if "teacher" in method.needs else None
    if "blocks" not in method.sees:
        for each in filter(None, (student, teacher)):
            each.features, each.tokens = [], []
    torch.manual_seed(2)
    parts = method.parts(STUDENT, TEACHER if "teacher" in method.needs else None)
    return student, teacher, functional.one_hot(torch.arange(BATCH) % CLASSES, CLASSES).float(), parts


def reached(*tensors):
    """Which of these got a gradient that is not zero."""
    return [tensor.grad is not None and bool(tensor.grad.any()) for tensor in tensors]


# ---- contracts


@each_file
def test_docstring_names_paper_equations_numbers_and_command(path):
    doc = catalogue.declared(path).doc
    assert re.findall(r"^(Paper|Equations|Expected|Command): \S", doc, re.MULTILINE) == ["Paper", "Equations", "Expected", "Command"]
    assert re.search(r"^Command: snakemake .*results/table\w*(<paper>)?\.csv$", doc, re.MULTILINE)


@each_file
def test_declared_without_importing_what_the_class_says(path):
    found, method = tables(path), class_of(path)
    for name in TABLES:
        assert found.get(name, getattr(Method, name)) == getattr(method, name) and type(getattr(method, name)) is type(
            getattr(Method, name)
        )


@each_file
def test_nothing_is_replaced_but_what_the_contract_names(path):
    """A helper of a method's own has a name that the contract does not use; a table that nobody reads is a misspelt one."""
    method = class_of(path)
    assert method.__bases__ == (Method,)
    own = {name: value for name, value in vars(method).items() if name not in ("__module__", "__doc__", "__qualname__", "__firstlineno__")}
    own = {name: value for name, value in own.items() if name not in ("__static_attributes__", "__annotations__")}
    assert not [name for name in own if name.startswith("_")]
    assert {name for name, value in own.items() if not inspect.isfunction(value)} <= set(TABLES)
    for name in ("start", "before_epoch", "parts", "loss", "pictures"):
        given, asked = (inspect.signature(getattr(each, name)).parameters for each in (method, Method))
        assert list(given) == list(asked), name


def test_the_contract_is_these_names():
    """What `Method` has beside them would be open to be replaced."""
    assert {name for name in vars(Method) if not name.startswith("__")} == {*TABLES, "start", "before_epoch", "parts", "loss", "pictures"}


@each_file
def test_what_a_method_needs_and_sees_exists(path):
    method = class_of(path)
    assert set(method.needs) <= {"teacher", "ann", "encoder", "start"} and set(method.sees) <= {"blocks", "images"}
    for need in method.needs.values():
        assert set(need) <= {"method", "backbone", "time_steps", "options"} and need["method"] in catalogue.files("method")
        assert need.get("backbone", "same") == "same" and need.get("time_steps", 1) == 1
        assert all(isinstance(name, str) for name in need.get("options", []))
    assert method.recipe and all(isinstance(group, str) for group in method.recipe)


# What `fits` is asked about: by name, and with the tiny twins' sizes in place of the paper's.
BACKBONES = [
    SimpleNamespace(name=name, family=name.rpartition(f"-{found.size_name}")[0], size=size, ann=not found.family.tables["NEURON"])
    for name in catalogue.backbones() for found in [catalogue.backbone(name)] for size in (found.size, found.twin)
]  # fmt: skip


@each_file
def test_fits_is_plain_python_that_answers_for_every_pair(path):
    fits = catalogue.fits_of(path)
    if fits is None:
        assert "def fits" not in path.read_text(encoding="utf-8")
        return
    tree = next(node for node in ast.parse(path.read_text(encoding="utf-8")).body if getattr(node, "name", "") == "fits")
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    roles = list(class_of(path).needs)
    assert list(inspect.signature(fits).parameters) == ["student", *roles] and set(fits.__globals__) == {"__builtins__", "fits"}
    answers = {fits(student, **dict.fromkeys(roles, above)) for student in BACKBONES for above in BACKBONES}
    assert all(isinstance(answer, str) and "\n" not in answer for answer in answers)
    assert "" in answers and len(answers) > 1, "it refuses all, or could be left out"


PAIRS = [("resnet", "ann-resnet"), ("spikformer", "vit")]


def live(name, steps, seed):
    """A tiny network of `helpers` whose neurons fire."""
    torch.manual_seed(seed)
    return helpers.enliven(networks.build(helpers.network(name), CLASSES, [3, 16, 16], steps))


def described(name):
    network = helpers.network(name)
    return SimpleNamespace(name=name, family=network["file"], size=network["size"], ann=not network["neuron"])


@pytest.mark.parametrize("path", [path for path in FILES if "training" not in class_of(path).recipe], ids=lambda path: path.stem)
def test_what_is_not_trained_has_no_loss_and_starts_from_a_trained_network(path):
    method = class_of(path)
    assert "loss" not in vars(method) and "parts" not in vars(method) and method.needs


@each_learner
@pytest.mark.parametrize("names", PAIRS, ids="-".join)
def test_a_live_network_is_started_and_gets_finite_gradients(path, names):
    """What fits also works: `start` leaves a network that can be trained in its place, and the loss reaches all of it."""
    method, fits = class_of(path)(), catalogue.fits_of(path)
    student, *_ = (described(name) for name in names)
    roles = list(method.needs)
    if fits and fits(student, **dict.fromkeys(roles, described(names[1]))):
        pytest.skip("does not fit, as it says")
    network, teacher = live(names[0], 2, 0), live(names[1], 1, 1).eval().requires_grad_(False)
    same = live(names[0], 1, 2).eval().requires_grad_(False)  # what a student goes on from is its own kind of network
    above = {role: same if need.get("backbone") == "same" else teacher for role, need in method.needs.items()}
    widths, before = list(network.widths), {key: value.clone() for key, value in teacher.state_dict().items()}
    images = torch.randn(BATCH, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    network = method.start(network, above, iter([images]))
    assert isinstance(network, nn.Module) and network.widths == widths and network.steps == 2 and len(network.blocks) == len(widths)
    asked = teacher if "teacher" in roles else None
    parts = method.parts(network.train(), asked)
    answers = [each and Tapped(each, method.sees)(images) for each in (network, asked)]
    assert answers[0].logits.shape == (2, BATCH, CLASSES) and answers[0].logits.std(1).mean() > 0.01
    target = functional.one_hot(torch.arange(BATCH) % CLASSES, CLASSES).float()
    sum(method.loss(*answers, target, parts).values()).backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(grad is not None and grad.isfinite().all() for grad in gradients)
    assert sum(bool(grad.any()) for grad in gradients) > 0.9 * len(gradients)
    assert all(parameter.grad.isfinite().all() for parameter in parts.parameters())
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())


@each_file
def test_every_parameter_is_read_and_limited(path):
    found, code = tables(path), path.read_text(encoding="utf-8")
    read = {node.attr for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self"}
    limited = {**found["choices"], **found["ranges"]}
    assert set(found["params"]) <= read, "a parameter that nothing reads"
    assert set(limited) <= set(found["params"])
    unlimited = {key for key, value in found["params"].items() if isinstance(value, (str, int, float)) and not isinstance(value, bool)}
    assert unlimited <= set(limited), "a number needs a range, a word its choices"
    for dataset, values in found.get("params_for", {}).items():
        assert dataset in datasets() and values.keys() <= found["params"].keys()


@each_file
def test_choices_are_told_apart(path):
    """At most one word of a choice may be the one that is left when no other fits."""
    found = tables(path)
    words = [node.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Constant)]
    declared = [value for key, allowed in found["choices"].items() for value in (*allowed, found["params"][key])]
    for key, allowed in found["choices"].items():
        unread = [value for value in allowed if isinstance(value, str) and words.count(value) <= declared.count(value)]
        assert len(unread) <= 1, f"{key}: no line tells {' from '.join(unread)}"


@each_learner
def test_loss_is_finite_named_terms_that_train_the_student_only(path):
    method = class_of(path)(**tables(path)["params"])
    student, teacher, target, parts = one_batch(method)
    terms = method.loss(student, teacher, target, parts)
    assert terms and all(re.fullmatch("[a-z_]+", name) for name in terms)
    assert all(term.shape == () and term.isfinite() for term in terms.values())
    sum(terms.values()).backward()
    assert reached(student.logits) == [True]
    assert "blocks" not in method.sees or any(reached(*student.tokens, *student.features))
    assert all(reached(*parts.parameters()))
    assert teacher is None or not any(reached(teacher.logits, *teacher.tokens, *teacher.features))


@each_learner
def test_every_choice_and_the_ends_of_every_range_give_a_finite_loss(path):
    found = tables(path)
    values = [(key, value) for limits in (found["choices"], found["ranges"]) for key, allowed in limits.items() for value in allowed]
    for key, value in values:
        method = class_of(path)(**{**found["params"], key: value})
        assert sum(method.loss(*one_batch(method)).values()).isfinite(), (key, value)


def part_of(answer, start, end):
    """What a network says of some images of the batch."""
    return answer and Outputs(*([value[:, start:end] for value in values] for values in ([answer.logits], answer.features, answer.tokens)))


@each_learner
def test_losses_of_parts_of_a_batch_add_up_to_the_whole_ones(path, monkeypatch):
    """Each a mean over images, so that a batch may go through in parts of any size."""
    monkeypatch.setattr(torch, "rand", torch.ones)  # what is drawn at random is drawn for each part
    method = class_of(path)()
    student, teacher, target, parts = one_batch(method)
    whole, sums = method.loss(student, teacher, target, parts), {}
    for start, end in ((0, 2), (2, BATCH)):
        answers = [part_of(answer, start, end) for answer in (student, teacher)]
        for answer in filter(None, answers):
            (answer.logits,) = answer.logits
        for term, value in method.loss(*answers, target[start:end], parts).items():
            sums[term] = sums.get(term, 0.0) + value * (end - start) / BATCH
    assert sums.keys() == whole.keys()
    for term, value in whole.items():
        torch.testing.assert_close(sums[term], value, rtol=1e-5, atol=1e-6)


@each_learner
def test_loss_in_bfloat16_is_a_float32(path):
    method = class_of(path)()
    student, teacher, target, parts = one_batch(method)
    with torch.autocast("cpu", torch.bfloat16):
        for each in filter(None, (student, teacher)):
            each.logits, each.tokens = each.logits.bfloat16(), [token.bfloat16() for token in each.tokens]
        terms = method.loss(student, teacher, target, parts)
    assert {term.dtype for term in terms.values()} == {torch.float32}


# ---- a user's mistakes


def choose(monkeypatch, path, in_config=None, **options):
    """What the cells of a row with these options run with."""
    monkeypatch.setattr(catalogue, "method", lambda _: catalogue.declared(path))
    cell = Cell("tser", "table", path.stem, "backbone", (), "data", STEPS, tuple(options.items()))
    return parameters(cell, SimpleNamespace(params={path.stem: in_config or {}}))


def complaint(*arguments, **options):
    with pytest.raises(UserError) as error:
        choose(*arguments, **options)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


@each_file
def test_defaults_are_allowed(path, monkeypatch):
    assert choose(monkeypatch, path) == tables(path)["params"]


@each_file
def test_unknown_parameter(path, monkeypatch):
    name = next(iter(tables(path)["params"]), "anything")
    assert f"method {path.stem}: unknown parameter '{name}x'" in complaint(monkeypatch, path, **{f"{name}x": 1})
    hint = f"did you mean {name}" if tables(path)["params"] else "known: none"
    assert hint in complaint(monkeypatch, path, in_config={f"{name}x": 1})


@each_file
def test_unknown_choice(path, monkeypatch):
    for key, allowed in tables(path)["choices"].items():
        said = complaint(monkeypatch, path, **{key: f"{allowed[0]}x"})
        assert f"method {path.stem}: unknown value of {key} '{allowed[0]}x': did you mean {allowed[0]}" in said


@each_file
def test_number_out_of_range(path, monkeypatch):
    for key, (low, high) in tables(path)["ranges"].items():
        for wrong in (low - 1, high + 1, "many"):
            said = complaint(monkeypatch, path, **{key: wrong})
            assert said == f"method {path.stem}: {key} must be a number from {low} to {high}, not {wrong}"


def test_a_row_goes_before_the_config_and_the_config_before_the_default(monkeypatch):
    path = catalogue.FOLDERS["method"] / "ldd.py"
    chosen = choose(monkeypatch, path, in_config={"lam": 0.2, "heads": 4}, lam=0.9)
    assert (chosen["lam"], chosen["heads"], chosen["reduce"]) == (0.9, 4, "mean")


def test_tables_are_offered_every_file_but_those_with_an_underscore():
    assert {path.stem.replace("_", "-") for path in FILES if not path.stem.startswith("_")} == set(catalogue.files("method"))
    with pytest.raises(UserError, match="unknown method 'ldb': did you mean ldd"):
        catalogue.method("ldb")


# ---- direct


def test_plif_is_the_squared_error_of_the_mean_votes():
    votes, target = torch.tensor([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 0.2], [0.5, 0.1]]]), torch.eye(2)
    loss = PLIF().loss(Outputs(votes), None, target, None)
    assert loss["task"].item() == pytest.approx((0.5**2 + 0.1**2 + 0.5**2 + 0.7**2) / 4)


def test_direct_is_the_cross_entropy_of_the_mean_logits():
    # two steps, mean logits (ln 3, 0): probabilities 3/4 and 1/4; with the target 0.9, 0.1: -(0.9 ln 3/4 + 0.1 ln 1/4)
    logits = torch.tensor([[[2 * math.log(3), 1.0]], [[0.0, -1.0]]])
    (loss,) = Direct().loss(Outputs(logits), None, torch.tensor([[0.9, 0.1]]), nn.Identity()).values()
    assert float(loss) == pytest.approx(-(0.9 * math.log(0.75) + 0.1 * math.log(0.25)))


# ---- LDD: temporal layer


def temporal_layer_in_loops(layer, token, heads):
    """Eq. 5-7 as printed: per image and head softmax(q k / sqrt(d)) v over time, then one linear layer over all steps and channels."""
    steps, batch, width = token.shape
    d = width // heads
    rows = []
    for b in range(batch):
        q, k, v = ([w.weight @ token[t, b] for t in range(steps)] for w in (layer.query, layer.key, layer.value))
        flat = []
        for t in range(steps):
            for h in range(heads):
                part = slice(h * d, (h + 1) * d)
                scores = [math.exp(float(q[t][part] @ k[u][part]) / math.sqrt(d)) for u in range(steps)]
                flat.append(sum(scores[u] / sum(scores) * v[u][part] for u in range(steps)))
        rows.append(layer.linear.weight @ torch.cat(flat) + layer.linear.bias)
    return torch.stack(rows)


@pytest.mark.parametrize(("steps", "width", "heads"), [(1, 4, 1), (2, 8, 8), (3, 12, 4), (4, 6, 2)])
@torch.no_grad()
def test_temporal_layer_is_what_the_loops_say(steps, width, heads):
    torch.manual_seed(0)
    layer, token = TemporalLayer(width, steps, 7, heads).double(), torch.randn(steps, BATCH, width).double()
    torch.testing.assert_close(layer(token), temporal_layer_in_loops(layer, token, heads))


@torch.no_grad()
def test_temporal_layer_by_hand():
    # C = 1, T = 2, token (0, ln 2), all weights 1. Step 0: scores 0, 0: mean ln 2 / 2. Step 1: weights 1 and 2^ln 2 for 0 and ln 2.
    layer = TemporalLayer(1, 2, 1, 1)
    for weight in layer.parameters():
        weight.fill_(1.0)
    layer.linear.bias.zero_()
    weight = 2 ** math.log(2)
    expected = math.log(2) / 2 + math.log(2) * weight / (1 + weight)
    assert float(layer(torch.tensor([[[0.0]], [[math.log(2)]]]))) == pytest.approx(expected)


def test_heads_divide_every_width():
    parts = LDD().parts(SimpleNamespace(widths=[12, 16, 7], steps=2), SimpleNamespace(widths=[4] * 3))
    assert [part.heads for part in parts] == [4, 8, 1]
    assert [tuple(part.linear.weight.shape) for part in parts] == [(4, 24), (4, 32), (4, 14)]


@torch.no_grad()
@pytest.mark.parametrize(("kind", "row"), [("last", [2.0, -3.0]), ("mean", [1.0, 0.0]), ("max", [2.0, 3.0])])
def test_projections_over_time(kind, row):
    part = LDD(projection=kind).parts(SimpleNamespace(widths=[2], steps=2), SimpleNamespace(widths=[2]))[0]
    assert isinstance(part, Pooled)
    part.linear.weight.copy_(torch.eye(2))
    part.linear.bias.zero_()
    assert part(torch.tensor([[[0.0, 3.0]], [[2.0, -3.0]]])).tolist() == [row]


# ---- LDD: alignment


@pytest.mark.parametrize(
    ("blocks", "students", "teachers", "expected"),
    [
        ("uniform", 4, 24, [6, 12, 18, 24]),
        ("uniform", 8, 24, [3, 6, 9, 12, 15, 18, 21, 24]),
        ("uniform", 12, 24, list(range(2, 25, 2))),
        ("uniform", 24, 24, list(range(1, 25))),
        ("uniform", 4, 2, [1, 1, 2, 2]),
        ("literal", 4, 24, [1, 2, 3, 4]),
        ("literal", 3, 2, [1, 2, 2]),
    ],
)
def test_teacher_blocks(blocks, students, teachers, expected):
    assert [k + 1 for k in LDD(blocks=blocks).teacher_blocks(students, teachers)] == expected


@pytest.mark.parametrize("students", range(1, 25))
def test_uniform_blocks_rise_to_the_teachers_last(students):
    found = LDD().teacher_blocks(students, 24)
    assert found == sorted(set(found))
    assert found[-1] == 23


def test_l2_distance_by_hand():
    # rows (3, 4) and (0, 0) from the teacher's (0, 0) and (5, 12): norms 5 and 13, not squared, mean 9
    distance = LDD(distance="l2").align(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [5.0, 12.0]]))
    assert float(distance) == pytest.approx(9.0)


def test_mse_distance_compares_normalised_tokens():
    # (1, 3) and (10, 2) normalise to (-1, 1) and (1, -1): squared differences 4 and 4; (0, 4) is (1, 3) stretched
    method = LDD(distance="mse")
    assert float(method.align(torch.tensor([[1.0, 3.0]]), torch.tensor([[10.0, 2.0]]))) == pytest.approx(4.0, abs=1e-4)
    assert float(method.align(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 4.0]]))) == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("distance", ["mse", "l2"])
@pytest.mark.parametrize("reduce", ["mean", "sum"])
@torch.no_grad()
def test_loss_is_eq_9(distance, reduce):
    """A second implementation: lam CE + (1 - lam) sum (or mean) over blocks of the distance to the teacher's block."""
    method = LDD(lam=0.25, distance=distance, reduce=reduce, heads=2)
    student, teacher, target, parts = one_batch(method)
    distances = []
    for part, token, wanted in zip(parts, student.tokens, (teacher.tokens[k][0] for k in (1, 3, 5, 7)), strict=True):
        projected = temporal_layer_in_loops(part, token, 2)
        if distance == "mse":
            projected, wanted = (
                (x - x.mean(1, keepdim=True)) / (x.var(1, correction=0, keepdim=True) + 1e-5).sqrt() for x in (projected, wanted)
            )
        squares = (projected - wanted) ** 2
        distances.append(float(squares.mean() if distance == "mse" else squares.sum(1).sqrt().mean()))
    terms = method.loss(student, teacher, target, parts)
    assert terms.keys() == {"task", "alignment"}
    assert float(terms["task"]) == pytest.approx(0.25 * float(cross_entropy(student.logits.mean(0), target)))
    assert float(terms["alignment"]) == pytest.approx(0.75 * sum(distances) / (4 if reduce == "mean" else 1), rel=1e-4)


# ---- LDD: where the gradient goes


def gradients(method):
    """Gradients of a student whose logits and tokens come from one weight per block, of the temporal layers, and the task's alone."""
    torch.manual_seed(3)
    weights = [torch.randn(width, width, requires_grad=True) for width in (6, 6, 6, 6)]
    head, x = torch.randn(6, CLASSES, requires_grad=True), torch.randn(STEPS, BATCH, 6)
    tokens = []
    for weight in weights:
        x = (x @ weight).tanh()
        tokens.append(x)
    student, teacher = Outputs(x @ head, [], tokens), outputs(TEACHER, 1, seed=1)
    parts = method.parts(SimpleNamespace(widths=[6] * 4, steps=STEPS), TEACHER)
    target = functional.one_hot(torch.arange(BATCH) % CLASSES, CLASSES).float()
    task = torch.autograd.grad(cross_entropy(student.logits.mean(0), target), [*weights, head], retain_graph=True)
    sum(method.loss(student, teacher, target, parts).values()).backward()
    return [weight.grad for weight in (*weights, head)], [weight.grad for weight in parts.parameters()], task


@pytest.mark.parametrize("lam", [0.3, 0.7, 1.0])
def test_the_literal_stop_gradient_leaves_the_student_lam_times_the_baseline(lam):
    student, parts, task = gradients(LDD(stop_gradient="token", lam=lam))
    torch.testing.assert_close(student, [lam * each for each in task])
    assert all(grad.any() for grad in parts) == (lam < 1)


def test_without_it_alignment_reaches_every_block_but_not_the_head():
    (*blocks, head), parts, task = gradients(LDD(stop_gradient="none"))
    assert all((grad - 0.7 * alone).abs().max() > 1e-6 for grad, alone in zip(blocks, task, strict=False))
    torch.testing.assert_close(head, 0.7 * task[-1])
    assert all(grad.any() for grad in parts)
