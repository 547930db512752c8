"""What a table costs: images and operations by hand, hours by each of the four ways of knowing them."""

import pytest

from benchmark.pins.settings import settings
from benchmark.reports import costs
from benchmark.runs.lines import behind, of_table
from benchmark.workflow.command import main
from tests import made

PAPER = settings({"scale": "paper"})
ONE = {"resnet-18": 1.0e6, "ann-resnet-34": 4.0e6}


def macs(backbone, dataset):
    return ONE[backbone]


def runs(chosen=PAPER):
    return list(behind(of_table("table3_tser", chosen)).values())


def test_operations_are_of_training_steps_the_teacher_and_every_test():
    """CIFAR-100, 300 epochs: 15 million images. T = 2, so a pass is 2e6: training 3 of them and 4e6 for the teacher, tests 10,000 x 301."""
    teacher, student = runs()[:2]
    assert costs.trained(student.resolved.spec) == 15_000_000
    assert costs.operations(student.resolved, macs) == 15e6 * (3 * 2e6 + 4e6) + 10_000 * 301 * 2e6
    assert costs.operations(teacher.resolved, macs) == 15e6 * 3 * 4e6 + 10_000 * 301 * 4e6


def test_a_given_throughput_says_the_hours(tmp_path):
    found = costs.costs(runs(), tmp_path, macs, 1e9)
    assert found[1].hours == pytest.approx(found[1].macs / 1e9 / 3600) and found[1].basis == "1e+09 MAC/s as given"
    assert all(each.left == each.hours for each in found)


def test_without_one_finished_runs_say_them(tmp_path):
    """A run that is done took what it took; of its network the same speed; of others the same multiply-accumulates per second."""
    teacher, done, alike, *_ = runs()
    made.write(tmp_path, done, seconds=7200.0, images_per_second=1000.0)
    of = {each.run.folder: each for each in costs.costs(runs(), tmp_path, macs)}
    assert (of[done.folder].hours, of[done.folder].left, of[done.folder].basis) == (2.0, 0.0, "it ran")
    assert of[alike.folder].hours == pytest.approx(15e6 / 1000 / 3600) and of[alike.folder].basis == "1 runs of its network"
    rate = costs.operations(done.resolved, macs) / 15e6 * 1000
    assert of[teacher.folder].hours == pytest.approx(costs.operations(teacher.resolved, macs) / rate / 3600)
    assert of[teacher.folder].basis.endswith("MAC/s as 1 runs had")


def test_what_nobody_knows_is_said(tmp_path):
    found = costs.costs(runs(), tmp_path, macs)
    assert {each.hours for each in found} == {None} and {each.basis for each in found} == {"nothing says how fast"}
    assert costs.shown(found).endswith("hours left: unknown, for nothing says how fast 6 runs go: give --throughput")
    assert " 0 hours" not in costs.shown(found)
    made.write(tmp_path, runs()[1], seconds=7200.0, images_per_second=None)  # done: nothing of it is left, and it says nothing of others
    assert costs.hours_left(costs.costs(runs(), tmp_path, macs)).startswith("hours left: unknown, for nothing says how fast 5 runs go")
    one = [costs.Cost(each.run, "missing", 1, None, 3.0, "") if place == 0 else each for place, each in enumerate(found)]
    assert costs.hours_left(one) == "3 hours left on one device, and 5 runs of unknown length: give --throughput"
    twins = costs.costs(runs(settings()), tmp_path, macs, 1e9)
    assert {each.macs for each in twins} == {None} and "those of 6 twins, which are not counted" in costs.shown(twins)


def test_the_command_counts_networks_that_nobody_counted(tmp_path, capsys):
    words = ["cost", "table3_tser", "--config", "scale=paper", "--directory", str(tmp_path), "--row", "1", "--throughput", "1e12"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "2 runs, 0 done: 30,000,000 training images; 1.26e+17 MACs; 35.1 hours left on one device" in out
    assert main([*words[:-1], "-3"]) == 2
    assert "a number greater than 0, not -3" in capsys.readouterr().err


def test_the_time_left_of_what_was_asked_for(tmp_path):
    """Three runs: one done in an hour, one of its network and as long, one of another network as the median of what ran."""
    found = list(runs(settings({"seeds": 2})))
    first, again = [run for run in found if run.resolved.id == found[-1].resolved.id][:2]
    other = next(run for run in found if run.resolved.spec["network"]["name"] != first.resolved.spec["network"]["name"])
    assert costs.time_left([first, again, other], tmp_path) == ""
    speed = costs.trained(first.resolved.spec) / 3600
    made.write(tmp_path, first, seconds=3600.0, images_per_second=speed)
    assert costs.time_left([first, again, other], tmp_path) == "about 2.0 h left on one device, 1 of 2 runs by others of their network"
    made.write(tmp_path, again, seconds=3600.0)
    assert costs.time_left([first, again], tmp_path) == ""
