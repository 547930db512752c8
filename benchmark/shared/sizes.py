"""Sizes of a network: what a twin's rule makes of the paper's. Loads no torch."""

from itertools import zip_longest


def smaller(size: dict, rule: dict) -> dict:
    """A size with some of its values divided (rounded up) and others set: rule {"divide": {key: by}, "set": {key: value}}.

    "least": {key: value} is what a divided value stays at or above, item by item of a list as far as both go.
    """
    least = rule.get("least", {})
    divided = {key: _raised(_divide(size[key], by), least.get(key, 0)) for key, by in rule.get("divide", {}).items()}
    return {**size, **divided, **rule.get("set", {})}


def _divide(value, by: int):
    return [_divide(item, by) for item in value] if isinstance(value, list) else -(-value // by)


def _raised(value, least):
    if not isinstance(value, list):
        return max(value, least)
    return [_raised(item, low) for item, low in zip_longest(value, least or [], fillvalue=0)][: len(value)]
