"""A factored matrix of its own for each use: nothing is shared.

As LiteASR (Kamahori et al., arXiv:2502.20583) compresses trained encoders.
"""

import math
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn

from foldformer.errors import SpecError
from foldformer.nn.linears import FactoredLinear, LinearSpec, ranks_of_uses


class LowRankLinear(FactoredLinear):
    """y = (x @ down_k) @ up_k + bias[k].

    >>> linear = LowRankLinear(8, 4, ranks=(2, 1), bias=True)
    >>> {name: tuple(p.shape) for name, p in linear.named_parameters()}
    {'down': (8, 3), 'up': (3, 4), 'bias': (2, 4)}

    Parameters:
        down: (in, sum of ranks); use k owns `ranks[k]` columns.
        up: (sum of ranks, out).
        bias: (K, out) or None.
    """

    def __init__(
        self, in_features: int, out_features: int, ranks: tuple[int, ...], *, bias: bool
    ) -> None:
        super().__init__(in_features, out_features, len(ranks))
        self.ranks = ranks
        self._ends = tuple(accumulate(ranks))
        self.down = nn.Parameter(torch.empty(in_features, sum(ranks)))
        self.up = nn.Parameter(torch.empty(sum(ranks), out_features))
        self.bias = nn.Parameter(torch.zeros(len(ranks), out_features)) if bias else None
        nn.init.normal_(self.down, std=1 / math.sqrt(in_features))
        for use, rank in enumerate(ranks):
            # The products then have the variance of a dense matrix at its start, 2 / (in + out).
            variance = 2 * in_features / (rank * (in_features + out_features))
            nn.init.normal_(self.up.data[self._own(use)], std=math.sqrt(variance))

    def _own(self, use: int) -> slice:
        return slice(self._ends[use] - self.ranks[use], self._ends[use])

    def factors(self, use: int) -> tuple[Tensor, Tensor]:
        """See FactoredLinear."""
        own = self._own(use)
        return self.down[:, own], self.up[own]

    @torch.no_grad()
    def scale(self, factor: float) -> None:
        """See Linear."""
        self.up.mul_(factor)


@dataclass(frozen=True, kw_only=True)
class LowRankSpec(LinearSpec):
    """K separate matrices, each the product of two thin ones."""

    rank: int | tuple[int, ...] = 16
    """Rank of the matrices, R: one number, or one for each use."""
    bias: bool = True
    """Whether each use adds a bias."""

    def __post_init__(self) -> None:
        ranks = self.rank if isinstance(self.rank, tuple) else (self.rank,)
        if any(rank < 1 for rank in ranks):
            raise SpecError(f"rank: expected 1 or more, got {self.rank}")

    def build(self, in_features: int, out_features: int, uses: int) -> LowRankLinear:
        """See LinearSpec."""
        ranks = ranks_of_uses(self.rank, in_features, out_features, uses)
        return LowRankLinear(in_features, out_features, ranks, bias=self.bias)
