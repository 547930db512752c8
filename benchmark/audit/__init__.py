"""What the papers' own numbers say about each other, computed from the pins. Never loads torch, numpy or pandas."""

from benchmark.audit.finding import Finding
from benchmark.audit.report import controls, findings, ten_most_important, write

__all__ = ["Finding", "controls", "findings", "ten_most_important", "write"]
