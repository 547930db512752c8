"""What was printed and what must run for it: pinned numbers, recipes, settings, and the cells they make. Never loads torch."""
