"""Distillation of logits by the Kullback-Leibler divergence (Takuya, Zhang and Nakashima, COOL CHIPS 2021). A re-implementation.

Paper: the row that IDSNN's Table 2 quotes as [31]. Its abstract says that a low-latency network is trained "through knowledge
distillation with Kullback-Leibler divergence (KL divergence)", and gives the accuracy, the architecture and the time steps.
Equations: L = (1 - alpha) CE(z_s, y) + alpha tau^2 KL(softmax(z_t / tau) || softmax(z_s / tau)), Hinton et al. (2015); z_s is the mean
over time of the student's logits, z_t the teacher's logits.
Expected: IDSNN Table 2, VGG-16, CIFAR100, T=5: 74.42.
Command: snakemake --cores 8 --profile profiles/paper -- results/table2_idsnn.csv

Source: no public code found (searched: title, authors, "knowledge distillation" with VGG-16 and 5 time steps); the abstract alone.
Parity: none possible; the loss against values worked out by hand (tests/test_cited_small.py).
Deviations: none known.
Guessed: the share of the labels and the temperature (`alpha`, `temperature`; Hinton's usual values), the teacher (VGG-16 with ReLU), the
neuron (that of this project's spiking VGG), training from scratch rather than from converted weights, and the whole recipe.
"""

from benchmark.method import Method, divergence, label_loss, log_probabilities


class TakuyaKD(Method):
    """Labels and the teacher's softened answer."""

    params = {"alpha": 0.9, "temperature": 4.0}
    ranges = {"alpha": [0.0, 1.0], "temperature": [0.1, 100.0]}
    needs = {"teacher": {"method": "direct"}}

    def loss(self, student, teacher, target, parts):
        tau = self.temperature
        soft = divergence(log_probabilities(student.logits, tau, "logits"), log_probabilities(teacher.logits, tau, "logits"))
        return {
            "task": (1 - self.alpha) * label_loss(log_probabilities(student.logits, over="logits"), target),
            "teacher": self.alpha * tau**2 * soft,
        }
