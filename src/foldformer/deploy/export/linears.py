"""The form that a linear map with residuals takes in an exported graph."""

from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional as F

from foldformer.deploy.export.forms import export_form
from foldformer.nn.linears import Linear
from foldformer.nn.linears.residual import ResidualLinear


class ChainedResidual(Linear):
    """A ResidualLinear as a chain of products, each of which adds what the ones before it gave.

    y = x @ weight + ((x @ down_k) @ up_k + (pad(x * diagonal_k) + bias_k)): a product of ONNX
    (Gemm) adds a matrix on its way, so that the sums cost no passes of their own. It is never
    merged: K merged matrices would be what sharing is there to avoid.

    What was slower on one core, for chunks of 160 to 640 ms at 512 wide: the bias in one more row
    of `up`, against a column of ones in x @ down (17 columns take as long as 32); scale and shift
    as one batch normalisation; the maps of query, key and value as one, whose result is split.
    """

    def __init__(self, linear: ResidualLinear) -> None:
        super().__init__(linear.in_features, linear.out_features, linear.uses)
        self.weight, self.down, self.up = linear.weight, linear.down, linear.up
        self.diagonal, self.bias = linear.diagonal, linear.bias
        ends = list(accumulate(linear.ranks))
        self._own = [slice(end - rank, end) for end, rank in zip(ends, linear.ranks, strict=True)]

    def merged(self, use: int) -> Tensor:
        """See Linear. No graph has it; it is there for those who look at the matrix."""
        matrix: Tensor = self.weight
        own = self._own[use]
        if self.down is not None and self.up is not None and own.start < own.stop:
            matrix = matrix.addmm(self.down[:, own], self.up[own])
        if self.diagonal is None:
            return matrix
        return matrix.diagonal_scatter(matrix.diagonal() + self.diagonal[use])

    @torch.no_grad()
    def scale(self, factor: float) -> None:
        """See Linear."""
        for part in (self.weight, self.up, self.diagonal):
            if part is not None:
                part.mul_(factor)

    def forward(self, x: Tensor, use: int) -> Tensor:
        """See Linear."""
        rows = x.reshape(-1, self.in_features)
        added = self._scaled(rows, use)
        own = self._own[use]
        if self.down is not None and self.up is not None and own.start < own.stop:
            added = _product(rows @ self.down[:, own], self.up[own], added)
        return _product(rows, self.weight, added).view(*x.shape[:-1], self.out_features)

    def _scaled(self, rows: Tensor, use: int) -> Tensor | None:
        """pad(x * diagonal_k) + bias_k."""
        bias = None if self.bias is None else self.bias[use]
        if self.diagonal is None:
            return bias
        width = self.diagonal.shape[1]
        scaled = rows[:, :width] * self.diagonal[use]
        if width < self.out_features:
            scaled = F.pad(scaled, (0, self.out_features - width))
        return scaled if bias is None else scaled + bias


def _product(x: Tensor, matrix: Tensor, added: Tensor | None) -> Tensor:
    return x @ matrix if added is None else added.addmm(x, matrix)


@export_form.register
def _(linear: ResidualLinear) -> Linear:
    return ChainedResidual(linear)
