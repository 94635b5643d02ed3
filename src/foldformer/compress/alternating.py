"""The shared weight and all residuals of K matrices together, by alternating least squares."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from foldformer.compress.least_squares import (
    best_diagonal,
    best_low_rank,
    better_low_rank,
    cost,
    times,
)
from foldformer.compress.shared import Shared

STEPS = 2
"""Steps of the orthogonal iteration of each low rank in each sweep but the first."""


def sweeps(
    weights: Tensor, ranks: Sequence[int], diagonal: bool, moments: Tensor | None
) -> Iterator[tuple[Shared, float]]:
    """min sum_k tr(E_k^T M_k E_k), E_k = W_k - U - down_k up_k - diag_k, one use after another.

    Each step takes one use k and one part of it, the diagonal or the low rank, and finds the best
    of it *together with* the shared weight: with T_j = W_j - down_j up_j - diag_j, S = sum of M_j
    over the other uses and V = S^-1 sum_{j != k} M_j T_j what they would share without k,

        min over U of the whole cost = tr(F^T P F) + terms without k,
        F = W_k - V - down_k up_k - diag_k,    P = M_k (M_k + S)^-1 S.

    So a residual takes the place of what only this use asks of the shared weight. To alternate
    between the weight and the residuals instead would stand still at the mean of two matrices,
    where both residuals are the same but for their sign.

    Args:
        weights: (K, in, out), float64; two uses or more.
        ranks: R_k of each use.
        diagonal: whether each use has one.
        moments: (K, in, in), float64 and positive definite, or None for the identity.

    Yields:
        What a sweep over all uses arrived at, and its cost; the cost never rises.
    """
    uses, rows, columns = weights.shape
    width = min(rows, columns)
    group = _Group(weights, moments)
    down = [weights.new_zeros(rows, rank) for rank in ranks]
    up = [weights.new_zeros(rank, columns) for rank in ranks]
    diagonals = weights.new_zeros(uses, width)
    first = True
    while True:
        for use, rank in enumerate(ranks):
            wanted, metric = weights[use] - group.others(use), group.metric(use)
            if diagonal:
                diagonals[use] = best_diagonal(wanted - down[use] @ up[use], metric)
                wanted.diagonal().sub_(diagonals[use])
            if first:
                down[use], up[use] = best_low_rank(wanted, rank, metric)
            elif rank:
                down[use], up[use] = better_low_rank(wanted, up[use], metric, STEPS)
            left = weights[use] - down[use] @ up[use]
            left.diagonal().sub_(diagonals[use])
            group.replace(use, left)
        first = False
        shared = Shared(
            group.weight(), tuple(down), tuple(up), diagonals.clone() if diagonal else None
        )
        yield shared, group.cost(shared.weight)


class _Group:
    """What each use leaves to the shared weight, T_k, and the sums over uses that depend on it."""

    def __init__(self, weights: Tensor, moments: Tensor | None) -> None:
        self.left = list(weights)
        self.moments = moments
        self.metrics: list[Tensor | None] = [None] * len(weights)
        self.sum = torch.zeros_like(weights[0])
        if moments is not None:
            total = moments.sum(dim=0)
            self.whole = torch.linalg.cholesky(total)
            self.rests = []
            for use, moment in enumerate(moments):
                rest = total - moment
                parallel = moment @ torch.cholesky_solve(rest, self.whole)
                self.metrics[use] = (parallel + parallel.t()) / 2
                self.rests.append(torch.linalg.cholesky(rest))
        for use, weight in enumerate(weights):
            self.sum += times(self._moment(use), weight)

    def _moment(self, use: int) -> Tensor | None:
        return None if self.moments is None else self.moments[use]

    def replace(self, use: int, left: Tensor) -> None:
        """A use leaves this, from now on."""
        self.sum += times(self._moment(use), left - self.left[use])
        self.left[use] = left

    def others(self, use: int) -> Tensor:
        """V: the best weight for the other uses."""
        rest = self.sum - times(self._moment(use), self.left[use])
        if self.moments is None:
            return rest / (len(self.left) - 1)
        return torch.cholesky_solve(rest, self.rests[use])

    def metric(self, use: int) -> Tensor | None:
        """P: what an error of this use costs, after the shared weight has moved to meet it.

        Without moments it is (1 - 1/K) of the identity: a factor changes no minimum.
        """
        return self.metrics[use]

    def weight(self) -> Tensor:
        """U: the best weight for all uses."""
        if self.moments is None:
            return self.sum / len(self.left)
        return torch.cholesky_solve(self.sum, self.whole)

    def cost(self, weight: Tensor) -> float:
        """The sum over the uses of tr(E^T M E)."""
        costs = [cost(t - weight, self._moment(use)) for use, t in enumerate(self.left)]
        return float(torch.stack(costs).sum())
