"""Distillation from a large convolutional network to a small spiking one (Li et al., AICAS 2023). A re-implementation, one reading of it.

Paper: the row that IDSNN's Table 1 quotes as [26], "Novel knowledge distillation to improve training accuracy of spin-based SNN". Its
abstract says that knowledge goes "from a large CNN model" to a spiking network of magnetic devices, by "spike knowledge distillation".
Equations: L = (1 - alpha) CE(z_s, y) + alpha tau^2 mean_t KL(softmax(z_t / tau) || softmax(z_s(t) / tau)): the teacher's answer guides
every step's answer, and the labels their mean z_s. `over=logits` lets it guide the mean too.
Expected: IDSNN Table 1, 6Conv+2FC, CIFAR10, T=8: 85.43.
Command: snakemake --cores 8 --profile profiles/paper -- results/table1_idsnn.csv

Source: no public code found (searched: title, authors, "spintronic" and "spin-based" with knowledge distillation); the abstract alone.
Parity: none possible; the loss against values worked out by hand (tests/test_cited_small.py).
Deviations: the magnetic devices' variations are not modelled.
Guessed: the loss (the abstract names none), its weights, the teacher (VGG-16 with ReLU), the network's widths (backbones/6conv.py), and the
whole recipe. What is known of it is the number of layers and time steps, and that the teacher is larger and not spiking.
"""

from benchmark.method import Method, divergence, label_loss, log_probabilities


class LiKD(Method):
    """Labels for the mean, the teacher for every step."""

    params = {"alpha": 0.9, "temperature": 4.0, "over": "steps"}
    choices = {"over": ["steps", "logits"]}
    ranges = {"alpha": [0.0, 1.0], "temperature": [0.1, 100.0]}
    needs = {"teacher": {"method": "direct"}}

    def loss(self, student, teacher, target, parts):
        tau = self.temperature
        soft = divergence(log_probabilities(student.logits, tau, self.over), log_probabilities(teacher.logits, tau, "logits"))
        return {
            "task": (1 - self.alpha) * label_loss(log_probabilities(student.logits, over="logits"), target),
            "teacher": self.alpha * tau**2 * soft,
        }
