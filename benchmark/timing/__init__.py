"""How long things take, measured by hand: python -m benchmark.timing.training_step, python -m benchmark.timing.counting."""
