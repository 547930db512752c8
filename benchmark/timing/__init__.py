"""How long things take, measured by hand: python -m benchmark.timing.<file>, training_step for one."""
