"""K matrices into fewer numbers: shared with residuals, factored alone, or on a shared basis.

Matrices are (in, out): y = x @ W. K is the number of uses, R a rank. Tensors come and go in the
type of the weights; what lies between is computed in float64. With the second moments of their
inputs, M = E[x x^T], the error that is made small is that of the outputs; without, that of the
weights.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from foldformer.compress.alternating import sweeps
from foldformer.compress.least_squares import (
    best_diagonal,
    best_low_rank,
    cost,
    regular,
    times,
)
from foldformer.compress.shared import Shared as Shared
from foldformer.compress.stored import OnDemand, Stored
from foldformer.errors import SpecError

Start = Literal["average", "stepwise", "lower", "fit"]
"""Where a shared weight comes from: see `share`."""

ENOUGH = 1e-3
"""`fit` ends with a sweep that lowers the cost by less than this part of it: with 10 to 40 sweeps,
where more would lower it by 1 or 2 % in as many again."""

MOST_SWEEPS = 60


@torch.no_grad()
def share(
    weights: Tensor,
    ranks: Sequence[int],
    *,
    diagonal: bool,
    start: Start,
    moments: Sequence[Tensor] | None = None,
    source: Tensor | None = None,
) -> Shared:
    """One shared matrix, and for each use a low-rank and a diagonal residual.

    `average`, `stepwise` and `lower` (Relaxed Recursive Transformers, arXiv:2410.20672) take the
    shared matrix as it comes, then the truncated SVD of what is left, and from what that leaves the
    diagonal. `fit` finds all of them together: see `alternating.sweeps`.

    Args:
        weights: (K, in, out).
        ranks: R_k of each use, 0..min(in, out).
        diagonal: whether each use has one.
        start: `average` is the mean; `stepwise` and `lower` take `source`.
        moments: K of (in, in), of the inputs of each use.
        source: (in, out), of the layer that `source_layers` names; the first of `weights` if not
            given.

    Raises:
        SpecError: a rank is above the matrix, or a weight is not finite.
    """
    _check(weights)
    if len(ranks) != len(weights):
        raise SpecError(f"rank: {len(ranks)} ranks for {len(weights)} uses")
    metrics = None if moments is None else _metrics(moments, weights.device)
    if start == "fit":
        shared = _fitted(weights, ranks, diagonal, metrics)
    else:
        if start == "average":
            weight = weights.mean(dim=0, dtype=torch.float64)
        else:
            weight = (weights[0] if source is None else source).double()
        shared = _residuals(weights, weight, ranks, diagonal, metrics)
    return Shared(
        shared.weight.to(weights.dtype),
        tuple(down.to(weights.dtype) for down in shared.down),
        tuple(up.to(weights.dtype) for up in shared.up),
        None if shared.diagonal is None else shared.diagonal.to(weights.dtype),
    )


def source_layers(
    start: Literal["stepwise", "lower"], num_layers: int, num_groups: int
) -> list[int]:
    """The layer whose weights each group begins with (arXiv:2410.20672, section 2.2).

    `lower` takes the first layers. `stepwise` takes layers at equal distances, the first and the
    last among them; halves are rounded to even. The source may lie outside of its group, except
    with `stepwise` in adjacent groups of one size, and `lower` in a cycle.

    >>> source_layers("stepwise", 18, 6), source_layers("lower", 6, 2)
    ([0, 3, 7, 10, 14, 17], [0, 1])
    """
    if start == "lower" or num_groups == 1:
        return list(range(num_groups))
    return [round(g * (num_layers - 1) / (num_groups - 1)) for g in range(num_groups)]


@torch.no_grad()
def factor(weight: Tensor, rank: int, moment: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(down (in, R), up (R, out)): the matrix alone, as closely as the rank allows.

    Args:
        weight: (in, out).
        rank: 0..min(in, out).
        moment: (in, in), of its inputs.

    Raises:
        SpecError: the rank is above the matrix, or a weight is not finite.
    """
    _check(weight)
    metric = None if moment is None else regular(moment)
    down, up = best_low_rank(weight.double(), rank, metric)
    return down.to(weight.dtype), up.to(weight.dtype)


