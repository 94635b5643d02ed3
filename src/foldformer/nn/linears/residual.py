"""ResidualTransformer's map: a shared matrix; for each use a low-rank and a diagonal residual.

Wang & Li, "ResidualTransformer" (arXiv:2310.02489): W_l = U + A_l B_l + D_l, with U shared by the
K adjacent layers of a group.
"""

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldformer.errors import SpecError
from foldformer.nn.linears import Linear, LinearSpec


class ResidualLinear(Linear):
    """y = x @ weight + (x @ down_k) @ up_k + pad(x * diagonal_k) + bias_k for use k.

    Matrices are stored (in, out), so that the product is `x @ weight` and an exporter finds one
    tensor without a transposition. B of the paper is `down`, A is `up`, D is `diagonal`; `up` and
    `diagonal` start at zero, so that all uses start as the same map.

    >>> linear = ResidualLinear(8, 4, ranks=(2, 0, 1), diagonal=True, bias=True)
    >>> linear(torch.zeros(5, 8), use=2).shape
    torch.Size([5, 4])
    >>> {name: tuple(p.shape) for name, p in linear.named_parameters()}
    {'weight': (8, 4), 'down': (8, 3), 'up': (3, 4), 'diagonal': (3, 4), 'bias': (3, 4)}

    Parameters:
        weight: (in, out), shared by all uses.
        down: (in, sum of ranks); use k owns `ranks[k]` columns. None if all ranks are 0.
        up: (sum of ranks, out). None if all ranks are 0.
        diagonal: (K, min(in, out)) or None; a rectangular map pads with zeros or cuts.
        bias: (K, out) or None.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        ranks: tuple[int, ...],
        *,
        diagonal: bool,
        bias: bool,
    ) -> None:
        uses = len(ranks)
        super().__init__(in_features, out_features, uses)
        self.ranks = ranks
        self._ends = tuple(accumulate(ranks))
        total = sum(ranks)
        self.weight = nn.Parameter(torch.empty(in_features, out_features))
        self.down = nn.Parameter(torch.empty(in_features, total)) if total else None
        self.up = nn.Parameter(torch.zeros(total, out_features)) if total else None
        self.diagonal = (
            nn.Parameter(torch.zeros(uses, min(in_features, out_features))) if diagonal else None
        )
        self.bias = nn.Parameter(torch.zeros(uses, out_features)) if bias else None
        bound = math.sqrt(6 / (in_features + out_features))
        nn.init.uniform_(self.weight, -bound, bound)
        if self.down is not None:
            nn.init.normal_(self.down, std=1 / math.sqrt(in_features))

    def low_rank(self, use: int) -> tuple[Tensor, Tensor] | None:
        """(down_k (in, R_k), up_k (R_k, out)), views; None if this use has rank 0."""
        if self.down is None or self.up is None or not self.ranks[use]:
            return None
        own = self._own(use)
        return self.down[:, own], self.up[own]

    def _own(self, use: int) -> slice:
        """The columns of `down` and rows of `up` that belong to a use."""
        return slice(self._ends[use] - self.ranks[use], self._ends[use])

    def merged(self, use: int) -> Tensor:
        """weight + down_k @ up_k + diagonal_k, (in, out)."""
        down, up = (self.down, self.up) if self.ranks[use] else (None, None)
        if down is None and self.diagonal is None:
            return self.weight
        apply: Any = _Merge.apply  # PyTorch does not type it
        merged: Tensor = apply(self.weight, down, up, self.diagonal, self._own(use), use)
        return merged

    def forward(self, x: Tensor, use: int) -> Tensor:
        """See Linear. Merged or factored, whichever is cheaper for the shape of `x`."""
        if self.prefers_merged(x.numel() // self.in_features, use):
            return self.forward_merged(x, use)
        return self.forward_factored(x, use)

    def prefers_merged(self, frames: int, use: int) -> bool:
        """Whether merging the matrix costs less than the products on the side, for so many frames.

        Merging costs R x in x out multiply-adds and a pass over the matrix, whatever the frames;
        the side costs R x (in + out) multiply-adds a frame, and passes over the frames.
        """
        rank, entries = self.ranks[use], self.in_features * self.out_features
        sides = self.in_features + self.out_features if rank else self.out_features
        return (rank + _MATRIX_PASS) * entries < frames * (rank + _FRAME_PASS) * sides

    def forward_merged(self, x: Tensor, use: int) -> Tensor:
        """One product with the merged matrix."""
        return F.linear(x, self.merged(use).t(), self._bias(use))

    def forward_factored(self, x: Tensor, use: int) -> Tensor:
        """The shared product, with the thin products and the diagonal beside it."""
        y = F.linear(x, self.weight.t(), self._bias(use))
        factors = self.low_rank(use)
        if factors is not None:
            down, up = factors
            y = y + (x @ down) @ up
        if self.diagonal is not None:
            width = self.diagonal.shape[1]
            scaled = x[..., :width] * self.diagonal[use]
            y = y + F.pad(scaled, (0, self.out_features - width))
        return y

    def _bias(self, use: int) -> Tensor | None:
        return None if self.bias is None else self.bias[use]


class _Merge(torch.autograd.Function):
    """weight + down_k @ up_k + diagonal_k, whose gradient passes through without a copy.

    The gradient of the merged matrix is that of `weight`, and the others are projections of it.
    Written with differentiable operations, adding to the diagonal alone would copy it twice, and
    each slice of a parameter would cost three small operations in the backward.
    """

    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        down: Tensor | None,
        up: Tensor | None,
        diagonal: Tensor | None,
        own: slice,
        use: int,
    ) -> Tensor:
        ctx.save_for_backward(down, up)
        ctx.diagonal_shape = None if diagonal is None else diagonal.shape
        ctx.own, ctx.use = own, use
        if down is not None and up is not None:
            merged = torch.addmm(weight, down[:, own], up[own])
        else:
            merged = weight.clone()
        if diagonal is not None:
            merged.diagonal().add_(diagonal[use])
        return merged

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        down, up = ctx.saved_tensors
        d_down = d_up = d_diagonal = None
        # Under autocast the merged matrix and its gradient are in half precision, and products
        # outside of it want one type; autograd itself takes the results to the parameters' type.
        if down is not None:
            d_down, d_up = grad.new_zeros(down.shape), grad.new_zeros(up.shape)
            d_down[:, ctx.own] = grad @ up[ctx.own].t().to(grad.dtype)
            torch.mm(down[:, ctx.own].t().to(grad.dtype), grad, out=d_up[ctx.own])
        if ctx.diagonal_shape is not None:
            d_diagonal = grad.new_zeros(ctx.diagonal_shape)
            d_diagonal[ctx.use] = grad.diagonal()
        return grad, d_down, d_up, d_diagonal, None, None


# What the passes over memory cost, in multiply-adds an entry: fitted to the times that
# benchmarks/residual_forms.py prints.
_MATRIX_PASS = 4
_FRAME_PASS = 16


@dataclass(frozen=True, kw_only=True)
class ResidualSpec(LinearSpec):
    """A shared matrix with a low-rank and a diagonal residual for each use."""

    rank: int | tuple[int, ...] = 0
    """Rank of the residual, R in the paper: one number, or one for each use; 0 leaves it out."""
    diagonal: bool = True
    """Whether each use has a diagonal; left out where there is only one use, which needs none."""
    bias: bool = True
    """Whether each use adds a bias of its own."""

    def __post_init__(self) -> None:
        ranks = self.rank if isinstance(self.rank, tuple) else (self.rank,)
        if any(rank < 0 for rank in ranks):
            raise SpecError(f"rank: expected 0 or more, got {self.rank}")

    def build(self, in_features: int, out_features: int, uses: int) -> ResidualLinear:
        """See LinearSpec."""
        ranks = self.rank if isinstance(self.rank, tuple) else (self.rank,) * uses
        if len(ranks) != uses:
            raise SpecError(
                f"rank: {len(ranks)} ranks for a layer with {uses} uses; give one number or {uses}"
            )
        limit = min(in_features, out_features)
        if max(ranks) > limit:
            raise SpecError(
                f"rank: {max(ranks)} is larger than the matrix allows ({in_features} x "
                f"{out_features}: at most {limit})"
            )
        diagonal = self.diagonal and uses > 1
        return ResidualLinear(in_features, out_features, ranks, diagonal=diagonal, bias=self.bias)
