"""Vanilla distillation of a spiking network from an artificial one: the average over time learns from labels and teacher.

Paper: TSER, the baseline of its Tables 3 and 4 and of Figure 2.
Equations: L = (1 - alpha) CE(mean_t Q_s(t), y) + alpha KL(Q_t || mean_t Q_s(t))   (7).
Expected: TSER Table 3, ResNet-18 from ResNet-34, CIFAR100: 77.15.
Command: snakemake --cores 8 --profile profiles/paper -- results/table3_tser.csv

What the paper leaves open, and how it is read here (each a switch, with tser's meanings and defaults):
  alpha        never given: 0.2, as in `tser`, which says why.
  average      equation 7 averages probabilities, the prose and Algorithm 1 outputs: `logits` (default) or `probabilities`.
  tau2         no tau^2 before the KL is printed: 1 multiplies by it, 0 does not.
  ce_tempered  equation 7 prints the tempered Q in the cross-entropy: 0 takes temperature 1, 1 is the literal print.

Source: as of methods/tser.py: the paper, and for what it leaves open the public code of its group.
Guessed: alpha.
"""

from benchmark.method import Method, divergence, label_loss, log_probabilities


class SKD(Method):
    """Equal to `tser` with ts_kl=0 ts_ce=0 entropy=0 (a test says so)."""

    params = {"alpha": 0.2, "temperature": 5.0, "average": "logits", "tau2": 1, "ce_tempered": 0}
    choices = {"average": ["logits", "probabilities"], "tau2": [0, 1], "ce_tempered": [0, 1]}
    ranges = {"alpha": [0.0, 1.0], "temperature": [0.1, 100.0]}
    needs = {"teacher": {"method": "direct"}}

    def loss(self, student, teacher, target, parts):
        tau = self.temperature
        task = label_loss(log_probabilities(student.logits, tau if self.ce_tempered else 1.0, self.average), target)
        guide = divergence(log_probabilities(student.logits, tau, self.average), log_probabilities(teacher.logits, tau, "logits"))
        return {"task": (1 - self.alpha) * task, "teacher": self.alpha * (tau**2 if self.tau2 else 1.0) * guide}
