"""`python -m benchmark <command>`; see workflow/command.py."""

import gc
import sys

from benchmark.workflow.command import main

if __name__ == "__main__":
    status = main()
    gc.freeze()  # at its end Python would look through all that was read for circles, which takes a third of a short command's time
    sys.exit(status)
