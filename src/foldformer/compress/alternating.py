"""The shared weight and all residuals of K matrices together, by alternating least squares."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from foldformer.compress.least_squares import (
    best_diagonal,
    best_low_rank,
    better_low_rank,
    times,
)
from foldformer.compress.shared import Shared
from foldformer.compress.stored import Stored
from foldformer.compress.symmetric import add_lower_product, mirror

STEPS = 2
"""Steps of the orthogonal iteration of each low rank in each sweep but the first."""


def sweeps(
    weights: Tensor, ranks: Sequence[int], diagonal: bool, moments: Sequence[Tensor] | None
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
        weights: (K, in, out); two uses or more. What is found is in float64.
        ranks: R_k of each use.
        diagonal: whether each use has one.
        moments: K of (in, in), float64 and positive definite, or None for the identity.

    Yields:
        What a sweep over all uses arrived at, and its cost; the cost never rises.
    """
    uses, rows, columns = weights.shape
    width = min(rows, columns)
    group = _Group(weights, moments)
    down = [weights.new_zeros(rows, rank, dtype=torch.float64) for rank in ranks]
    up = [weights.new_zeros(rank, columns, dtype=torch.float64) for rank in ranks]
    diagonals = weights.new_zeros(uses, width, dtype=torch.float64)
    first = True
    while True:
        for use, rank in enumerate(ranks):
            wanted, metric = group.others(use).neg_().add_(weights[use]), group.metric(use)
            if diagonal:
                error = wanted[:, :width].addmm(down[use], up[use][:, :width], alpha=-1)
                diagonals[use] = best_diagonal(error, metric)
                wanted.diagonal().sub_(diagonals[use])
            if first:
                down[use], up[use] = best_low_rank(wanted, rank, metric)
            elif rank:
                down[use], up[use] = better_low_rank(wanted, up[use], metric, STEPS)
            group.replace(use, down[use], up[use], diagonals[use] if diagonal else None)
        first = False
        shared = Shared(
            group.weight(), tuple(down), tuple(up), diagonals.clone() if diagonal else None
        )
        yield shared, group.cost(shared.weight)


class _Group:
    """What the uses leave to the shared weight, T_k = W_k - down_k up_k - diag_k, and its sums.

    A square of the inputs is what takes memory here, and with moments there are three for each use:
    they wait on disk for their turn, in triangles and sums in float64.
    """

    def __init__(self, weights: Tensor, moments: Sequence[Tensor] | None) -> None:
        self.uses = len(weights)
        self._weights = weights
        self._moments = moments
        self._kept = Stored()
        self._device = weights.device
        self._energies = [0.0] * self.uses
        self._sum = torch.zeros_like(weights[0], dtype=torch.float64)
        if moments is not None:
            self._prepare(moments)
        for use, weight in enumerate(weights.unbind()):
            whole = times(None if moments is None else moments[use], weight.double())
            self._energies[use] = float((whole * weight).sum())
            self._sum += whole
            self._kept.put(f"whole {use}", whole)
            self._kept.put(f"image {use}", whole)

    def _prepare(self, moments: Sequence[Tensor]) -> None:
        """The triangles of the sum of all moments and of those of all others, and the metrics."""
        total = torch.zeros_like(moments[0])
        for moment in moments:
            total += moment
        for use in range(len(moments)):
            # Off and on again: a difference of its own would be one more square in memory.
            total -= moments[use]
            self._kept.put(f"others {use}", _upper(total))
            total += moments[use]
        whole = _upper(total)
        del total
        self._kept.put("all", whole)
        for use in range(len(moments)):
            # P = M T^-1 S = M - M T^-1 M, of T = M + S = L L^T.
            metric = moments[use].clone()
            half = torch.linalg.solve_triangular(whole.mT, metric, upper=False)
            add_lower_product(metric, half, half, factor=-1)
            del half
            self._kept.put(f"metric {use}", mirror(metric))

    def _read(self, name: str) -> Tensor:
        return self._kept[name].to(self._device)

    def replace(self, use: int, down: Tensor, up: Tensor, diagonal: Tensor | None) -> None:
        """A use has this residual, from now on; its image is that of the residual off the whole."""
        left = self._weights[use].to(torch.float64, copy=True).addmm_(down, up, alpha=-1)
        moment = None if self._moments is None else self._moments[use]
        image = self._read(f"whole {use}").addmm_(times(moment, down), up, alpha=-1)
        if diagonal is not None:
            left.diagonal().sub_(diagonal)
            if moment is None:
                image.diagonal().sub_(diagonal)
            else:
                width = len(diagonal)
                image[:, :width].addcmul_(moment[:, :width], diagonal, value=-1)
        self._energies[use] = float(left.mul_(image).sum())
        self._sum += image
        self._sum -= self._read(f"image {use}")
        self._kept.put(f"image {use}", image)

    def others(self, use: int) -> Tensor:
        """V: the best weight for the other uses, in memory of its own."""
        rest = self._sum - self._read(f"image {use}")
        if self._moments is None:
            return rest.div_(self.uses - 1)
        return _solved(self._read(f"others {use}"), rest)

    def metric(self, use: int) -> Tensor | None:
        """P: what an error of this use costs, after the shared weight has moved to meet it.

        Without moments it is (1 - 1/K) of the identity: a factor changes no minimum.
        """
        return None if self._moments is None else self._read(f"metric {use}")

    def weight(self) -> Tensor:
        """U: the best weight for all uses."""
        if self._moments is None:
            return self._sum / self.uses
        return _solved(self._read("all"), self._sum)

    def cost(self, weight: Tensor) -> float:
        """The sum over the uses of tr(E^T M E), E = T - U, for the best weight U.

        Then sum M E = 0, and the cost is sum tr(T^T M T) - tr(U^T sum M T).
        """
        return sum(self._energies) - float((weight * self._sum).sum())


def _upper(matrix: Tensor) -> Tensor:
    """The Cholesky factor L^T (n, n) of a positive definite matrix, row by row in memory."""
    lower: Tensor = torch.linalg.cholesky(matrix)
    return lower.mT


def _solved(upper: Tensor, right: Tensor) -> Tensor:
    """(L L^T)^-1 @ right, without a copy of the factor."""
    half = torch.linalg.solve_triangular(upper.mT, right, upper=False)
    solved: Tensor = torch.linalg.solve_triangular(upper, half, upper=True)
    return solved
