"""Soft labels and a hint (an example, of no paper). Copy this file to methods/<name>.py; the tests find it by being there.

Paper: <paper's folder in benchmark/papers>. What the method does, in two or three lines, with the paper's own words for its parts.
Equations: L = (1 - weight) CE(z, y) + weight (tau^2 KL(p_teacher || p) + D(P(h), h_teacher)), with z the mean of the logits over
time. Give the paper's equation numbers, and say which line below is which.
Expected: one or two printed numbers that a whole run should come near: <table>, <backbone>, <data set>, T=<steps>: <accuracy>.
Command: snakemake --cores 8 --profile profiles/paper -- results/table1_<paper>.csv

What the paper leaves open, and how it is read here (each a switch, so that the literal print stays a named value):
  token     The paper does not say which step of the student is compared: `mean` over time (default) or the `last` one.

Source: <owner/repo>@<short commit>, <files read>, or: no public code found (searched: <words>).
Parity: what was compared with the source, and how equal it was, measured; without a comparison no such line.
Deviations: what differs from the source, and why; or: none known.
Guessed: what neither the paper nor its code says; only where there is such a thing. docs/systems.md is made of these lines.

Beside this file: rows get their cell `<name>:<backbone>[:<teacher>]` in benchmark/papers/<paper>/table<k>.csv (one backbone for each
role of `needs`, none where it says "backbone": "same"), and the recipe lies in benchmark/papers/<paper>/recipes.yaml. A file whose name
starts with an underscore, like this one, is not offered to tables.
"""

from torch import nn
from torch.nn import functional

from benchmark.method import Method, cross_entropy, divergence, log_probabilities


class Template(Method):
    """A method sees tensors only: no files, data sets or optimisers. Pieces that several losses share are in benchmark/method.py.

    `Method` says what else can be replaced: `start` initialises, converts or replaces the network before it trains.
    """

    # The paper's values, as plain literals: they are read without running the file. Each becomes `self.<name>`; a table's row or the
    # configuration may replace it, and then only the cells of that row run again.
    # `params_for = {"ImageNet": {"weight": 0.1}}` would be other values for a printed data set.
    params = {"weight": 0.5, "tau": 4.0, "token": "mean"}
    choices = {"token": ["mean", "last"]}  # what a word may be
    ranges = {"weight": [0.0, 1.0], "tau": [0.1, 100.0]}  # what a number may be, ends included

    # What is trained before, by role and method; a cell without it is refused. Without this, `teacher` below is None.
    needs = {"teacher": {"method": "direct"}}
    sees = ("blocks",)  # fills `features` and `tokens` of both networks; leave it out if the logits are enough

    def parts(self, student, teacher):
        """Modules trained beside the student and thrown away at inference; leave it out if there are none.

        Both networks say `widths`, one per block, and `steps`.
        """
        return nn.Linear(student.widths[-1], teacher.widths[-1])

    def loss(self, student, teacher, target, parts):
        """Named terms, already weighted; the loop minimises their sum and writes each into curve.csv."""
        soft = divergence(log_probabilities(student.logits, self.tau, "logits"), log_probabilities(teacher.logits, self.tau, "logits"))
        hint = functional.mse_loss(parts(self.over_time(student.tokens[-1])), teacher.tokens[-1][0].detach())
        return {
            "task": (1 - self.weight) * cross_entropy(student.logits.mean(0), target),
            "soft": self.weight * self.tau**2 * soft,
            "hint": self.weight * hint,
        }

    def over_time(self, token):
        """[T, B, C] -> [B, C]."""
        return token[-1] if self.token == "last" else token.mean(0)


def fits(student, teacher):
    """Empty, or why these two do not go together: asked before anything trains; leave it out if everything fits."""
    return "" if teacher.ann else f"the hint is a feature without time, and {teacher.name} has time steps"
