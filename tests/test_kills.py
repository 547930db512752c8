"""A short version of tests/kills.py: a kill of the server, of the trainer and of the workflow."""

import pytest

from tests import kills


@pytest.mark.slow
def test_what_is_killed_loses_nothing(tmp_path):
    rounds = kills.kill(tmp_path, 3, seed=0, kinds=("server, busy", "trainer", "workflow"), wanted=(kills.TEACHER, kills.SCRATCH))
    told = [line for found in rounds for line in found]
    assert len(told) == 3 and {line["verdict"] for line in told} == {"same"}, told
