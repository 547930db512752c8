"""Events: recordings of every format read or refused in one line, frames as tonic and spikingjelly cut them, a cache that is never stale."""

import csv
import hashlib
import io
import math
import multiprocessing
import os
import re
import struct
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tonic.datasets
import tonic.io
import torch
from PIL import Image
from spikingjelly.datasets import cifar10_dvs as spikingjelly_cifar10_dvs
from spikingjelly.datasets import utils as spikingjelly
from tonic.transforms import ToFrame
from torchvision.transforms import functional
from torchvision.transforms.functional import InterpolationMode

from benchmark.datasets import (
    _camera,
    _draw,
    _event_augment,
    _events,
    _frame_cache,
    _recordings,
    cifar10_dvs,
    dvs128,
    event_digits,
    n_mnist,
)
from benchmark.datasets._events import EVENT
from benchmark.datasets._recordings import File, read
from benchmark.shared.errors import UserError
from benchmark.training import forms
from benchmark.workflow import command

SHAPE = [2, 128, 128]
REAL = pytest.mark.skipif("SPIKELEDGER_DATA" not in os.environ, reason="needs real recordings: set SPIKELEDGER_DATA to their folder")
CHECKSUMS = {  # of the stand-ins: the same events on every machine
    "saccade-digits": "057646d61f1baa752bcc22d29e8c9dafd05c8ffa3e2a18ee329b96e75c2b34c4",
    "motion-digits": "d1ae63832249fb8557cbbdf7ef11cd689a14a802336d8836bb9a22d10d8b7041",
}


def made_up(count=5000, seed=0, size=128, lasting=200_000) -> np.ndarray:
    """Events anywhere, some at the same time."""
    random = np.random.default_rng(seed)
    found = np.empty(count, EVENT)
    for name, end in (("x", size), ("y", size), ("p", 2)):
        found[name] = random.integers(0, end, count)
    found["t"] = np.sort(random.integers(0, lasting, count)) + 77
    return found


def framed(data, steps):
    """A data set with both splits cut into frames, as the form does it."""
    return replace(data, train=forms.events.framed(data.train, steps), test=forms.events.framed(data.test, steps))


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


# Files as cameras and libraries write them


def as_bin(events) -> bytes:
    x, y, t, p = (events[name].astype(np.int64) for name in ("x", "y", "t", "p"))
    return np.stack([x, y, p << 7 | t >> 16 & 127, t >> 8 & 255, t & 255], 1).astype(np.uint8).tobytes()


def as_aedat2(events, start=0) -> bytes:
    x, y, t, p = (events[name].astype(np.int64) for name in ("x", "y", "t", "p"))
    address = 127 - x << 8 | 127 - y << 1 | 1 - p
    words = np.stack([address, t + start & 0xFFFFFFFF], 1).astype(">u4").tobytes()
    return b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n# Timestamps tick: 1 us\r\n" + words


def as_aedat3(events, each=100) -> bytes:
    x, y, t, p = (events[name].astype(np.int64) for name in ("x", "y", "t", "p"))
    parts = [b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n", struct.pack("<HHIIIIII", 0, 1, 8, 4, 0, 1, 1, 1) + bytes(8)]
    words = np.stack([x << 17 | y << 2 | p << 1 | 1, t & 0x7FFFFFFF], 1).astype("<u4")
    for first in range(0, len(events), each):
        packet = words[first : first + each]
        parts.append(struct.pack("<HHIIIIII", 1, 1, 8, 4, t[first] >> 31, len(packet), len(packet), len(packet)) + packet.tobytes())
    return b"".join(parts)


def as_aedat4(events) -> bytes:
    """Two flatbuffers: a header with XML, and one uncompressed packet."""
    info = '<node name="info"><attr key="sizeX" type="int">128</attr><attr key="sizeY" type="int">128</attr></node>'
    kind = '<attr key="compression" type="string">NONE</attr><attr key="typeIdentifier" type="string">EVTS</attr>'
    xml = f'<dv version="2.0"><node name="outInfo"><node name="0">{kind}{info}</node></node></dv>'.encode()
    header = struct.pack("<I4s5H2xiII", 20, b"IOHE", 10, 8, 0, 0, 4, 12, 4, len(xml)) + xml + b"\0"
    header += b"\0" * (-len(header) % 4)
    body = np.zeros(
        len(events), {"names": ["t", "x", "y", "p"], "formats": ["<i8", "<i2", "<i2", "?"], "offsets": [0, 8, 10, 12], "itemsize": 16}
    )
    for name in body.dtype.names:
        body[name] = events[name]
    packet = struct.pack("<I4s3H2xiII", 16, b"EVTS", 6, 8, 4, 8, 4, len(events)) + body.tobytes()
    packet = struct.pack("<I", len(packet)) + packet
    return b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(header)) + header + struct.pack("<II", 0, len(packet)) + packet


def as_npz(events) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **{name: events[name].astype(np.int64) for name in "txyp"})
    return file.getvalue()


