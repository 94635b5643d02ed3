"""A basis that all uses share, and coefficients for each use.

As Basis Sharing (Wang et al., arXiv:2410.03765) compresses trained layers.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foldformer.errors import SpecError
from foldformer.nn.linears import FactoredLinear, LinearSpec


class BasisLinear(FactoredLinear):
    """y = (x @ basis) @ coefficients[k] + bias[k].

    >>> linear = BasisLinear(8, 4, 3, uses=2, bias=True)
    >>> {name: tuple(p.shape) for name, p in linear.named_parameters()}
    {'basis': (8, 3), 'coefficients': (2, 3, 4), 'bias': (2, 4)}

    Parameters:
        basis: (in, R), shared by all uses.
        coefficients: (K, R, out).
        bias: (K, out) or None.
    """

    def __init__(
        self, in_features: int, out_features: int, rank: int, *, uses: int, bias: bool
    ) -> None:
        super().__init__(in_features, out_features, uses)
        self.basis = nn.Parameter(torch.empty(in_features, rank))
        self.coefficients = nn.Parameter(torch.empty(uses, rank, out_features))
        self.bias = nn.Parameter(torch.zeros(uses, out_features)) if bias else None
        # The products then have the variance of a dense matrix at its start, 2 / (in + out).
        variance = 2 * in_features / (rank * (in_features + out_features))
        nn.init.normal_(self.basis, std=1 / math.sqrt(in_features))
        nn.init.normal_(self.coefficients, std=math.sqrt(variance))

    def factors(self, use: int) -> tuple[Tensor, Tensor]:
        """See FactoredLinear."""
        return self.basis, self.coefficients[use]

    @torch.no_grad()
    def scale(self, factor: float) -> None:
        """See Linear."""
        self.coefficients.mul_(factor)


@dataclass(frozen=True, kw_only=True)
class BasisSpec(LinearSpec):
    """K matrices whose columns lie in one space of R dimensions."""

    rank: int = 16
    """Dimensions of the space, R; at most the inputs, and at most the outputs of all uses."""
    bias: bool = True
    """Whether each use adds a bias."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise SpecError(f"rank: expected 1 or more, got {self.rank}")

    def build(self, in_features: int, out_features: int, uses: int) -> BasisLinear:
        """See LinearSpec."""
        limit = min(in_features, uses * out_features)
        if self.rank > limit:
            raise SpecError(
                f"rank: {self.rank} is larger than the matrices allow ({uses} of {in_features} x "
                f"{out_features}: at most {limit})"
            )
        return BasisLinear(in_features, out_features, self.rank, uses=uses, bias=self.bias)
