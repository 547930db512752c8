"""What is shown: tables, figures, claims, the audit of the printed numbers, and what is implemented. Never loads torch."""
