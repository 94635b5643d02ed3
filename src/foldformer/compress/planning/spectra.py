"""How the error falls with the rank: spectra of matrices, of what groups leave over, of bases."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foldformer.compress.least_squares import regular, times


@dataclass(frozen=True)
class Spectrum:
    """What is lost if ranks are handed out one by one, each to the use where it helps most.

    Attributes:
        errors: (N + 1,); entry n is the error with n ranks in all.
        owner: (N,); the use that gets the nth rank, or (0,) * N for a basis of all uses.
    """

    errors: NDArray[np.float64]
    owner: NDArray[np.int16]

    def cut(self, most: int) -> "Spectrum":
        """Up to so many ranks in all."""
        return Spectrum(self.errors[: most + 1].copy(), self.owner[:most].copy())

    def ranks(self, uses: int) -> NDArray[np.int64]:
        """(N + 1, K): how many of the first n ranks each use has."""
        counts = np.zeros((len(self.owner) + 1, uses), np.int64)
        counts[np.arange(1, len(counts)), self.owner] = 1
        return counts.cumsum(axis=0)


def energies(matrix: Tensor, moment: Tensor | None) -> NDArray[np.float64]:
    """The squared singular values of L^T E, largest first, for M = L L^T: (min(in, out),).

    What rank R leaves of E|x @ E|^2 is the sum of all but the first R. They are the eigenvalues
    of the smaller of the two Gram matrices; see `least_squares.best_low_rank`.

    Args:
        matrix: (in, out).
        moment: (in, in), positive definite; the identity if not given.
    """
    rows, columns = matrix.shape
    if columns <= rows:
        gram = matrix.t() @ times(moment, matrix)
    else:
        if moment is not None:
            matrix = torch.linalg.cholesky(moment).t() @ matrix
        gram = matrix @ matrix.t()
    values: NDArray[np.float64] = torch.linalg.eigvalsh(gram).flip(0).clamp(min=0).double().numpy()
    return values


def alone(spectra: Sequence[NDArray[np.float64]]) -> Spectrum:
    """Each use factored by itself."""
    return _handed_out(spectra)


def metric(moment: Tensor | None) -> Tensor | None:
    """A moment with its ridge, in float32."""
    return None if moment is None else regular(moment, torch.float32)


def left_over(
    weights: Sequence[Tensor], moments: Sequence[Tensor] | None, scales: Sequence[float]
) -> Spectrum:
    """A shared weight with a residual for each use: see `shared`.

    Args:
        weights: K matrices (in, out), two or more.
        moments: K positive definite matrices (in, in); the identity if not given.
        scales: what the error of each use is multiplied with.
    """
    mean = mean_of(weights, moments, scales)
    return shared([
        scale * energies(weight - mean, None if moments is None else moments[use])
        for use, (weight, scale) in enumerate(zip(weights, scales, strict=True))
    ])  # fmt: skip


def in_one_basis(
    weights: Sequence[Tensor], moments: Sequence[Tensor] | None, scales: Sequence[float]
) -> Spectrum:
    """One basis for all uses, in the mean of the moments, as `matrices.basis` chooses it.

    Arguments as for `left_over`.
    """
    beside = [scale**0.5 * weight for scale, weight in zip(scales, weights, strict=True)]
    mean = None
    if moments is not None:
        mean = torch.zeros_like(moments[0])
        for moment in moments:
            mean.add_(moment, alpha=1 / len(moments))
    return _handed_out([energies(torch.cat(beside, dim=1), mean)])


def shared(spectra: Sequence[NDArray[np.float64]]) -> Spectrum:
    """A shared weight with a residual for each use, as an alternating fit finds them.

    The spectra are those of W_k - U, with U the mean that leaves least over. A fit does better than
    their truncation: U moves to meet what has a residual no longer, so that K - 1 ranks do what K
    would, for two uses exactly and for more of them at both ends, no rank and all of them. So
    n ranks of a fit leave what n K / (K - 1) ranks at the mean do.

    Args:
        spectra: of each use, two or more.
    """
    uses = len(spectra)
    at_mean = _handed_out(spectra)
    total = len(at_mean.owner)
    last = total * (uses - 1) // uses
    places = np.arange(last + 1) * (uses / (uses - 1))
    errors = np.interp(places, np.arange(total + 1), at_mean.errors)
    return Spectrum(errors, at_mean.owner[:last])


def _handed_out(spectra: Sequence[NDArray[np.float64]]) -> Spectrum:
    values = np.concatenate(spectra)
    owner = np.repeat(np.arange(len(spectra), dtype=np.int16), [len(each) for each in spectra])
    order = np.argsort(-values, kind="stable")
    # From the smallest on, so that what is left at the end is exactly nothing.
    tails = np.concatenate([values[order][::-1].cumsum()[::-1], [0.0]])
    return Spectrum(tails, owner[order])


def mean_of(
    weights: Sequence[Tensor], moments: Sequence[Tensor] | None, scales: Sequence[float]
) -> Tensor:
    """The U with the least sum over uses of scale_k E|x_k @ (W_k - U)|^2.

    Args:
        weights: K matrices (in, out).
        moments: K positive definite matrices (in, in); the identity if not given.
        scales: of each use, above 0.
    """
    if moments is None:
        weighted = sum(scale * weight for scale, weight in zip(scales, weights, strict=True))
        assert isinstance(weighted, Tensor)
        return weighted / sum(scales)
    total, right = torch.zeros_like(moments[0]), torch.zeros_like(weights[0])
    for weight, moment, scale in zip(weights, moments, scales, strict=True):
        total.add_(moment, alpha=scale)
        right.addmm_(moment, weight, alpha=scale)
    return torch.cholesky_solve(right, torch.linalg.cholesky(total))
