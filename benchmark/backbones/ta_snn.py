"""TA-SNN (Yao et al., ICCV 2021): a LIAF-Net that weighs its steps before each layer of neurons.

The layers of backbones/liaf_net.py, with attention over time on what arrives at each layer of neurons: mean and maximum of each step over
channels and positions, through two linear layers over the T steps (T -> T / ratio -> T) and a sigmoid; weighted currents are rectified.
It looks at all steps at once, and its weights are for a fixed number of them.

Source: BICLab/Attention-SNN@ad80e7b, MA_SNN/module/Attention.py, LIF_Module.py, MA_SNN/DVSGestures/CNN/ and MA_SNN/CIFAR10DVS/CNN/, by the
same group, with its attention `TA`; the neurons send values ("floating-point spikes" in the quoting text).
Parity: with the official networks with attention TA at full size, 60 and 10 steps: outputs equal to 1.5e-7, in double precision gradients to
5e-8 of the largest; parameters equal, 2,331,265 and 2,098,618.
Deviations: where T / ratio is less than one (smoke scale, tests), one is taken.
"""

from benchmark.backbones.liaf_net import build as plain_network

SIZES = {
    "gesture": {"widths": [64, 128, 128], "pools": [1, 2, 2], "down": 4, "hidden": 256, "alpha": 2.0, "ratio": 5},
    "cifar": {"widths": [32, 64, 128, 256, 512], "pools": [2, 2, 2, 2, 4], "down": 1, "hidden": 256, "alpha": 1.0, "ratio": 2},
}
TWIN = {"divide": {"widths": 8, "hidden": 8}, "set": {"ratio": 1}}  # of so few steps, one in five would be none
NEURON = {"name": "liaf", "decay": 0.3, "v_threshold": 0.3, "v_reset": 0.3, "surrogate": "rect", "alpha": 2.0}
LAYOUTS = {"dvs": {}}


def build(size, layout, fire, classes, shape, steps):
    """A TA-SNN for frames of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs."""
    model = plain_network(size, layout, fire, classes, shape, steps, size["ratio"])
    model.causal = False
    return model
