"""Rows of numbers in int8, three in a float32, for a runtime that keeps nothing but float32."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_PLACES = (1.0, 256.0, 65536.0)
"""What a number of 8 bits counts at each of the three: up to 2^24, float32 is exact."""

LARGEST = 127
"""In magnitude, of a number of 8 bits."""

_SMALLEST = 1e-30
"""Of a scale, so that a row of zeros is not divided by zero."""


def row_width(width: int) -> int:
    """Floats that hold a row of `width` numbers: a third of it, and its scale."""
    return math.ceil(width / len(_PLACES)) + 1


def round_rows(x: Tensor) -> Tensor:
    """(..., D) -> (..., row_width(D)): each row in whole numbers from -127 to 127, and its scale.

    A row that is given back by `rows_of` and rounded again stays as it is.
    """
    scales = (x.abs().amax(dim=-1, keepdim=True) / LARGEST).clamp(min=_SMALLEST)
    numbers = (x / scales).round()
    # As bytes without sign, so that none borrows from its neighbour.
    numbers = numbers - 256 * (numbers / 256).floor()
    thirds = row_width(x.shape[-1]) - 1
    numbers = F.pad(numbers, (0, len(_PLACES) * thirds - x.shape[-1]))
    numbers = numbers.reshape(*x.shape[:-1], len(_PLACES), thirds)
    joined = (numbers * _places(x)).sum(dim=-2)
    return torch.cat([joined, scales], dim=-1)


def rows_of(packed: Tensor) -> Tensor:
    """(..., 1, W) as `round_rows` gives it, with an axis more -> (..., 1, 3 (W - 1)).

    That is the row, and up to two zeros.
    """
    numbers, scales = torch.split(packed, [packed.shape[-1] - 1, 1], dim=-1)
    shifted = (numbers * (1 / _places(packed))).to(torch.int32)
    # The cast to int8 drops the upper bits. A change of shape stands between the two: runtimes take
    # casts in a row for one, and from float32 straight to int8 what does not fit is undefined.
    row = shifted.reshape(*packed.shape[:-1], len(_PLACES) * numbers.shape[-1])
    return row.to(torch.int8).to(packed.dtype) * scales


def _places(like: Tensor) -> Tensor:
    return torch.tensor(_PLACES, dtype=like.dtype)[:, None]
