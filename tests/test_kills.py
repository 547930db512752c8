"""A short version of tests/kills.py: one round with a kill of the server, the trainer and the workflow."""

import pytest

from tests import kills


@pytest.mark.slow
def test_what_is_killed_loses_nothing(tmp_path):
    told = kills.kill(tmp_path, 3, seed=0, kinds=("server, busy", "trainer", "workflow"))
    assert len(told) >= 3 and {line["verdict"] for line in told} == {"same"}, told
