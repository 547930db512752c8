"""Several devices: the numbers of one process with the whole batch, to rounding, whatever n and micro-batch are; no image twice or left out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmark.shared.errors import UserError
from benchmark.training import device
from benchmark.training import world as worlds
from benchmark.training.world import World
from tests import helpers
from tests.helpers import ROOT, specification

BARS = {"epochs": 2, "batch_size": 16, "lr": 3e-3, "optimizer": "sgd", "momentum": 0.9}


def together(spec: dict, out: Path, size: int, data_root: Path = ROOT / "data") -> subprocess.CompletedProcess:
    """A run in so many processes of this machine's CPU, begun by a process that has not computed anything: forks are safe there."""
    words = [sys.executable, "tests/ranks.py", json.dumps(spec), str(out), str(size), str(data_root)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TORCH_CPP_LOG_LEVEL": "ERROR"}
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, cwd=ROOT)


def weights(folder: Path) -> dict:
    return torch.load(folder / "weights.pt", weights_only=True)


def furthest(one: Path, two: Path) -> float:
    """The largest difference of two runs' weights and buffers, each as a share of its tensor's largest value, small ones of 0.01."""
    a, b = weights(one), weights(two)
    assert a.keys() == b.keys()
    return max(((a[key] - b[key]).abs().max() / a[key].abs().max().clamp_min(1e-2)).item() for key in a if a[key].is_floating_point())


def losses(folder: Path) -> list[float]:
    lines = (folder / "curve.csv").read_text().splitlines()
    place = lines[0].split(",").index("loss_task")
    return [float(line.split(",")[place]) for line in lines[1:]]


@pytest.mark.parametrize(
    ("size", "changes"),
    [
        (2, {}),
        (3, {"crop": 2, "flip": 0.5, "mixup": 0.5, "cutmix": 0.5, "erasing": 0.3}),  # 16 images: 5, 5 and 6
        (2, {"micro_batch": 6, "clip_grad": 1.0}),  # 3 + 3, 3 + 3, 2 + 2
    ],
)
def test_several_processes_learn_what_one_does(size, changes, tmp_path):
    """An ANN: in a spiking network a rounding may flip a spike."""
    network = helpers.network("ann-resnet")
    spec = specification(network=network, time_steps=1, recipe={**BARS, **changes})
    helpers.run(spec, tmp_path / "one")
    done = together(spec, tmp_path / "several", size)
    assert done.returncode == 0, done.stderr
    assert furthest(tmp_path / "one", tmp_path / "several") < 2e-5
    assert losses(tmp_path / "several") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    one, several = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "several"))
    assert several["images"] == one["images"] and several["accuracy_by_epoch"] == pytest.approx(one["accuracy_by_epoch"], abs=4)
    assert several["measured"]["hardware"]["devices"] == size and one["measured"]["hardware"]["devices"] == 1
    assert not list((tmp_path / "several").glob("*checkpoint*"))


def test_a_spiking_student_of_a_teacher_learns_the_same_in_its_first_steps(tmp_path):
    spec = specification(recipe={**BARS, "epochs": 1, "batch_size": 32})
    helpers.run(spec, tmp_path / "one")
    done = together(spec, tmp_path / "two", 2)
    assert done.returncode == 0, done.stderr
    assert furthest(tmp_path / "one", tmp_path / "two") < 1e-3


def test_images_in_folders_are_decoded_once_among_the_processes(tmp_path):
    data = helpers.data("bar-files")
    helpers.bar_files(tmp_path)
    recipe = {**BARS, "epochs": 1, "crop": [0.5, 1.0], "flip": 0.5, "mixup": 0.8, "eval_crop": 1.0}
    network = helpers.network("ann-resnet")
    spec = specification(network=network, data=data, time_steps=1, recipe=recipe)
    helpers.run(spec, tmp_path / "one", data_root=tmp_path)
    done = together(spec, tmp_path / "two", 2, tmp_path)
    assert done.returncode == 0, done.stderr
    assert furthest(tmp_path / "one", tmp_path / "two") < 2e-5


def test_a_test_set_is_asked_whole_and_in_order():
    for count in range(1, 40):
        for size in (1, 2, 3, 7):
            if count >= size:
                shares = [World(rank, size).share(count) for rank in range(size)]
                assert [place for share in shares for place in range(count)[share]] == list(range(count))
                assert all(share.stop > share.start for share in shares)


def test_a_part_that_is_too_small_is_a_mistake(tmp_path):
    spec = specification(recipe={**BARS, "micro_batch": 5})
    done = together(spec, tmp_path / "several", 2)  # 5, 5, 5 and 1
    assert done.returncode == 2 and "a part of 1 images cannot be shared by 2 devices" in done.stderr and "Traceback" not in done.stderr
    assert "a part of 1 images" in (tmp_path / "several" / "error.txt").read_text()


# ---- one GPU, one run


class Machine:
    """What torch says of three GPUs, numbered otherwise by CUDA_VISIBLE_DEVICES."""

    def __init__(self, monkeypatch, folder, order=(0, 1, 2)):
        monkeypatch.setattr(device, "PLACE", folder)
        monkeypatch.setattr(device, "PAUSE", 0.02)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(order))
        properties = [type("Properties", (), {"uuid": f"GPU-{number}"}) for number in order]
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties[index])


@pytest.fixture
def released():
    """Leases of this process, given back afterwards."""
    yield device._leases
    for file in device._leases:
        file.close()
    device._leases.clear()


def test_no_gpu_is_taken_twice(monkeypatch, tmp_path, released):
    Machine(monkeypatch, tmp_path)
    first = device.choose("auto", 2)
    assert [each.index for each in first] == [0, 1] and device.choose("cuda")[0].index == 2
    Machine(monkeypatch, tmp_path, order=(2, 0))  # another process sees the same devices under other numbers
    child = os.fork()
    if not child:
        released.clear()  # what is inherited is held by the parent
        os._exit(0 if device.held(0) is None and device.held(1) is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_run_waits_for_a_gpu_that_another_holds(monkeypatch, tmp_path, released, capsys):
    Machine(monkeypatch, tmp_path, order=(5,))
    other = device.held(0)
    looks = []
    monkeypatch.setattr(device.time, "sleep", lambda seconds: (looks.append(seconds), other.close() if len(looks) == 3 else None))
    assert device.choose("cuda:0")[0].index == 0 and len(looks) == 3
    assert capsys.readouterr().err == "waiting for 1 of 1 GPUs: others are used by other runs\n"


def test_more_gpus_than_there_are_is_a_mistake(monkeypatch, tmp_path, released):
    Machine(monkeypatch, tmp_path)
    with pytest.raises(UserError, match="4 devices are asked for, and 'auto' is 3"):
        device.choose("auto", 4)
    assert not released and [each.type for each in device.choose("cpu", 2)] == ["cpu", "cpu"]


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_answers_come_together_in_order(rank, monkeypatch):
    """Eight images of three processes, [T, B, classes]: shares of 2, 3 and 3, sent as long as the longest."""
    whole = torch.arange(2 * 8 * 4.0).view(2, 8, 4)

    def all_gather(found, mine):
        for each, place in enumerate(found):
            share = World(each, 3).share(8)
            place[: share.stop - share.start] = whole[:, share].movedim(1, 0)
        share = World(rank, 3).share(8)
        assert torch.equal(mine[: share.stop - share.start], whole[:, share].movedim(1, 0))

    monkeypatch.setattr(worlds.distributed, "all_gather", all_gather)
    mine = World(rank, 3)
    assert torch.equal(mine.gathered(whole[:, mine.share(8)], 8, 1), whole)
