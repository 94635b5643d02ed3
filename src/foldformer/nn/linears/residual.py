"""ResidualTransformer's map: a shared matrix; for each use a low-rank and a diagonal residual.

Wang & Li, "ResidualTransformer" (arXiv:2310.02489): W_l = U + A_l B_l + D_l, with U shared by the
K adjacent layers of a group.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldformer.errors import SpecError
from foldformer.nn.linears import Linear, LinearSpec, Map, ranks_of_uses


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
        return _merged([self], use)[0]

    @torch.no_grad()
    def scale(self, factor: float) -> None:
        """See Linear."""
        for part in (self.weight, self.up, self.diagonal):
            if part is not None:
                part.mul_(factor)

    @classmethod
    def prepare(cls, linears: Sequence[Linear], use: int, x: Tensor) -> list[Map]:
        """See Linear. The matrices that are to be merged are merged here."""
        frames = x.numel() // x.shape[-1]
        own = [linear for linear in linears if isinstance(linear, ResidualLinear)]
        merging = [linear for linear in own if linear.prefers_merged(frames, use)]
        matrices = dict(zip(merging, _merged(merging, use), strict=True))
        return [_map(linear, use, matrices.get(linear)) for linear in own]

    def forward(self, x: Tensor, use: int, matrix: Tensor | None = None) -> Tensor:
        """See Linear. Merged or factored, whichever is cheaper for the shape of `x`.

        `matrix` is merged(use), where that is at hand.
        """
        if matrix is not None:
            return F.linear(x, matrix.t(), self._bias(use))
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
        return self.forward(x, use, self.merged(use))

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


def _map(linear: ResidualLinear, use: int, matrix: Tensor | None) -> Map:
    def call(x: Tensor) -> Tensor:
        y: Tensor = linear(x, use, matrix)
        return y

    return call


def _merged(linears: Sequence[ResidualLinear], use: int) -> list[Tensor]:
    """The matrix of each map for one use."""
    matrices: list[Tensor] = [linear.weight for linear in linears]
    places = [
        place
        for place, linear in enumerate(linears)
        if linear.ranks[use] or linear.diagonal is not None
    ]
    if not places:
        return matrices
    own, parts = [], []
    for place in places:
        linear = linears[place]
        down, up = (linear.down, linear.up) if linear.ranks[use] else (None, None)
        own.append(linear._own(use))
        parts += [linear.weight, down, up, linear.diagonal]
    apply: Any = _Merge.apply  # PyTorch does not type it
    for place, matrix in zip(places, apply(use, own, *parts), strict=True):
        matrices[place] = matrix
    return matrices


class _Merge(torch.autograd.Function):
    """weight + down_k @ up_k + diagonal_k of several maps; the gradient passes without a copy.

    The gradient of a merged matrix is that of `weight`, and the others are projections of it.
    Written with differentiable operations, adding to the diagonal alone would copy it twice, and
    each slice of a parameter would cost three small operations in the backward. For several maps at
    once, because most of the time of so small a thing goes by until code and data have come to the
    processor, which between two of them moves megabytes of frames: half of it is saved.
    """

    @staticmethod
    def forward(
        ctx: Any, use: int, own: Sequence[slice], *parts: Tensor | None
    ) -> tuple[Tensor, ...]:
        """`parts`: weight, down, up, diagonal of one map after the other."""
        matrices, factors, diagonals = [], [], []
        for of_map, (weight, down, up, diagonal) in zip(own, _by_map(parts), strict=True):
            assert weight is not None
            if down is not None and up is not None:
                merged = torch.addmm(weight, down[:, of_map], up[of_map])
            else:
                merged = weight.clone()
            if diagonal is not None:
                merged.diagonal().add_(diagonal[use])
            matrices.append(merged)
            factors += [down, up]
            diagonals.append(None if diagonal is None else diagonal.shape)
        ctx.save_for_backward(*factors)
        ctx.use, ctx.own, ctx.diagonals = use, own, diagonals
        return tuple(matrices)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        factors = ctx.saved_tensors
        found: list[Tensor | None] = []
        for grad, of_map, shape, down, up in zip(
            grads, ctx.own, ctx.diagonals, factors[::2], factors[1::2], strict=True
        ):
            d_down = d_up = d_diagonal = None
            # Under autocast the merged matrix and its gradient are in half precision, and products
            # outside of it want one type; autograd itself takes the results to the parameters'.
            if down is not None:
                d_down, d_up = grad.new_zeros(down.shape), grad.new_zeros(up.shape)
                torch.mm(grad, up[of_map].t().to(grad.dtype), out=d_down[:, of_map])
                torch.mm(down[:, of_map].t().to(grad.dtype), grad, out=d_up[of_map])
            if shape is not None:
                d_diagonal = grad.new_zeros(shape)
                d_diagonal[ctx.use] = grad.diagonal()
            found += [grad, d_down, d_up, d_diagonal]
        return None, None, *found


def _by_map(parts: Sequence[Tensor | None]) -> Iterator[Sequence[Tensor | None]]:
    return (parts[start : start + 4] for start in range(0, len(parts), 4))


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
        ranks = ranks_of_uses(self.rank, in_features, out_features, uses)
        diagonal = self.diagonal and uses > 1
        return ResidualLinear(in_features, out_features, ranks, diagonal=diagonal, bias=self.bias)
