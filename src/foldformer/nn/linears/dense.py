"""A matrix of its own for each use: nothing is shared."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldformer.nn.linears import Linear, LinearSpec


class DenseLinear(Linear):
    """y = x @ weight[use] + bias[use].

    For one matrix of a layer that is to stay unshared while the others are shared; a wholly dense
    Transformer is `uses: 1` with the residual kind of rank 0.
    """

    def __init__(self, in_features: int, out_features: int, uses: int, *, bias: bool) -> None:
        super().__init__(in_features, out_features, uses)
        self.weight = nn.Parameter(torch.empty(uses, in_features, out_features))
        self.bias = nn.Parameter(torch.zeros(uses, out_features)) if bias else None
        bound = math.sqrt(6 / (in_features + out_features))
        nn.init.uniform_(self.weight, -bound, bound)

    def merged(self, use: int) -> Tensor:
        """See Linear."""
        return self.weight[use]

    @torch.no_grad()
    def scale(self, factor: float) -> None:
        """See Linear."""
        self.weight.mul_(factor)

    def forward(self, x: Tensor, use: int) -> Tensor:
        """See Linear."""
        return F.linear(x, self.merged(use).t(), None if self.bias is None else self.bias[use])


@dataclass(frozen=True, kw_only=True)
class DenseSpec(LinearSpec):
    """K separate matrices."""

    bias: bool = True
    """Whether each use adds a bias."""

    def build(self, in_features: int, out_features: int, uses: int) -> DenseLinear:
        """See LinearSpec."""
        return DenseLinear(in_features, out_features, uses, bias=self.bias)
