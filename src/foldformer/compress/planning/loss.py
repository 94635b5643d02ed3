"""The part of a matrix that a low rank leaves out, taken away to see what it matters."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from foldformer.compress.least_squares import WhitenedSVD, cost, regular

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
    decomposed = WhitenedSVD(weight, regular(moment, torch.float32))
    tails = decomposed.energies.double().flip(0).cumsum(0).flip(0)
    if not (tails[0] > 0 and moment.any()):  # nothing is applied, or nothing ever comes in
        return torch.zeros_like(weight), 0.0
    down, up = decomposed.low_rank(int((tails > LOST * tails[0]).sum()))
    error = weight - down @ up
    return error, float(cost(error, moment) / cost(weight, moment))


@contextmanager
def erring(errors: Mapping[nn.Module, Tensor], use: int | None = None) -> Iterator[None]:
    """While it is in force, linear maps compute with their matrices less these.

    By hooks: nothing of ours stands in a model that is only looked at.

    Args:
        errors: {linear map, called with its inputs (..., in): what its matrix lacks, (in, out)}.
        use: the only use that errs of maps that are used several times in depth, which are told it
            behind their inputs; of other maps it is None.
    """

    def less(error: Tensor, module: nn.Module, args: tuple[Any, ...], y: Tensor) -> Tensor:
        return y if use is not None and args[1] != use else y - args[0] @ error

    with ExitStack() as hooks:
        for linear, error in errors.items():
            hooks.callback(linear.register_forward_hook(partial(less, error)).remove)
        yield
