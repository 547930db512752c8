"""`python -m benchmark <command>`; see workflow/command.py."""

import sys

from benchmark.workflow.command import main

if __name__ == "__main__":
    sys.exit(main())