def as_npy(events) -> bytes:
    file = io.BytesIO()
    np.save(file, np.stack([events["x"], events["y"], events["p"], events["t"] // 1000], 1))
    return file.getvalue()


def as_structured(events) -> bytes:
    file = io.BytesIO()
    np.save(file, events)
    return file.getvalue()


FORMATS = {  # name -> (suffix, writer)
    "bin": (".bin", as_bin),
    "aedat2": (".aedat", as_aedat2),
    "aedat3": (".aedat", as_aedat3),
    "aedat4": (".aedat4", as_aedat4),
    "npz": (".npz", as_npz),
    "npy": (".npy", as_npy),
    "structured": (".npy", as_structured),
}


def write(folder: Path, name: str, events) -> Path:
    suffix, writer = FORMATS[name]
    if name == "aedat4":
        pytest.importorskip("aedat", reason="tonic decodes AEDAT 4.0 with the package aedat")
    path = folder / f"recording{suffix}"
    path.write_bytes(writer(events))
    return path


# Events and frames


def test_events_are_tonics():
    assert tonic.io.events_struct == EVENT


def cut_by_its_library(events, steps, rule, shape):
    library, by = rule.split("-")
    _, height, width = shape
    if library == "tonic":
        return ToFrame((width, height, 2), **{{"number": "n_event_bins", "time": "n_time_bins"}[by]: steps})(events)
    columns = {name: events[name] for name in "txyp"}
    return spikingjelly.integrate_events_by_fixed_frames_number(columns, by, steps, height, width)


@pytest.mark.parametrize("rule", _events.RULES)
@pytest.mark.parametrize("steps", [1, 7, 10, 16])
def test_frames_are_those_of_the_library(rule, steps):
    for seed, (count, lasting) in enumerate([(5000, 200_000), (5003, 1000), (1600, 16 * 500), (1615, 10_007), (997, 300)]):
        events = made_up(count, seed, lasting=lasting)
        ours = _events.cut(events, SHAPE, steps, rule)
        theirs = cut_by_its_library(events, steps, rule, SHAPE)
        assert ours.shape == theirs.shape and np.array_equal(ours, theirs), (rule, steps, count)
        left_over = rule.startswith("spikingjelly")
        assert ours.sum() == count if left_over else ours.sum() <= count


def test_what_is_left_over_goes_to_spikingjellys_last_frame_and_to_none_of_tonics():
    events = made_up(1609)
    sums = {rule: _events.cut(events, SHAPE, 16, rule).sum((1, 2, 3)).tolist() for rule in _events.RULES}
    assert sums["tonic-number"] == [100] * 16 and sums["spikingjelly-number"] == [100] * 15 + [109]
    assert sums["spikingjelly-time"][:15] == sums["tonic-time"][:15] and sums["spikingjelly-time"][15] > sums["tonic-time"][15]


def test_rectangular_sensors_and_wide_counts():
    events = np.zeros(70_000, EVENT)
    events["x"], events["y"], events["p"], events["t"] = 5, 2, True, np.arange(70_000)
    frames = _events.cut(events, [2, 4, 9], 2, "tonic-number")
    assert frames.shape == (2, 2, 4, 9) and frames[:, 1, 2, 5].tolist() == [35_000, 35_000] and frames.sum() == 70_000
    assert np.array_equal(frames, cut_by_its_library(events, 2, "spikingjelly-number", [2, 4, 9]))


def test_a_window_without_events_is_an_empty_frame():
    events = made_up(200, lasting=1000)
    events["t"][100:] += 10_000
    for rule in ("spikingjelly-time", "tonic-time"):
        sums = _events.cut(events, SHAPE, 10, rule).sum((1, 2, 3))
        assert sums[0] == 100 and not sums[1:8].any() and sums[-1] > 0


def test_fewer_events_or_microseconds_than_frames_are_refused():
    for rule in _events.RULES:
        events = made_up(9)
        events["t"] = np.arange(9)
        with pytest.raises(UserError, match="a.bin: 9 events in [0-9]+ us are too few for 10 frames"):
            _events.cut(events, SHAPE, 10, rule, "a.bin")


def test_unchecked_events_never_write_outside_the_frames():
    for name, wrong in (("x", 128), ("x", -1), ("y", 128), ("y", -1)):
        events = made_up(100)
        events[name][50] = wrong
        with pytest.raises(ValueError, match="outside a sensor"):
            _events.cut(events, SHAPE, 4, "tonic-number")


@pytest.mark.parametrize("rule", _events.RULES)
def test_cutting_is_five_times_faster_than_tonic(rule):
    events, seconds = made_up(150_000, lasting=1_300_000), {}
    transform = {"number": ToFrame((128, 128, 2), n_event_bins=16), "time": ToFrame((128, 128, 2), n_time_bins=16)}[rule.split("-")[1]]
    work = {"ours": lambda: _events.cut(events, SHAPE, 16, rule), "tonic": lambda: transform(events)}
    work["ours"]()  # compiles
    for _ in range(5):
        for name, function in work.items():
            began = time.thread_time()
            function()
            seconds[name] = min(seconds.get(name, math.inf), time.thread_time() - began)
    assert seconds["tonic"] > 5 * seconds["ours"], seconds


# Reading


@pytest.mark.parametrize("name", FORMATS)
def test_a_recording_is_read_as_it_was_written(name, tmp_path):
    events = made_up(777)
    path = write(tmp_path, name, events)
    expected = events.copy()
    if name == "npy":
        expected["t"] = expected["t"] // 1000 * 1000  # tonic's Gesture is in milliseconds
    assert np.array_equal(read(path, SHAPE), expected)


def test_n_mnist_is_read_as_tonic_reads_it_clock_overflows_too(tmp_path):
    events = made_up(500, size=34)
    events["t"][:] = np.sort(np.arange(500) * 11 % 5000)
    events["y"][[100, 250, 251]] = 240
    path = write(tmp_path, "bin", events)
    theirs = tonic.io.read_mnist_file(str(path), dtype=EVENT)
    assert np.array_equal(read(path, [2, 34, 34]), theirs) and len(theirs) == 497 and theirs["t"][-1] > 3 * 2**13


def test_cifar10_dvs_is_read_as_spikingjelly_reads_it(tmp_path):
    path = write(tmp_path, "aedat2", made_up(500))
    ours, theirs = read(path, SHAPE), spikingjelly_cifar10_dvs._load_origin_data(path)
    assert all(np.array_equal(ours[name], theirs[name]) for name in "txyp")


def test_a_cameras_clock_may_begin_again(tmp_path):
    events = made_up(500)
    path = tmp_path / "a.aedat"
    path.write_bytes(as_aedat2(events, start=2**32 - 100_000))
    assert np.array_equal(read(path, SHAPE)["t"], events["t"] + 2**32 - 100_000)


def test_gesture_is_read_as_spikingjelly_reads_it(tmp_path):
    events = made_up(950)
    events["t"] += 2**31 - 100_000  # over the end of a 31-bit clock
    path = write(tmp_path, "aedat3", events)
    path.write_bytes(as_aedat3(events, each=1))
    ours, theirs = read(path, SHAPE), spikingjelly.load_aedat_v3(path)
    assert all(np.array_equal(ours[name], theirs[name]) for name in "txyp") and np.array_equal(ours, events)


def test_gesture_in_milliseconds_is_read_as_tonic_reads_it(tmp_path):
    path = write(tmp_path, "npy", made_up(500))
    theirs = np.load(path)
    theirs[:, 3] *= 1000
    theirs = np.lib.recfunctions.unstructured_to_structured(theirs, tonic.datasets.DVSGesture.dtype)
    ours = read(path, SHAPE)
    assert all(np.array_equal(ours[name], theirs[name]) for name in "txyp")


def test_a_recording_may_be_a_window_of_a_file(tmp_path):
    events = made_up(1000)
    path = write(tmp_path, "aedat3", events)
    window = (int(events["t"][200]), int(events["t"][700]))
    part = File(path, window).events(SHAPE)
    assert np.array_equal(part, events[(events["t"] >= window[0]) & (events["t"] < window[1])]) and 490 < len(part) < 510
    with pytest.raises(UserError, match=f"{re.escape(str(path))} from 5 to 6 us: holds no events"):
        File(path, (5, 6)).events(SHAPE)


def changed(**values):
    events = made_up(300)
    for name, (index, value) in values.items():
        events[name][index] = value
    return events


BAD = {  # what is wrong: (format, how its bytes come about, what the line says)
    "truncated bin": ("bin", lambda: as_bin(made_up(300))[:-2], "is truncated: 1498 bytes"),
    "truncated aedat2": ("aedat2", lambda: as_aedat2(made_up(300))[:-3], "is truncated"),
    "truncated aedat3": ("aedat3", lambda: as_aedat3(made_up(300))[:-3], "is truncated: its last packet has 797 of 800 bytes"),
    "truncated aedat3 header": ("aedat3", lambda: as_aedat3(made_up(300)) + b"\1\0\1", "is damaged"),
    "truncated aedat4": ("aedat4", lambda: as_aedat4(made_up(300))[:-3], "is damaged"),
    "damaged npz": ("npz", lambda: as_npz(made_up(300))[:-100], "is damaged"),
    "npz with wrong bytes": ("npz", lambda: as_npz(made_up(300)).replace(as_npz(made_up(300))[200:220], bytes(20)), "is damaged"),
    "truncated npy": ("npy", lambda: as_npy(made_up(300))[:-9], "is damaged"),
    "no archive": ("npz", lambda: b"<html>404</html>", "is damaged"),
    "empty file": ("npz", lambda: b"", "is damaged"),
    "no events in bin": ("bin", lambda: b"", "holds no events"),
    "no events in aedat2": ("aedat2", lambda: as_aedat2(made_up(0)), "holds no events"),
    "no events in aedat3": ("aedat3", lambda: as_aedat3(made_up(0)), "holds no events"),
    "no events in npz": ("npz", lambda: as_npz(made_up(0)), "holds no events"),
    "other version": ("aedat2", lambda: b"#!AER-DAT1.0\r\n", "begins with b'#!AER-DAT1.0'"),
    "x outside": ("npz", lambda: as_npz(changed(x=(7, 128))), "event 7 of 300 has x = 128, which the sensor of 128 x 128 pixels"),
    "y outside": ("npz", lambda: as_npz(changed(y=(8, -1))), "event 8 of 300 has y = -1"),
    "x outside in aedat3": ("aedat3", lambda: as_aedat3(changed(x=(9, 345))), "event 9 of 300 has x = 345"),
    "x far outside": ("npz", lambda: savez(x=made_up(300)["x"].astype(np.int64) + 2**16), "event 0 of 300 has x = 65"),
    "polarity": ("npz", lambda: savez(p=np.full(300, 2)), "event 0 of 300 has p = 2"),
    "negative time": ("npz", lambda: savez(t=np.arange(300) - 5), "event 0 of 300 has t = -5"),
    "another camera": (
        "aedat2",
        lambda: as_aedat2(made_up(9)) + struct.pack(">II", 1 << 22, 999_999),
        "event 9 has an address that a DVS128",
    ),
    "out of order": ("npz", lambda: as_npz(changed(t=(20, 0))), "out of order: time runs back 1 times, first from [0-9]+ to 0 us"),
    "lengths differ": ("npz", lambda: savez(x=np.zeros(299, int)), r"'x' has the shape \(299,\), of 300 events"),
    "not columns": ("npz", lambda: savez(x=np.zeros((300, 2), int)), r"'x' has the shape \(300, 2\)"),
    "fractions": ("npz", lambda: savez(x=np.full(300, 0.5)), "'x' is not a column of whole numbers"),
    "not a number": ("npz", lambda: savez(x=np.full(300, np.nan)), "'x' is not a column of whole numbers"),
    "infinite": ("npz", lambda: savez(x=np.full(300, np.inf)), "event 0 of 300 has x = inf"),
    "words": ("npz", lambda: savez(x=np.full(300, "a")), "'x' is not a column of whole numbers"),
    "objects": ("npz", lambda: savez(x=np.full(300, None)), "is damaged: .*allow_pickle"),
    "no column": ("npz", lambda: savez(x=None), "has no column x; spikingjelly's have"),
    "flat npy": ("npy", lambda: save(np.arange(12)), r"has the shape \(12,\)"),
}


def savez(**columns) -> bytes:
    file = io.BytesIO()
    columns = {**{name: made_up(300)[name].astype(np.int64) for name in "txyp"}, **columns}
    np.savez(file, **{name: column for name, column in columns.items() if column is not None})
    return file.getvalue()


def save(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize("what", BAD)
def test_a_bad_recording_is_one_line_that_names_it(what, tmp_path):
    name, content, said = BAD[what]
    path = write(tmp_path, name, made_up(3))
    path.write_bytes(content())
    with pytest.raises(UserError, match=said) as error:
        read(path, SHAPE)
    assert str(path) in one_line(error)


def test_unreadable_files_are_named(tmp_path):
    for path, said in (
        (tmp_path / "a.npz", "No such file"),
        (tmp_path / "a.bin", "No such file"),
        (tmp_path / "a.txt", "no recording is read"),
    ):
        with pytest.raises(UserError, match=said) as error:
            read(path, SHAPE)
        assert str(path) in one_line(error)
    (tmp_path / "b.npz").mkdir()
    with pytest.raises(UserError, match="Is a directory"):
        read(tmp_path / "b.npz", SHAPE)


def test_aedat4_says_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "aedat", None)
    (tmp_path / "a.aedat4").write_bytes(as_aedat4(made_up(9)))
    with pytest.raises(UserError, match="pip install aedat"):
        read(tmp_path / "a.aedat4", SHAPE)


def mutated(content: bytes, random) -> bytes:
    """Cut off, bytes changed, removed, added, doubled, or a header's number made large."""
    content = bytearray(content)
    kind, where = random.integers(6), int(random.integers(len(content)))
    if kind == 0:
        del content[where:]
    elif kind == 1:
        for place in random.integers(0, len(content), random.integers(1, 8)):
            content[place] = random.integers(256)
    elif kind == 2:
        del content[where : where + int(random.integers(1, 40))]
    elif kind == 3:
        content[where:where] = random.integers(0, 256, random.integers(1, 40), dtype=np.uint8).tobytes()
    elif kind == 4:
        content[where:where] = content[: int(random.integers(1, 200))]
    else:
        head = int(random.integers(min(200, len(content))))
        content[head : head + 4] = b"\xff\xff\xff\x7f"
    return bytes(content)


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_recordings_are_read_inside_the_sensor_or_refused(name, tmp_path):
    """200 mutants of each of the formats: no hang, no other error, no event outside the sensor or out of order."""
    path = write(tmp_path, name, made_up(60, size=34))
    whole, random, ends = path.read_bytes(), np.random.default_rng(0), Counter()
    for _ in range(200):
        path.write_bytes(mutated(whole, random))
        began = time.monotonic()
        try:
            events = read(path, [2, 34, 34])
        except UserError as error:
            ends["refused"] += 1
            assert str(path) in str(error) and "\n" not in str(error)  # noqa: PT017  (how often it is refused is counted)
        else:
            ends["read"] += 1
            assert events.dtype == EVENT and len(events) and (np.diff(events["t"]) >= 0).all()
            assert events["x"].min() >= 0 and events["x"].max() < 34 and events["y"].min() >= 0 and events["y"].max() < 34
        assert time.monotonic() - began < 5
    assert ends["refused"] > 50 and sum(ends.values()) == 200


def test_a_large_file_of_overflows_does_not_hang(tmp_path):
    """tonic's reader takes a pass over the whole file for each of them."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"\xf0" * 5_000_000)
    with pytest.raises(UserError, match="holds no events"):
        read(path, [2, 34, 34])


# Data sets


def few(monkeypatch, module, **counts):
    """The data sets of a file, with fewer recordings."""
    for name, entry in module.DATASETS.items():
        monkeypatch.setitem(module.DATASETS, name, {**entry, **counts})


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """Writes CIFAR10-DVS with twelve recordings a class in one of its layouts; recording n of class c has 100 + 20 c + n events."""
    few(monkeypatch, cifar10_dvs, train=100, test=20)
    monkeypatch.setattr(cifar10_dvs, "EACH", 12)
    rule = {"first-90": sorted(range(12), key=str)[10:], "samples-0-99": [0, 1], "random": [3, 7]}
    monkeypatch.setattr(cifar10_dvs, "split", lambda name: dict.fromkeys(cifar10_dvs.CLASSES, set(rule[name])))

    def write_all(place="CIFAR10DVS/events_np", name="npz"):
        for label, kind in enumerate(cifar10_dvs.CLASSES):
            (tmp_path / place / kind).mkdir(parents=True)
            for number in range(12):
                suffix, writer = FORMATS[name]
                events = made_up(100 + 20 * label + number, seed=100 * label + number)
                (tmp_path / place / kind / f"cifar10_{kind}_{number}{suffix}").write_bytes(writer(events))
        return tmp_path

    return write_all


LAYOUTS = [("CIFAR10DVS/events_np", "npz"), ("events_np", "npz"), ("cifar10dvs/extract", "aedat2"), ("CIFAR10DVS", "aedat4")]


@pytest.mark.parametrize(("place", "name"), LAYOUTS)
def test_cifar10_dvs_is_read_from_each_layout(place, name, cifar10):
    if name == "aedat4":
        pytest.importorskip("aedat")
    data = cifar10_dvs.load("CIFAR10-DVS", cifar10(place, name))
    assert len(data.train) == 100 and len(data.test) == 20
    assert data.train.labels.tolist() == [label for label in range(10) for _ in range(10)]
    frames = framed(data, 4)
    assert frames.train.images.shape == (100, 4, 2, 128, 128) and frames.test.images.dtype == torch.uint8
    order = sorted(range(12), key=str)  # as files are sorted by name
    assert frames.train.images.sum((1, 2, 3, 4)).tolist() == [100 + 20 * label + number for label in range(10) for number in order[:10]]
    assert frames.test.images.sum((1, 2, 3, 4)).tolist() == [100 + 20 * label + number for label in range(10) for number in order[10:]]


def test_each_split_of_cifar10_dvs_has_its_recordings_and_checksum(cifar10):
    root, checksums = cifar10(), set()
    for name, numbers in (("CIFAR10-DVS", [8, 9]), ("CIFAR10-DVS-samples-0-99", [0, 1]), ("CIFAR10-DVS-random", [3, 7])):
        data = cifar10_dvs.load(name, root)
        assert [int(source.path.stem.split("_")[-1]) for source in data.test.sources] == numbers * 10
        assert not {source.path for source in data.train.sources} & {source.path for source in data.test.sources}
        checksums.add(data.checksum)
    assert len(checksums) == 3


def test_the_splits_of_cifar10_dvs_are_what_they_are_said_to_be():
    with cifar10_dvs.SPLITS.open(newline="") as file:
        written = {(line["split"], line["class"]): [int(number) for number in line["test"].split()] for line in csv.DictReader(file)}
    random = np.random.default_rng(0)
    for kind in cifar10_dvs.CLASSES:
        names = sorted(f"cifar10_{kind}_{number}.npz" for number in range(1000))
        last = [int(name.removesuffix(".npz").split("_")[-1]) for name in names[math.ceil(0.9 * 1000) :]]
        assert written.pop(("first-90", kind)) == sorted(last)
        assert written.pop(("samples-0-99", kind)) == list(range(100))
        assert written.pop(("random", kind)) == sorted(random.permutation(1000)[:100].tolist())
    assert not written
    for entry in cifar10_dvs.DATASETS.values():
        tests = cifar10_dvs.split(entry["split"])
        assert list(tests) == list(cifar10_dvs.CLASSES) and {len(numbers) for numbers in tests.values()} == {100}
        assert entry["train"] == 9000 and entry["test"] == 1000


def test_the_classes_of_cifar10_dvs_are_tonics_and_spikingjellys():
    assert cifar10_dvs.CLASSES == spikingjelly_cifar10_dvs.CIFAR10DVS_CLASS_NAMES
    assert {kind: label for label, kind in enumerate(cifar10_dvs.CLASSES)} == tonic.datasets.CIFAR10DVS.classes


def test_an_edited_split_is_refused(tmp_path, monkeypatch):
    edited = tmp_path / "splits.csv"
    edited.write_bytes(cifar10_dvs.SPLITS.read_bytes().replace(b"airplane,0 1", b"airplane,0 2", 1))
    monkeypatch.setattr(cifar10_dvs, "SPLITS", edited)
    with pytest.raises(UserError, match="a new split needs a new name"):
        cifar10_dvs.split("first-90")


def test_a_class_folder_that_is_not_whole_is_named(cifar10):
    root = cifar10()
    folder = root / "CIFAR10DVS/events_np/deer"
    (folder / "cifar10_deer_5.npz").unlink()
    with pytest.raises(UserError, match=f"{re.escape(str(folder))} has 11 recordings, 12 are needed.*number 5 is missing"):
        cifar10_dvs.load("CIFAR10-DVS", root)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(UserError, match=f"{re.escape(str(folder))} has no .npz recordings: 10 class folders are needed, airplane to truck"):
        cifar10_dvs.load("CIFAR10-DVS", root)


def test_a_recording_that_does_not_belong_is_named(cifar10):
    root = cifar10()
    folder = root / "CIFAR10DVS/events_np/deer"
    (folder / "copy.npz").write_bytes((folder / "cifar10_deer_5.npz").read_bytes())
    with pytest.raises(UserError, match="deer has 13 recordings, 12 are needed"):
        cifar10_dvs.load("CIFAR10-DVS", root)


def test_a_damaged_recording_in_a_data_set_is_named(cifar10):
    root = cifar10()
    path = root / "CIFAR10DVS/events_np/frog/cifar10_frog_3.npz"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError, match=f"{re.escape(str(path))} is damaged") as error:
        framed(cifar10_dvs.load("CIFAR10-DVS", root), 4)
    one_line(error)
    assert not list((root / ".frames").glob("*.npy*")) and not list((root / ".frames").glob(".*partial"))


@pytest.mark.parametrize(
    ("module", "name", "said"),
    [
        (cifar10_dvs, "CIFAR10-DVS", "events_np/<class>/.*download CIFAR10-DVS"),
        (dvs128, "DVS128", "events_np/train/<class>.*DVS128-tonic"),
        (dvs128, "DVS128-tonic", "ibmGestureTrain/.*download DVS128-tonic"),
        (n_mnist, "N-MNIST", "Train/<digit>/.*download N-MNIST"),
    ],
)
def test_what_is_not_there_is_said_with_what_to_do(module, name, said, tmp_path):
    with pytest.raises(UserError, match=f"{name} is not in {re.escape(str(tmp_path))}: put .*{said}") as error:
        module.load(name, tmp_path)
    one_line(error)


def gesture(root: Path, layout: str, splits=(("train", 2), ("test", 1))):
    """DVS128 Gesture: of each split `people`, each with all eleven gestures; person n's gesture c has 100 + 20 c + n events."""
    for split, people in splits:
        for person in range(people):
            events = [made_up(100 + 20 * label + person, seed=label, lasting=9000) for label in range(11)]
            who = f"user{person + 1:02d}_lab"
            for label, found in enumerate(events):
                if layout == "npz":
                    path = root / f"DVS128Gesture/events_np/{split}/{label}/{who}_0.npz"
                elif layout == "npy":
                    path = root / f"DVSGesture/ibmGesture{split.title()}/{who}/{label}.npy"
                else:
                    found["t"] += 1_000_000 * label
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(FORMATS[layout][1](found))
            if layout == "aedat3":
                folder = root / "DVS128Gesture/extract/DvsGesture"
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{split}_{who}.aedat").write_bytes(as_aedat3(np.concatenate(events)))
                lines = [f"{label + 1},{1_000_000 * label},{1_000_000 * label + 500_000}" for label in range(11)]
                (folder / f"{split}_{who}_labels.csv").write_text("class,startTime_usec,endTime_usec\n" + "\n".join(lines) + "\n")
                with (folder / f"trials_to_{split}.txt").open("a") as file:
                    file.write(f"{split}_{who}.aedat\n")
    return root


@pytest.mark.parametrize(("name", "layout"), [("DVS128", "npz"), ("DVS128", "aedat3"), ("DVS128-tonic", "npy")])
def test_gesture_is_read_from_each_layout(name, layout, tmp_path, monkeypatch):
    few(monkeypatch, dvs128, train=22, test=11)
    data = framed(dvs128.load(name, gesture(tmp_path, layout)), 4)
    assert data.train.labels.tolist() == [label for label in range(11) for _ in range(2)] and data.test.labels.tolist() == list(range(11))
    assert data.train.images.sum((1, 2, 3, 4)).tolist() == [100 + 20 * label + person for label in range(11) for person in range(2)]


def test_other_windows_of_the_same_files_are_another_data_set(tmp_path, monkeypatch):
    few(monkeypatch, dvs128, train=22, test=11)
    before = dvs128.load("DVS128", gesture(tmp_path, "aedat3"))
    labels = tmp_path / "DVS128Gesture/extract/DvsGesture/train_user01_lab_labels.csv"
    labels.write_text(labels.read_text().replace("1,0,500000", "1,0,4000"))
    after = dvs128.load("DVS128", tmp_path)
    assert before.checksum != after.checksum and before.test.checksum == after.test.checksum
    assert before.train.frames(2)[0].sum() == 100 > after.train.frames(2)[0].sum() > 20


def test_gestures_label_files_are_checked(tmp_path, monkeypatch):
    few(monkeypatch, dvs128, train=22, test=11)
    labels = gesture(tmp_path, "aedat3") / "DVS128Gesture/extract/DvsGesture/train_user01_lab_labels.csv"
    for text, said in (
        ("class,startTime_usec,endTime_usec\n12,0,5\n", "class 12 from 0 to 5 us"),
        ("class,startTime_usec,endTime_usec\n1,9,5\n", "class 1 from 9 to 5 us"),
        ("class,startTime_usec,endTime_usec\n1,x,5\n", "invalid literal"),
        ("class,startTime_usec,endTime_usec\n1,2\n", "its lines are class, startTime_usec, endTime_usec"),
        ("class,startTime_usec,endTime_usec\n", "no lines"),
        ("\0", "is damaged"),
    ):
        labels.write_text(text)
        with pytest.raises(UserError, match=f"{re.escape(str(labels))} is damaged: .*{said}" if said != "is damaged" else said) as error:
            dvs128.load("DVS128", tmp_path)
        one_line(error)
    labels.unlink()
    with pytest.raises(UserError, match=f"{re.escape(str(labels))} cannot be read: No such file"):
        dvs128.load("DVS128", tmp_path)


def test_gesture_with_too_few_recordings_is_refused(tmp_path, monkeypatch):
    few(monkeypatch, dvs128, train=22, test=11)
    root = gesture(tmp_path, "npz")
    (root / "DVS128Gesture/events_np/train/4/user02_lab_0.npz").unlink()
    with pytest.raises(UserError, match="events_np/train has 21 train recordings, 22 are needed"):
        dvs128.load("DVS128", root)
    root = gesture(tmp_path / "tonic", "npy")
    path = root / "DVSGesture/ibmGestureTest/user01_lab/7.npy"
    path.unlink()
    with pytest.raises(UserError, match="ibmGestureTest has 10 test recordings, 11 are needed; class 7 has none"):
        dvs128.load("DVS128-tonic", root)
    path.with_name("eleven.npy").write_bytes(b"")
    with pytest.raises(UserError, match="eleven.npy: no class is called eleven"):
        dvs128.load("DVS128-tonic", root)


def test_only_tonics_gesture_is_fetched(tmp_path):
    with pytest.raises(UserError, match="gives it out by hand"):
        dvs128.download("DVS128", tmp_path)


def n_mnist_files(root: Path, train=30, test=20):
    for split, count in (("Train", train), ("Test", test)):
        for number in range(1, count + 1):
            path = root / "NMNIST" / split / str(number * 7 % 10) / f"{number:05d}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(as_bin(made_up(100 + number, seed=number, size=34)))
    return root


def test_n_mnist_is_read_whole_or_the_first_of_it(tmp_path, monkeypatch):
    monkeypatch.setitem(n_mnist.DATASETS, "N-MNIST", {**n_mnist.DATASETS["N-MNIST"], "train": 30, "test": 20})
    monkeypatch.setitem(n_mnist.DATASETS, "N-MNIST-1000", {**n_mnist.DATASETS["N-MNIST-1000"], "train": 20, "test": 10})
    root = n_mnist_files(tmp_path)
    for name, train, test in (("N-MNIST", 30, 20), ("N-MNIST-1000", 20, 10)):
        data = framed(n_mnist.load(name, root), 4)
        assert data.train.images.shape == (train, 4, 2, 34, 34) and len(data.test) == test
        numbers = (data.train.images.sum((1, 2, 3, 4), dtype=torch.int64) - 100).tolist()
        assert sorted(numbers) == list(range(1, train + 1))
        assert data.train.labels.tolist() == [number * 7 % 10 for number in numbers]
    missing = root / "NMNIST/Test/1/00003.bin"
    missing.rename(missing.with_name("00099.bin"))
    with pytest.raises(UserError, match="NMNIST/Test has 9 recordings of N-MNIST-1000, 10 are needed; 00003.bin is missing"):
        n_mnist.load("N-MNIST-1000", root)


# The cache of frames


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Six recordings as a split, loaded anew at each call; `recorded.reads` counts files read."""
    for number in range(6):
        (tmp_path / f"{number}.npz").write_bytes(as_npz(made_up(400, seed=number)))
    monkeypatch.setattr(_frame_cache, "SETTLED", 0)

    def load(rule="spikingjelly-number"):
        sources = [File(path) for path in sorted(tmp_path.glob("*.npz"))]
        return _recordings.recorded(sources, list(range(6)), {"shape": SHAPE, "frames": rule}, tmp_path)

    def counted(path, shape, window=None):
        load.reads.append(path.name)
        return read(path, shape, window)

    def hashed(path):
        load.hashes.append(path.name)
        return sha256(path)

    sha256 = _frame_cache.sha256
    load.reads, load.hashes, load.folder = [], [], tmp_path
    monkeypatch.setattr(_recordings, "read", counted)
    monkeypatch.setattr(_frame_cache, "sha256", hashed)
    return load


def expected(split, steps, rule="spikingjelly-number"):
    return np.stack([cut_by_its_library(read(source.path, SHAPE), steps, rule, SHAPE) for source in split.sources])


def test_frames_are_cut_once_and_files_hashed_once(recorded):
    first = recorded().frames(4)
    assert sorted(recorded.reads) == sorted(recorded.hashes) == [f"{number}.npz" for number in range(6)]
    split = recorded()
    again = split.frames(4)
    assert len(recorded.reads) == 6 and len(recorded.hashes) == 6
    assert torch.equal(first, again) and np.array_equal(first, expected(split, 4)) and first.dtype == torch.uint8


def test_other_steps_rules_and_recordings_are_other_frames(recorded):
    found = [recorded().frames(4), recorded().frames(5), recorded("tonic-time").frames(4)]
    assert len(recorded.reads) == 18 and found[1].shape[1] == 5
    assert np.array_equal(found[2], expected(recorded(), 4, "tonic-time")) and not torch.equal(found[0], found[2])
    (recorded.folder / "3.npz").unlink()
    assert len(list((recorded.folder / ".frames").glob("*.npy"))) == 3


def test_a_changed_recording_is_never_served_from_the_cache(recorded):
    """Not even one that has the size and the time of modification of the old one."""
    before = recorded().frames(4)
    path = recorded.folder / "2.npz"
    state, old = path.stat(), path.read_bytes()
    for seed in range(100, 1000):  # some other recording of the same size
        new = as_npz(made_up(400, seed=seed))
        if len(new) == len(old):
            break
    path.write_bytes(new)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert path.stat().st_size == state.st_size and path.stat().st_mtime_ns == state.st_mtime_ns
    split = recorded()
    after = split.frames(4)
    assert np.array_equal(after, expected(split, 4))
    assert [torch.equal(one, other) for one, other in zip(before, after, strict=True)] == [True, True, False, True, True, True]
    path.write_bytes(old)
    reads = len(recorded.reads)
    assert torch.equal(recorded().frames(4), before) and len(recorded.reads) == reads  # the old frames are still there, by its checksum


def test_a_file_that_changed_just_now_is_hashed_again(recorded, monkeypatch):
    """Within the resolution of a file system's clock a second change may not show."""
    recorded()
    monkeypatch.setattr(_frame_cache, "SETTLED", 2_000_000_000)
    (recorded.folder / "2.npz").write_bytes(as_npz(made_up(400, seed=50)))
    recorded()
    recorded()
    assert recorded.hashes[6:] == ["2.npz", "2.npz"]


def test_a_recording_that_changes_while_it_is_read_is_refused(recorded):
    split = recorded()
    (recorded.folder / "2.npz").write_bytes(as_npz(made_up(400, seed=50)))
    with pytest.raises(UserError, match="2.npz changed while it was read"):
        split.frames(4)
    assert not list((recorded.folder / ".frames").glob("*.npy"))


def test_a_pack_that_is_not_whole_is_made_again(recorded):
    whole = recorded().frames(4).clone()
    (pack,) = (recorded.folder / ".frames").glob("*.npy")
    for content in (pack.read_bytes()[:-1], pack.read_bytes()[:40], b"", pack.read_bytes()[:-4096]):
        pack.write_bytes(content)
        assert torch.equal(recorded().frames(4), whole)
    assert len(recorded.reads) == 5 * 6


def test_what_a_job_writes_into_its_frames_stays_its_own(recorded):
    first = recorded().frames(4)
    kept = first.clone()
    first += 1
    assert torch.equal(recorded().frames(4), kept)


def test_frames_are_mapped_not_read(recorded):
    assert recorded().frames(4).numpy().base is not None
    assert isinstance(_frame_cache._opened(next((recorded.folder / ".frames").glob("*.npy")), (6, 4, *SHAPE)), np.memmap)


@pytest.mark.parametrize(("most", "kind"), [(255, torch.uint8), (256, torch.int16), (32767, torch.int16), (32768, torch.int32)])
def test_counts_have_the_narrowest_type_that_holds_them(most, kind, tmp_path):
    events = np.zeros(most + 9, EVENT)
    events["x"], events["t"] = np.r_[np.zeros(most), np.arange(1, 10)], np.arange(most + 9)
    (tmp_path / "a.npz").write_bytes(as_npz(events))
    for cache in (tmp_path / ".frames", None):
        split = _recordings.recorded([File(tmp_path / "a.npz")], [0], {"shape": SHAPE, "frames": "tonic-number"}, tmp_path)
        split.cache = cache
        frames = split.frames(1)
        assert frames.dtype == kind and frames.max() == most and frames.sum(dtype=torch.int64) == most + 9


def cut_in_another_process(folder, ready, results):
    torch.set_num_threads(1)
    read_files = []

    def slow(path, shape, window=None):
        read_files.append(path)
        time.sleep(0.05)
        return read(path, shape, window)

    _recordings.read = slow
    sources = [File(path) for path in sorted(folder.glob("*.npz"))]
    split = _recordings.recorded(sources, list(range(6)), {"shape": SHAPE, "frames": "spikingjelly-number"}, folder)
    ready.wait()
    frames = split.frames(4)
    results.put((len(read_files), hashlib.sha256(frames.numpy().tobytes()).hexdigest()))


def test_of_two_jobs_one_makes_the_frames_and_the_other_waits(recorded):
    context = multiprocessing.get_context("fork")
    ready, results = context.Barrier(3), context.Queue()
    jobs = [context.Process(target=cut_in_another_process, args=(recorded.folder, ready, results)) for _ in range(3)]
    for job in jobs:
        job.start()
    found = [results.get(timeout=60) for _ in jobs]
    for job in jobs:
        job.join()
    assert sorted(reads for reads, _ in found) == [0, 0, 6] and len({checksum for _, checksum in found}) == 1
    assert found[0][1] == hashlib.sha256(expected(recorded(), 4).astype(np.uint8).tobytes()).hexdigest()


def test_a_killed_job_leaves_nothing_that_counts(recorded):
    folder = recorded.folder / ".frames"
    split = recorded()
    context = multiprocessing.get_context("fork")

    def die(index, steps):
        if index == 5:
            os._exit(9)
        return type(split).one(split, index, steps)

    split.one = die
    torch.set_num_threads(1)
    job = context.Process(target=split.frames, args=(4,))
    job.start()
    job.join(timeout=60)
    assert job.exitcode == 9 and list(folder.glob(".*.partial")) and not list(folder.glob("*.npy"))
    assert np.array_equal(recorded().frames(4), expected(split, 4))
    assert not list(folder.glob(".*.partial"))


def test_the_cache_is_bounded_and_keeps_what_was_used_last(recorded, monkeypatch):
    folder, size = recorded.folder / ".frames", 6 * 4 * 2 * 128 * 128 / 1e9
    monkeypatch.setenv("SPIKELEDGER_FRAMES_GB", str(2.5 * size))
    for steps in (3, 4, 2):
        recorded().frames(steps)
        time.sleep(0.02)
    recorded().frames(3)
    time.sleep(0.02)
    kept = {np.load(pack, mmap_mode="r").shape[1] for pack in folder.glob("*.npy")}
    assert kept == {2, 3, 4}
    recorded().frames(5)
    kept = {np.load(pack, mmap_mode="r").shape[1] for pack in folder.glob("*.npy")}
    assert kept == {3, 2, 5} or kept == {3, 5}
    monkeypatch.setenv("SPIKELEDGER_FRAMES_GB", "0")
    assert recorded().frames(1).shape[1] == 1 and len(list(folder.glob("*.npy"))) == 1
    monkeypatch.setenv("SPIKELEDGER_FRAMES_GB", "many")
    with pytest.raises(UserError, match="SPIKELEDGER_FRAMES_GB is 'many', not a number"):
        recorded().frames(6)


def test_clean_empties_the_cache_and_spares_what_is_being_made(recorded):
    frames = recorded().frames(4)
    kept = frames.clone()
    folder = recorded.folder / ".frames"
    (pack,) = folder.glob("*.npy")
    (folder / "notes.txt").write_text("mine")
    with _frame_cache.lock(pack.with_suffix(".lock")):
        _frame_cache.clean(folder)
        assert pack.exists() and pack.with_suffix(".lock").exists()
    size = pack.stat().st_size
    assert _frame_cache.clean(folder) == size
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert torch.equal(frames, kept)  # a job goes on with what it has mapped
    assert _frame_cache.clean(folder) == 0 and _frame_cache.clean(folder / "nowhere") == 0


def test_the_command_says_what_is_kept_and_cleans_it(recorded, capsys):
    def told(*words):
        assert command.main(["cache", "--data-root", str(recorded.folder), *words]) == 0
        return capsys.readouterr().out

    folder, size = recorded.folder / ".frames", 6 * 2 * 128 * 128
    assert told() == f"{folder}: 0 packs of frames, 0.000 GB of 100\n"
    recorded().frames(4), recorded().frames(16)
    held = _frame_cache.held(folder)
    assert told() == f"{folder}: 2 packs of frames, {sum(held.values()) / 1e9:.3f} GB of 100\n"
    assert 20 * size < sum(held.values()) < 21 * size
    assert told("--clean").endswith(f"{sum(held.values()) / 1e9:.3f} GB are free again\n") and _frame_cache.held(folder) == {}


def test_a_folder_that_cannot_be_written_is_named(recorded, monkeypatch):
    (recorded.folder / "file").write_text("")
    monkeypatch.setenv("SPIKELEDGER_FRAMES", str(recorded.folder / "file" / "frames"))
    with pytest.raises(UserError, match="frames cannot be kept in .*file/frames: .*SPIKELEDGER_FRAMES names another"):
        recorded().frames(4)


def test_the_cache_may_lie_elsewhere(recorded, monkeypatch, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("frames")
    monkeypatch.setenv("SPIKELEDGER_FRAMES", str(elsewhere))
    recorded().frames(4)
    assert list(elsewhere.glob("*.npy")) and not (recorded.folder / ".frames").exists()


def test_remembered_checksums_that_are_damaged_are_forgotten(recorded):
    recorded()
    memory = recorded.folder / ".frames/checksums.json"
    assert len(memory.read_text().split(".npz")) == 7
    for text in ("", "[1]", "{"):
        memory.write_text(text)
        before = len(recorded.hashes)
        recorded()
        assert len(recorded.hashes) == before + 6


# Augmentation


def frames_to_change(count=40, kind=torch.uint8):
    return torch.randint(0, 9, (count, 3, 2, 24, 20), generator=torch.Generator().manual_seed(0)).to(kind)


SIZE = torch.Size([24, 20])
WARPS = {  # ours, torchvision's as the official code calls it
    "shear": (lambda: _event_augment.warped(SIZE, shear=math.degrees(0.27)), {"translate": [0, 0], "shear": [math.degrees(0.27), 0.0]}),
    "shear back": (lambda: _event_augment.warped(SIZE, shear=-30.0), {"translate": [0, 0], "shear": [-30.0, 0.0]}),
    "right": (lambda: _event_augment.warped(SIZE, shift=(4, 0)), {"translate": [4, 0], "shear": [0.0, 0.0]}),
    "up": (lambda: _event_augment.warped(SIZE, shift=(0, -3)), {"translate": [0, -3], "shear": [0.0, 0.0]}),
}


@pytest.mark.parametrize("name", WARPS)
def test_a_warp_is_torchvisions(name):
    ours, arguments = WARPS[name]
    frames = frames_to_change(kind=torch.float32)
    nearest = InterpolationMode.NEAREST
    theirs = torch.stack([functional.affine(frame, angle=0.0, scale=1.0, interpolation=nearest, **arguments) for frame in frames])
    assert torch.equal(torch.stack([_event_augment.moved(frame, ours()) for frame in frames]), theirs) and not torch.equal(frames, theirs)


@pytest.mark.parametrize("degrees", [-30.0, -7.3, 0.0, 12.0, 30.0])
def test_a_rotation_is_torchvisions(degrees):
    frames = frames_to_change(kind=torch.float32)
    theirs = torch.stack([functional.rotate(frame, degrees, InterpolationMode.NEAREST) for frame in frames])
    source = _event_augment.turned(SIZE, degrees)
    assert torch.equal(torch.stack([_event_augment.moved(frame, source) for frame in frames]), theirs)


def test_a_cut_out_square_has_its_share_of_the_area():
    torch.manual_seed(0)
    frames, corners = torch.ones(2, 2, 24, 20), set()
    for _ in range(300):
        cut = _event_augment.moved(frames, _event_augment.cutout(SIZE, 0.1)) == 0
        rows, columns = cut[0, 0].any(1).nonzero().flatten(), cut[0, 0].any(0).nonzero().flatten()
        assert (cut == cut[0, 0]).all() and cut[0, 0].sum() == 49 == len(rows) * len(columns)  # 7 = round(sqrt(48))
        corners.add((int(rows[0]), int(columns[0])))
    assert {row for row, _ in corners} == set(range(18)) and {column for _, column in corners} == set(range(14))


def test_every_operation_is_drawn_evenly(monkeypatch):
    drawn = Counter()
    for name in ("warped", "turned", "cutout"):
        function = getattr(_event_augment, name)

        def spy(size, *arguments, name=name, function=function, **named):
            drawn[name if name != "warped" else "shear" if "shear" in named else "shift"] += 1
            return function(size, *arguments, **named)

        monkeypatch.setattr(_event_augment, name, spy)
    torch.manual_seed(0)
    _event_augment.augment(torch.ones(1500, 1, 8, 8), "spikformer")
    assert all(abs(drawn[name] - 250) < 60 for name in ("shear", "turned", "cutout"))
    assert abs(drawn["shift"] - 500) < 80 and sum(drawn.values()) < 1350  # the rest stays as it is
    drawn.clear()
    _event_augment.augment(torch.ones(1500, 1, 8, 8), "nda")
    assert abs(drawn["shear"] - 500) < 80 and abs(drawn["turned"] - 500) < 80 and drawn.keys() == {"shear", "turned"}


def test_shifts_and_rolls_reach_five_pixels_and_no_further(monkeypatch):
    monkeypatch.setattr(_event_augment, "turned", lambda size, degrees: _event_augment.places(size))
    monkeypatch.setattr(_event_augment, "cutout", lambda size, share: _event_augment.places(size))
    warped = _event_augment.warped
    monkeypatch.setattr(_event_augment, "warped", lambda size, shear=0.0, shift=(0, 0): warped(size, shift=shift))
    dot = torch.zeros(2500, 1, 21, 21)
    dot[:, :, 10, 10] = 1
    torch.manual_seed(0)
    for policy, both in (("spikformer", False), ("nda", True)):
        places = {(int(y) - 10, int(x) - 10) for _, _, y, x in _event_augment.augment(dot, policy).nonzero()}
        assert {y for y, _ in places} == {x for _, x in places} == set(range(-5, 6))
        assert any(x and y for y, x in places) == both


def test_all_time_steps_of_a_recording_change_alike_and_differently_from_others():
    torch.manual_seed(1)
    one = frames_to_change(1)[:, :1, :1]
    same = one.expand(30, 5, 2, 24, 20)
    for policy in _event_augment.POLICIES:
        out = _event_augment.augment(same, policy)
        assert out.dtype == torch.uint8 and out.shape == same.shape and (out == out[:, :1, :1]).all()
        assert len({recording.numpy().tobytes() for recording in out}) > 15


def test_augmentation_follows_from_the_seed_in_either_layout():
    frames = frames_to_change()
    for policy in _event_augment.POLICIES:
        torch.manual_seed(3)
        first = _event_augment.augment(frames, policy)
        torch.manual_seed(3)
        merged = _event_augment.augment(frames.flatten(1, 2), policy)
        assert torch.equal(first.flatten(1, 2), merged)
        assert not torch.equal(first, _event_augment.augment(frames, policy))
    with pytest.raises(UserError, match="unknown event policy 'spikformr': did you mean spikformer"):
        _event_augment.augment(frames, "spikformr")


# The simulated camera and the stand-ins


TIMES = np.arange(0, 100_001, 10_000)


class Quiet:
    """A generator that draws no noise."""

    def poisson(self, *_):
        return 0

    def integers(self, low, high, count):
        return np.zeros(count, int)


def filmed(poses, picture=None):
    limits = _camera.thresholds(32)
    return _camera.record(np.ones((8, 8)) if picture is None else picture, poses, TIMES, limits, Quiet()), limits


def still(x=0.0, y=0.0, angle=0.0, scale=1.0):
    return np.tile([x, y, angle, scale], (len(TIMES), 1))


def test_a_picture_at_rest_causes_no_events():
    events, _ = filmed(still())
    assert len(events) == 0


def test_events_add_up_to_the_change_of_log_brightness():
    """Each pixel's events, times its threshold, are the change to within one threshold: what the camera is for."""
    poses = still()
    poses[:, 0] += np.linspace(-6, 6, len(TIMES))
    poses[:, 2] += np.linspace(0, 0.5, len(TIMES))
    picture = np.random.default_rng(3).random((8, 8))
    events, limits = filmed(poses, picture)
    views = np.empty((len(TIMES), 32, 32), np.int64)
    turns = [np.round(wave(poses[:, 2]), 9) for wave in (np.cos, np.sin)]
    _camera._look(np.pad(picture, 1), np.column_stack([poses, *turns]), _camera.LOGARITHM, views)
    level = views[0].copy()
    for event in events:
        level[event["y"], event["x"]] += limits[1 if event["p"] else 0, event["y"], event["x"]] * (1 if event["p"] else -1)
    assert len(events) > 500 and (np.abs(level - views[-1]) <= limits.max(0)).all()
    assert (np.diff(events["t"]) >= 0).all() and events["t"].min() >= 0 and events["t"].max() <= TIMES[-1]


def test_a_bright_bar_that_moves_right_switches_pixels_on_before_it_and_off_behind_it():
    poses = still()
    poses[:, 0] += np.linspace(-4, 4, len(TIMES))
    events, _ = filmed(poses)
    late = events[events["t"] > 80_000]
    assert late["x"][late["p"]].min() > late["x"][~late["p"]].max() + 3
    middle = events["y"].astype(float)
    assert abs(middle.mean() - 15.5) < 0.5 and np.ptp(middle) < 10


def test_pixels_cross_several_thresholds_one_after_another():
    poses = still()
    poses[:, 0] += np.linspace(-4, 4, len(TIMES))
    events, limits = filmed(poses)
    counts = Counter(zip(events["x"].tolist(), events["y"].tolist(), events["p"].tolist(), strict=True))
    span = _camera.LOGARITHM[-1] - _camera.LOGARITHM[0]
    assert max(counts.values()) <= math.ceil(span / limits.min()) and max(counts.values()) >= span // limits.max() - 1
    times = events["t"][(events["x"] == 19) & (events["y"] == 15) & events["p"]]
    assert len(times) > 3 and len(set(times.tolist())) == len(times)


def test_noise_is_anywhere_at_any_time():
    found = _camera.noise(32, np.array([0, 10_000_000]), np.random.default_rng(0))
    assert abs(len(found) - _camera.NOISE * 32 * 32 * 10) < 250
    assert {int(value) for value in found["x"]} == set(range(32)) and 0.4 < found["p"].mean() < 0.6


STAND_INS = list(event_digits.DATASETS)


@pytest.fixture(scope="module")
def stand_ins():
    return {name: event_digits.load(name, Path()) for name in STAND_INS}


@pytest.mark.parametrize("name", STAND_INS)
def test_a_stand_in_is_the_same_on_every_machine(name, stand_ins):
    assert stand_ins[name].checksum == CHECKSUMS[name]


@pytest.mark.parametrize("name", STAND_INS)
def test_a_stand_in_is_as_declared(name, stand_ins):
    entry, data = event_digits.DATASETS[name], stand_ins[name]
    frames = framed(data, 10)
    for split, recordings, count in ((frames.train, data.train, entry["train"]), (frames.test, data.test, entry["test"])):
        assert split.images.shape == (count, 10, *entry["shape"]) and split.images.dtype == torch.uint8
        counts = torch.bincount(split.labels, minlength=entry["classes"])
        assert len(counts) == entry["classes"] and counts.max() - counts.min() <= 1 and split.labels.dtype == torch.int64
        for source in recordings.sources:
            events = source.events(entry["shape"])
            assert events.dtype == EVENT and np.array_equal(
                _events.events("", **{n: events[n] for n in "xytp"}, shape=entry["shape"]), events
            )
            assert 290_000 < events["t"][-1] <= 300_000


@pytest.mark.parametrize("name", STAND_INS)
def test_train_and_test_show_disjoint_digits(name, monkeypatch):
    shown = []
    monkeypatch.setattr(
        event_digits, "film", lambda glyphs, *rest: shown.append(glyphs) or _events.made([made_up(20)], np.zeros(1, int), rest[1])
    )
    event_digits.load(name, Path())
    train, test = ({glyph.tobytes() for glyph in glyphs} for glyphs in shown)
    assert len(train) + len(test) > 1700 and not train & test


@pytest.mark.parametrize("name", STAND_INS)
def test_the_label_is_in_the_frames(name, stand_ins):
    """A linear classifier finds it on recordings that it has not seen: far above chance, which is 10 %."""
    from sklearn.linear_model import RidgeClassifier

    frames = framed(stand_ins[name], 5)
    x, tests = (
        torch.nn.functional.avg_pool2d(split.images.flatten(1, 2).float(), 2).flatten(1).sqrt() for split in (frames.train, frames.test)
    )
    found = RidgeClassifier(alpha=1000).fit(x, frames.train.labels).score(tests, frames.test.labels)
    assert found > {"saccade-digits": 0.75, "motion-digits": 0.85}[name]


def test_motions_are_what_they_are_called():
    random = np.random.default_rng(0)
    signs = [(0, 1), (0, -1), (1, 1), (1, -1), (2, 1), (2, -1), (3, 1), (3, -1)]
    for label, (axis, sign) in enumerate(signs):
        poses = event_digits.motion(label, random)
        steps = np.diff(poses, axis=0)
        assert (sign * steps[:, axis] > 0).all() and not np.delete(steps, axis, 1).any()
    for label, axis in ((8, 0), (9, 1)):
        poses = event_digits.motion(label, random)
        turns = np.diff(np.sign(np.diff(poses[:, axis])))
        assert np.count_nonzero(turns) in (3, 4, 5) and not np.delete(np.diff(poses, axis=0), axis, 1).any()
    assert np.diff(event_digits.motion(10, random), axis=0)[:, :3].any(0).all()
    assert len(event_digits.MOTIONS) == event_digits.DATASETS["motion-digits"]["classes"]


# Pictures


def test_a_sheet_shows_on_red_and_off_blue():
    frames = np.zeros((3, 2, 8, 8), int)
    frames[1, 1, 2, 5], frames[2, 0, 7, 0] = 4, 4
    picture = np.asarray(_draw.sheet([frames, frames], ["one", "two"]))
    zoom = 12
    wide, high = 8 * zoom + _draw.MARGIN, 8 * zoom + _draw.MARGIN + _draw.CAPTION
    assert picture.shape == (2 * high + _draw.MARGIN, 3 * wide + _draw.MARGIN, 3)
    for line in range(2):
        on = picture[line * high + _draw.CAPTION + 2 * zoom + 5, _draw.MARGIN + wide + 5 * zoom + 5]
        off = picture[line * high + _draw.CAPTION + 7 * zoom + 5, _draw.MARGIN + 2 * wide + 5]
        assert on.tolist() == [255, 0, 0] and off.tolist() == [0, 0, 255]


def test_pictures_are_drawn_of_stand_ins_and_of_recordings(tmp_path, capsys, monkeypatch):
    few(monkeypatch, event_digits, train=22, test=11)
    assert command.main(["draw", "motion-digits", "--out", str(tmp_path / "a.png"), "--steps", "4", "--augment", "nda"]) == 0
    assert Image.open(tmp_path / "a.png").size == (4 * 98 + 2, 11 * 110 + 2)
    n_mnist_files(tmp_path / "data")

    def drawn(name, root, out, *more):
        return command.main(["draw", name, "--data-root", str(tmp_path / root), "--out", str(tmp_path / out), *more])

    assert drawn("N-MNIST", "data", "b.png", "--lines", "3") == 0
    assert Image.open(tmp_path / "b.png").size[1] == 3 * (34 * 3 + 14) + 2
    assert drawn("N-MNIST", "nowhere", "c.png") == drawn("N-MIST", "data", "c.png") == 2
    assert drawn("N-MNIST", "data", "nowhere/c.png", "--lines", "1") == drawn("N-MNIST", "data", "c.text", "--lines", "1") == 2
    said = capsys.readouterr().err
    assert "nowhere/c.png cannot be written" in said and "c.text cannot be written" in said
    assert "nowhere holds no recordings" in said and "did you mean N-MNIST" in said and not (tmp_path / "c.png").exists()


# Real recordings


@REAL
@pytest.mark.parametrize("rule", _events.RULES)
def test_real_recordings_are_cut_as_the_libraries_cut_them(rule):
    root = Path(os.environ["SPIKELEDGER_DATA"])
    paths = sorted([*root.glob("dvs128gesture/**/*.npz"), *root.glob("dvs128objects/*.aedat")])
    assert len(paths) == 14
    for path in paths:
        events = read(path, SHAPE)
        theirs = spikingjelly_cifar10_dvs._load_origin_data(path) if path.suffix == ".aedat" else np.load(path)
        assert all(np.array_equal(events[name], theirs[name]) for name in "txyp")
        for steps in (10, 16):
            assert np.array_equal(_events.cut(events, SHAPE, steps, rule), cut_by_its_library(events, steps, rule, SHAPE))


@REAL
def test_the_real_n_mnist(monkeypatch, tmp_path):
    monkeypatch.setenv("SPIKELEDGER_FRAMES", str(tmp_path))
    data = n_mnist.load("N-MNIST-1000", Path(os.environ["SPIKELEDGER_DATA"]))
    assert len(data.train) == 1000 and torch.bincount(data.test.labels).tolist() == [8, 14, 8, 11, 14, 7, 10, 15, 2, 11]
    frames = framed(data, 10)
    for index in range(0, 1000, 50):
        events = tonic.io.read_mnist_file(str(data.train.sources[index].path), dtype=EVENT)
        assert np.array_equal(events, data.train.sources[index].events([2, 34, 34]))
        assert np.array_equal(frames.train.images[index], cut_by_its_library(events, 10, "spikingjelly-number", [2, 34, 34]))
    began = time.monotonic()
    again = framed(n_mnist.load("N-MNIST-1000", Path(os.environ["SPIKELEDGER_DATA"])), 10)
    assert time.monotonic() - began < 2 and torch.equal(again.train.images, frames.train.images)
