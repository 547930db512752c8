"""Spiking neurons, one file each: constants, fused kernel, surrogate, and the values that they send."""
