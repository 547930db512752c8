"""What the papers' own numbers say about each other, computed from the pins. Never loads torch, numpy or pandas."""

from benchmark.reports.audit.finding import Finding
from benchmark.reports.audit.report import Fact, controls, facts, findings, summary, ten_most_important, write

__all__ = ["Fact", "Finding", "controls", "facts", "findings", "summary", "ten_most_important", "write"]
