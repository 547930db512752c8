"""What a word of the command line may be, as argparse wants it: each takes the text and gives its value, or says what is wrong with it."""

import argparse
import os
import re
from collections.abc import Callable
from pathlib import Path

from benchmark.shared.errors import UserError


class Parser(argparse.ArgumentParser):
    """Mistakes in one line, the usage being asked for by --help."""

    def error(self, message: str):
        raise UserError(f"{' '.join(message.split())}; see {self.prog} --help")


def from_on(low: int) -> Callable[[str], int]:
    """A whole number from `low` on."""

    def read(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or int(text) < low:
            raise argparse.ArgumentTypeError(f"a whole number from {low} on, not {text}")
        return int(text)

    return read


positive = from_on(1)


def unwritable(path: Path) -> str:
    """Why a file cannot be written; empty if it can."""
    parent = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir():
        return f"{path} is a directory"
    return "" if parent.is_dir() and os.access(parent, os.W_OK) else f"{path} cannot be written: {parent} is no directory to write into"


def writable(text: str) -> Path:
    """A file that can be written: told before minutes of work, not after."""
    if why := unwritable(Path(text)):
        raise argparse.ArgumentTypeError(why)
    return Path(text)


def folder(text: str) -> Path:
    """A directory that may not be there yet."""
    if Path(text).exists() and not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no directory")
    return Path(text)


def existing(text: str) -> Path:
    """A directory that is there."""
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"directory {text} does not exist")
    return Path(text)


def threads(text: str) -> int:
    """A whole number from 1 on, of which no more are taken than there are cores for this process."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(positive(text), here)


def rate(text: str) -> float:
    """A number greater than 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a number greater than 0, not {text}")
    return value
