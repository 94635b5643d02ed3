"""The part of a matrix that a low rank leaves out, taken away to see what it matters."""

import torch
from torch import Tensor

from foldformer.compress.least_squares import best_low_rank, cost, regular
from foldformer.compress.planning.spectra import energies

LOST = 0.1
"""The part of a matrix's output that is taken away to see what it does.

Where little is taken, the slope says too little of what happens when much is: a plan for a fifth of
the bytes, made with the slope at nothing, loses a third more of the output.
"""


def smallest_part(weight: Tensor, moment: Tensor) -> tuple[Tensor, float]:
    """(the part of a matrix that a low rank leaves out, the part of the output that this is).

    Args:
        weight: (in, out).
        moment: E[x x^T] of its inputs, (in, in).
    """
    # In float32: what is taken away is far more than its rounding.
    weight, moment = weight.float(), moment.float()
    metric = regular(moment, torch.float32)
    values = energies(weight, metric)
    tails = values[::-1].cumsum()[::-1]
    if not (tails[0] > 0 and moment.any()):  # nothing is applied, or nothing ever comes in
        return torch.zeros_like(weight), 0.0
    down, up = best_low_rank(weight, int((tails > LOST * tails[0]).sum()), metric)
    error = weight - down @ up
    return error, float(cost(error, moment) / cost(weight, moment))
