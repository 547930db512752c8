"""Which seed of what lies above a cell its run with a seed learns from."""


def above(recipe: dict, seed: int) -> int:
    """0 for a cell that trains: all its seeds learn from one teacher, as a paper's students do. A cell that trains nothing (a conversion)
    has its own: what a seed changes lies above it, and seeds that share a network would agree whatever its method is worth."""
    return 0 if recipe.get("epochs") else seed
