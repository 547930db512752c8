"""What one calculation of Q, K and V costs, as Table I of Spikformer V2 counts it: one block, all T time steps. Loads no torch.

Worked out from the print (lines 118 to 125), N tokens, C channels, h heads:
- I, ReLU and LeakyReLU are FLOPs, "and SOPs is ignored": T N^2 C, the multiply-accumulates of Q K^T alone, because V is spikes and its
  product therefore SOPs. 16 x 64^2 x 256 = 16.78 M on CIFAR10-DVS and 4 x 64^2 x 384 = 6.29 M on CIFAR10/100, printed 16.8 and 6.3. So the
  unprinted sizes and steps are 2-256 at T = 16 and 4-384 at T = 4, the order is (Q K^T) V, and a FLOP is a multiply-accumulate. Energies
  are 4.6 pJ each (77 and 29 uJ).
- SSA is SOPs of both products at 0.9 pJ each: 0.66, 1.1 and 1.3 M give the printed 0.594, 0.990 and 1.170 uJ.
What cannot be told:
- what a softmax costs. The printed 19.1 and 6.6 M leave 2.27 to 2.37 and 0.26 to 0.36 M for its T h N^2 entries: 2.2 each with 16 heads on
  CIFAR10-DVS, but 1.3 to 1.8 each with the 12 heads of the released CIFAR network (2.0 to 2.7 with 8). Here 2, exponential and division.
- which block the SOPs are of, or whether the mean, and whether they are rates multiplied or pairs of spikes that met.
- where 77 M FLOPs and 5.5 M SOPs of Fig. 2 come from (8-512 on ImageNet, "in one time step", 354.2 uJ = 77.0 M x 4.6 pJ): two products at
  two operations each are 4 N^2 C = 78.7 M.
"""

from benchmark.conventions._energy import PRESET, uncounted
from benchmark.conventions._result import result

SOFTMAX = 2  # operations for each entry of the attention map; decided here
REAL = ("i", "relu", "leakyrelu", "vsa", "vsa-float-v")  # variants whose Q and K are real numbers


def flops(attention: str, tokens: int, channels: int, heads: int, steps: int) -> float:
    """FLOPs of one calculation, all steps; 0 for SSA, which has none. With a real V its product counts as well."""
    if attention not in REAL:
        return 0.0
    products = 2 if attention == "vsa-float-v" else 1
    softmax = SOFTMAX * heads * tokens**2 if attention.startswith("vsa") else 0
    return float(steps * (products * tokens**2 * channels + softmax))


def count(records: list, preset: str = PRESET) -> dict:
    """acs or macs of one block, as its blocks average; ops: the same, as the table's column has it.

    Nothing but products of Q, K and V is counted; one whose shapes the record does not say (a library's fused one) is not.
    The record of a product with real Q and K says nothing of its V: it is taken for spikes, as in all of Table I.
    """
    known = [record for record in records if record.kind == "product" and record.operands and record.scores and record.head_width]
    found = [block(record) for record in known]
    acs, macs = (sum(each) / max(1, len(found)) for each in zip(*found, strict=True)) if found else (0.0, 0.0)
    return result(
        "single_attention", acs, macs, uncounted([record for record in records if record not in known], ()), preset, ops=acs + macs
    )


def block(record) -> tuple[float, float]:
    """(accumulates, FLOPs) of one product, all steps."""
    if record.input_kind != "real":
        return record.each("events"), 0.0
    tokens = record.dense / (2 * record.operands[0][0])  # 2 T N^2 C by T N C
    heads = record.each("scores") / (record.steps * tokens**2)
    attention = "vsa" if record.layer == "SoftmaxProduct" else "i"
    return 0.0, flops(attention, tokens, record.head_width * heads, heads, record.steps)
