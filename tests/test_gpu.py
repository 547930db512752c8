"""What only a CUDA device can show; skipped where there is none."""

import pytest
import torch
from helpers import data, network, run, specification
from test_neurons import layer
from test_neurons import run as passes

from benchmark.networks import build as networks
from benchmark.neurons import _back_ends, maker
from benchmark.neurons._surrogates import SURROGATES

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 2**-7)])  # the membrane is in single precision
def test_the_neuron_is_the_same_on_both_devices(dtype, tolerance):
    current = torch.randn(4, 8, 16, 5, 5).to(dtype)
    weight = torch.randn_like(current)
    answers = []
    for device in ("cpu", "cuda"):
        x = current.to(device).requires_grad_()
        spikes = maker(network("spikformer")["neuron"])()(x)
        (spikes * weight.to(device)).sum().backward()
        answers.append((spikes.detach().cpu(), x.grad.cpu()))
    assert torch.equal(answers[0][0], answers[1][0])
    assert torch.allclose(answers[0][1], answers[1][1], atol=tolerance)


@pytest.fixture(params=["torch", "triton"])
def by_name(request, monkeypatch):
    monkeypatch.setattr(_back_ends, "_chosen", request.param)
    return request.param


@pytest.mark.parametrize("name", ["lif", "plif"])
@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("v_reset", [0.0, None])
@pytest.mark.parametrize("steps", [1, 4, 16])
def test_each_back_end_is_the_slow_loop_on_the_cpu(name, surrogate, v_reset, steps, by_name, monkeypatch):
    """tau 2: the slow loop on a GPU multiplies by 1 / tau, which is then the same."""
    x, constants = torch.randn(steps, 3, 777) * 2 + 0.5, {"surrogate": surrogate, "v_reset": v_reset, "detach_reset": False}
    node = layer(name, **constants).cuda()
    found = passes(node, x.cuda())
    monkeypatch.setattr(_back_ends, "_chosen", "torch")
    expected = passes(layer(name, **constants), x)
    assert node.ran == {by_name} and torch.equal(found[0].cpu(), expected[0])
    torch.testing.assert_close(found[1].cpu(), expected[1], rtol=1e-5, atol=1e-6)
    for key, grad in expected[2].items():
        torch.testing.assert_close(found[2][key].cpu(), grad, rtol=1e-4, atol=1e-5)


def test_triton_divides_as_a_cpu_does(monkeypatch):
    x, answers = torch.randn(8, 3, 7777) * 2 + 0.5, []
    for back_end, there in (("torch", x), ("triton", x.cuda())):
        monkeypatch.setattr(_back_ends, "_chosen", back_end)
        answers.append(layer("lif", tau=1.7)(there).cpu())
    assert torch.equal(*answers)


def test_a_static_image_is_expanded_over_time_on_the_gpu():
    model = networks.build(network("spikformer", dim=48, heads=12), 10, [3, 16, 16], 4).cuda().eval()
    images = torch.rand(2, 3, 16, 16, device="cuda")
    still = model(images)
    networks.reset(model)
    moving = model(images.expand(4, -1, -1, -1, -1))
    assert torch.allclose(still, moving, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_run_on_the_gpu(tmp_path, precision):
    recipe = {"precision": precision, "randaugment": "rand-m9-n1-mstd0.4-inc1", "erasing": 0.25, "mixup": 0.5}
    metrics = run(specification(network=network("spikformer"), data=data("digits", "digits"), recipe=recipe), tmp_path, on="cuda")
    assert metrics["trained"][0]["hardware"]["gpu"] and metrics["measured"]["hardware"]["gpu"]
    assert metrics["measured"]["neurons"] == metrics["trained"][0]["neurons"] == ["spikingjelly"]
    assert metrics["epochs"] == 2 and metrics["checks"]["failed"] == []


def test_a_run_on_events_on_the_gpu(tmp_path):
    spec = specification(
        data=data("moving-bars"), network=network("spikformer-dvs"), time_steps=4, recipe={"batch_size": 8, "event_augment": "nda"}
    )
    assert run(spec, tmp_path, on="cuda")["images"] == {"train": 64, "test": 32}
