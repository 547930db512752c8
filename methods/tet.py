"""Temporal efficient training: every time step is held to the label (TET, Deng et al., ICLR 2022).

Paper: the rows TET of tser, Tables 1 and 2, and of spikformer_v2, Tables II and IV, which quote it.
Equations: L = (1 - lam) mean_t CE(z_t, y) + lam mean (z_t - mean)^2, the second mean over steps, images and classes.
Expected: tser Table 1, ResNet-19, CIFAR100, T=4: 74.47; spikformer_v2 Table II, SEW-ResNet-34, ImageNet, T=4: 68.00.
Command: snakemake --cores 8 --profile profiles/paper -- results/table1_tser.csv

Source: brain-intelligence-lab/temporal_efficient_training@8217492, functions.py, models/layers.py, models/resnet_models.py,
main_training_parallel.py, data_loaders.py
Parity: with that code on copied weights, ResNet-19 in training mode and double precision, T=2 and 4, 17 to 41 % of each layer firing: logits equal to
the last bit, the loss (in single precision here) to 2e-7, every gradient to 1e-7 of its tensor's largest.
Deviations: a neuron fires at the threshold, the code's above it. The code has one neuron and no network for ImageNet; its neuron, v <- v / 2 + x
with a triangle of width and height 1 as the surrogate and a reset that passes its gradient, is taken in all networks, SEW-ResNet-34's too.
"""

from benchmark.method import Method, label_loss, log_probabilities


def fits(student):
    """Anything with time steps."""
    return f"{student.name} has one time step" if student.ann else ""


class TET(Method):
    """lam: weight of the regulariser; mean: the logit that it draws all others to (phi in the paper)."""

    params = {"lam": 1e-3, "mean": 1.0}
    ranges = {"lam": [0.0, 1.0], "mean": [-10.0, 10.0]}
    neuron = {
        "name": "lif", "tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": False, "decay_input": False,
        "surrogate": "triangle", "alpha": 1.0,
    }  # fmt: skip

    def loss(self, student, teacher, target, parts):
        task = label_loss(log_probabilities(student.logits), target)
        bound = (student.logits.float() - self.mean).square().mean()
        return {"task": (1 - self.lam) * task, "bound": self.lam * bound}
