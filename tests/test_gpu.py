"""What only a CUDA device can show; skipped where there is none."""

import pytest
import torch
from spikingjelly.activation_based import functional

from benchmark.backbones import spikformer
from benchmark.neurons import maker
from benchmark.pins import cells, published
from benchmark.pins.settings import settings
from benchmark.training.run import run

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 2**-7)])  # the membrane is in single precision
def test_the_neuron_is_the_same_on_both_devices(dtype, tolerance):
    current = torch.randn(4, 8, 16, 5, 5).to(dtype)
    weight = torch.randn_like(current)
    answers = []
    for device in ("cpu", "cuda"):
        x = current.to(device).requires_grad_()
        spikes = maker(spikformer.NEURON)()(x)
        (spikes * weight.to(device)).sum().backward()
        answers.append((spikes.detach().cpu(), x.grad.cpu()))
    assert torch.equal(answers[0][0], answers[1][0])
    assert torch.allclose(answers[0][1], answers[1][1], atol=tolerance)


def test_a_static_image_is_expanded_over_time_on_the_gpu():
    size = {**spikformer.SIZES["4-384"], "depth": 1, "dim": 48}
    model = spikformer.build(size, spikformer.LAYOUTS["cifar"], maker(spikformer.NEURON), 10, (3, 16, 16), 4).cuda().eval()
    images = torch.rand(2, 3, 16, 16, device="cuda")
    still = model(images)
    functional.reset_net(model)
    moving = model(images.expand(4, -1, -1, -1, -1))
    assert torch.allclose(still, moving, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_run_on_the_gpu(tmp_path, precision):
    chosen = settings(
        {"recipe": {"epochs": 2, "precision": precision, "randaugment": "rand-m9-n1-mstd0.4-inc1", "erasing": 0.25, "mixup": 0.5}}
    )
    resolved = cells.resolve(cells.cell_of(published.read("table1_ldd")[0]), chosen)
    metrics = run(resolved.spec, 0, tmp_path, {}, tmp_path, "cuda", 2)
    assert metrics["hardware"]["gpu"]
    assert metrics["epochs"] == 2
    assert metrics["checks"]["failed"] == []