@torch.no_grad()
def basis(
    weights: Tensor, rank: int, moments: Sequence[Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """(basis (in, R), coefficients (K, R, out)): W_k close to basis @ coefficients_k.

    The basis is the best one for all matrices side by side, [W_1 ... W_K], in the mean of the
    moments, as that of Basis Sharing (Wang et al., arXiv:2410.03765); the coefficients are then the
    best ones for the moments of each use.

    Args:
        weights: (K, in, out).
        rank: 0..min(in, K out).
        moments: K of (in, in), of the inputs of each use.

    Raises:
        SpecError: the rank is above the matrix, or a weight is not finite.
    """
    _check(weights)
    beside = torch.cat(list(weights.double()), dim=1)
    if moments is None:
        shared, up = best_low_rank(beside, rank, None)
        coefficients = up.view(rank, len(weights), weights.shape[2]).transpose(0, 1).contiguous()
    else:
        mean = regular(moments[0])
        for moment in moments[1:]:
            mean += regular(moment)
        mean /= len(weights)
        shared, _ = best_low_rank(beside, rank, mean)
        fitted = []
        for weight, moment in zip(weights, moments, strict=True):
            images = times(regular(moment), shared)
            right = images.t() @ weight.double()
            fitted.append(torch.linalg.lstsq(shared.t() @ images, right).solution)
        coefficients = torch.stack(fitted)
    return shared.to(weights.dtype), coefficients.to(weights.dtype)


@torch.no_grad()
def output_error(weight: Tensor, approximation: Tensor, moment: Tensor | None = None) -> float:
    """E|x @ (W - W')|^2 / E|x @ W|^2: the part of the output's energy that is lost.

    Args:
        weight: (in, out).
        approximation: (in, out).
        moment: E[x x^T] (in, in); the identity if not given.
    """
    metric = None if moment is None else moment.double()
    exact = weight.double()
    return float(cost(exact - approximation.double(), metric) / cost(exact, metric))


def _metrics(moments: Sequence[Tensor], device: torch.device) -> Sequence[Tensor]:
    """The moments as `regular` makes them, on disk until they are asked for."""
    kept = Stored()
    for use, moment in enumerate(moments):
        kept.put(str(use), regular(moment))
    return OnDemand(lambda use: kept[str(use)].to(device), range(len(moments)))


def _fitted(
    weights: Tensor, ranks: Sequence[int], diagonal: bool, metrics: Sequence[Tensor] | None
) -> Shared:
    """What the sweeps find, with each low rank made anew.

    The sweeps come near, but a residual of full rank is exact only beside the last shared weight.
    """
    if len(weights) == 1:
        return _residuals(weights, weights[0].double(), ranks, diagonal, metrics)
    shared = _swept(weights, ranks, diagonal, metrics)
    down, up = [], []
    for use, (weight, rank) in enumerate(zip(weights, ranks, strict=True)):
        error = weight - shared.weight
        if shared.diagonal is not None:
            error.diagonal().sub_(shared.diagonal[use])
        factors = best_low_rank(error, rank, _of(metrics, use))
        down.append(factors[0])
        up.append(factors[1])
    return Shared(shared.weight, tuple(down), tuple(up), shared.diagonal)


def _swept(
    weights: Tensor, ranks: Sequence[int], diagonal: bool, metrics: Sequence[Tensor] | None
) -> Shared:
    """The sweeps until they no longer pay."""
    whole = sum(float(cost(w.double(), _of(metrics, use))) for use, w in enumerate(weights))
    before = float("inf")
    for number, (shared, now) in enumerate(sweeps(weights, ranks, diagonal, metrics), start=1):
        if number == MOST_SWEEPS or before - now <= ENOUGH * now or now <= 1e-12 * whole:
            return shared
        before = now
    raise AssertionError("sweeps have no end")


def _residuals(
    weights: Tensor,
    shared: Tensor,
    ranks: Sequence[int],
    diagonal: bool,
    metrics: Sequence[Tensor] | None,
) -> Shared:
    """What each use keeps beside a shared weight (in, out), float64, that is given."""
    down, up, diagonals = [], [], []
    for use, (weight, rank) in enumerate(zip(weights, ranks, strict=True)):
        error = weight - shared
        error[error.abs() <= 1e-12 * weight.abs().max()] = 0  # rounding of a mean of equals
        factors = best_low_rank(error, rank, _of(metrics, use))
        down.append(factors[0])
        up.append(factors[1])
        if diagonal:
            diagonals.append(best_diagonal(error - factors[0] @ factors[1], _of(metrics, use)))
    return Shared(shared, tuple(down), tuple(up), torch.stack(diagonals) if diagonal else None)


def _of(metrics: Sequence[Tensor] | None, use: int) -> Tensor | None:
    return None if metrics is None else metrics[use]


def _check(weights: Tensor) -> None:
    if not weights.isfinite().all():
        raise SpecError("weights: not all are finite; the model is damaged, or its training failed")
