"""Masked pre-training."""

from benchmark.metrics._metric import Metric

METRICS = (Metric("mask_ratio_pct", "share of masked patches, %", "%", of="structure"),)
