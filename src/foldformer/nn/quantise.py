"""Weights as whole numbers with a scale: int8 for each column, int4 for each block of a column.

What an export stores and what quantisation noise shows to a training are computed here alike.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldformer.nn.linears import FactoredLinear, Linear
from foldformer.nn.linears.residual import ResidualLinear

Bits = Literal[4, 8]

BLOCK = 64
"""Numbers of a column, one below the other, that share a scale in int4."""

THIN = 32
"""Rows from which on whole numbers save an export more time than rounding what goes in takes."""


@dataclass(frozen=True)
class Quantised:
    """A matrix as numbers times scales.

    Attributes:
        numbers: int8 (..., in, out), from -127 to 127 or from -8 to 7.
        scales: (..., blocks, out); those of block b hold for the rows from b * block on.
        block: rows a block; the last one may have fewer.
    """

    numbers: Tensor
    scales: Tensor
    block: int

    def dequantised(self) -> Tensor:
        """What the numbers stand for, (..., in, out), in the type of the scales."""
        rows = self.numbers.shape[-2]
        return self.numbers * self.scales.repeat_interleave(self.block, dim=-2)[..., :rows, :]


def quantise(matrix: Tensor, bits: Bits, largest: int = 127) -> Quantised:
    """The nearest multiples of one scale a column (8 bits), or a block of `BLOCK` rows (4 bits).

    Zero stays zero. In 8 bits the scale is the largest magnitude / `largest`, so that both signs
    reach as far. In 4 bits, where one step more matters, the number that is largest in magnitude
    becomes -8, whatever its sign: a scale may be negative.

    >>> found = quantise(torch.tensor([[1.0, -3.0], [-0.5, 1.5]]), 8)
    >>> found.numbers
    tensor([[ 127, -127],
            [ -64,   64]], dtype=torch.int8)

    Args:
        matrix: (..., in, out), for x @ matrix.
        bits: 8 or 4.
        largest: number in 8 bits, at most 127; in 4 bits there is no choice.
    """
    rows, columns = matrix.shape[-2:]
    block = rows if bits == 8 else BLOCK
    padded = F.pad(matrix, (0, 0, 0, -rows % block))
    blocks = padded.reshape(*matrix.shape[:-2], -1, block, columns)
    if bits == 8:
        lowest, highest = -largest, largest
        scales = blocks.abs().amax(-2) / highest
    else:
        lowest, highest = -8, 7
        place = blocks.abs().argmax(-2, keepdim=True)
        scales = blocks.gather(-2, place).squeeze(-2) / lowest
    steps = torch.where(scales == 0, 1, scales).unsqueeze(-2)
    numbers = (blocks / steps).round().clamp(lowest, highest).to(torch.int8)
    numbers = numbers.reshape(padded.shape)[..., :rows, :]
    return Quantised(numbers.contiguous(), scales, block)


def shared_weights(module: nn.Module) -> dict[str, nn.Parameter]:
    """{name: (..., in, out)}: the full-rank matrices of the layers' maps, most of a model's weight.

    What belongs to single uses, factors, diagonals and biases, is not among them, nor are heads and
    subsampling. A map that has a full-rank matrix calls it `weight`, whether it is shared or not.
    """
    return {
        f"{name}.weight": parameter
        for name, linear in module.named_modules()
        if isinstance(linear, Linear)
        for key, parameter in linear.named_parameters(recurse=False)
        if key == "weight"
    }


def round_weights(module: nn.Module, bits: Bits) -> None:
    """Round the matrices of a model in place, as an export of that precision stores them.

    The full-rank matrices of the layers get `bits` bits. All other matrices get 8: low-rank
    factors, those of each use apart, heads, convolutions and embeddings, with a scale for each
    output channel, or for each row where there are fewer than `THIN`. Vectors stay as they are.
    What goes into a product is not rounded, which an export does when it runs.

    Args:
        module: the model.
        bits: 8 or 4.
    """
    full_rank = {id(parameter) for parameter in shared_weights(module).values()}
    with torch.no_grad():
        for part in module.modules():
            for name, parameter in part.named_parameters(recurse=False):
                if id(parameter) in full_rank:
                    parameter.copy_(_rounded(parameter, bits))
                elif isinstance(part, nn.Linear) and name == "weight":
                    parameter.copy_(_rounded(parameter.T, 8).T)
                elif isinstance(part, (nn.Conv1d, nn.Embedding)) and name == "weight":
                    rows = parameter.flatten(1)
                    parameter.copy_(quantise(rows.T, 8).dequantised().T.reshape(parameter.shape))
            if isinstance(part, Linear):
                for use in range(part.uses):  # an export has the factors of each use apart
                    for factor in _factors(part, use):
                        factor.copy_(_rounded(factor, 8))


def _factors(linear: Linear, use: int) -> tuple[Tensor, ...]:
    """The low-rank factors of a use, views of the parameters; none where it has none."""
    if isinstance(linear, ResidualLinear):
        return linear.low_rank(use) or ()
    return linear.factors(use) if isinstance(linear, FactoredLinear) else ()


def _rounded(matrix: Tensor, bits: Bits) -> Tensor:
    """A matrix (..., in, out) that something is multiplied with: few rows have a scale each."""
    if matrix.shape[-2] < THIN:
        return quantise(matrix.mT, 8).dequantised().mT
    return quantise(matrix, bits).dequantised()
