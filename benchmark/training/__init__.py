"""The one loop that trains every network, from a recipe to weights and metrics."""
