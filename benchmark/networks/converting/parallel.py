"""Parallel parameter normalisation (ECMT, section 4.3.3, eq. 26 to 29): a linear layer between multi-threshold neurons that receives spikes
0 and 1 in 2n channels, in place of one channel of values lambda_p.

    I = sum_p W_p s_p + b / theta1,  W_p = W lambda_p / theta1,  new thresholds 1 and eta = theta2 / theta1                (27 to 29)

lambda_p are the thresholds of the neurons that send, theta1 and theta2 the smallest ones of those that receive. What these send is divided
by theta1. Nothing computes so here: 2n times the weights give the same numbers, which is what the tests say. The paper leaves the bias out,
and has no form for a receiver that is no such neuron (a GELU, the residual stream): there theta1 is 1.
"""

import torch


def planes(sent: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
    """Values [...] as spikes 0 and 1, [2n, ...]: which threshold each neuron fired at."""
    return torch.stack([sent == threshold for threshold in thresholds]).to(sent.dtype)


def normalised(weight: torch.Tensor, bias: torch.Tensor | None, thresholds: torch.Tensor, theta1: float = 1.0):
    """W_p [2n, out, in] and the bias of a layer whose input has these thresholds lambda_p and whose receiver has the base theta1."""
    return weight * (thresholds / theta1)[:, None, None], None if bias is None else bias / theta1


def current(spikes: torch.Tensor, weights: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Equation 28: spikes [2n, ..., in] through W_p [2n, out, in]."""
    together = torch.einsum("p...i,poi->...o", spikes, weights)
    return together if bias is None else together + bias
