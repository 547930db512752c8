"""What a user did wrong, in one line: what, where, what to do."""

import difflib


class UserError(Exception):
    """Shown as its one line, without a traceback; the command exits with 2."""


class Damaged(Exception):
    """A file that is not what was written into it: which one and why, in one line."""


def unknown(kind: str, name: str, known) -> UserError:
    """The error for a name that does not exist, with the names that come near it."""
    known = sorted(known)
    spelled = {item.lower(): item for item in known}
    near = [spelled[item] for item in difflib.get_close_matches(name.lower(), spelled, n=3, cutoff=0.5)]
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}"
    return UserError(f"unknown {kind} '{name}': {hint}")


def in_one_line(error: Exception) -> str:
    """What an error says, and its kind."""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
