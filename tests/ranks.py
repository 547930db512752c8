"""`python tests/ranks.py SPEC OUT SIZE DATA_ROOT`: a run in so many processes of this machine's CPU.

A program of its own, for nothing may have computed in the process that forks them.
"""

import json
import sys
from pathlib import Path

from benchmark.workflow import supervised


def main(spec: str, out: str, size: str, data_root: str) -> int:
    spec, out, size = json.loads(spec), Path(out), int(size)
    out.mkdir(parents=True)

    def share(rank: int) -> None:
        from benchmark.training.run import run
        from benchmark.training.world import World
        from tests import helpers

        world = World(rank, size, out.with_name(f"{out.name}.meeting"))
        run(spec, helpers.recipe(spec), 0, out, Path(data_root), "cpu", 1, world=world)

    return supervised.run(share, out, size)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
