"""Sizes of a network: what a twin's rule makes of the paper's. Loads no torch."""


def smaller(size: dict, rule: dict) -> dict:
    """A size with some of its values divided (rounded up) and others set: rule {"divide": {key: by}, "set": {key: value}}."""
    divided = {key: _divide(size[key], by) for key, by in rule.get("divide", {}).items()}
    return {**size, **divided, **rule.get("set", {})}


def _divide(value, by: int):
    return [_divide(item, by) for item in value] if isinstance(value, list) else -(-value // by)
