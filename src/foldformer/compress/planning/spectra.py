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


class Sums:
    """What the matrices of a group ask of a shared one, added up; with one more it goes on."""

    def __init__(self) -> None:
        """Of no matrix."""
        self._uses = 0
        self._moment: Tensor | None = None
        self._image: Tensor | None = None

    def add(self, weight: Tensor, moment: Tensor | None) -> None:
        """One more.

        Args:
            weight: (in, out).
            moment: (in, in), positive definite; the identity for all of them if not given.
        """
        self._uses += 1
        if self._image is None:
            self._image = times(moment, weight).clone()
            self._moment = None if moment is None else moment.clone()
        elif moment is None or self._moment is None:
            self._image += weight
        else:
            self._image.addmm_(moment, weight)
            self._moment += moment

    @property
    def moment(self) -> Tensor | None:
        """The mean of the moments, (in, in)."""
        return None if self._moment is None else self._moment / self._uses

    @property
    def mean(self) -> Tensor:
        """The U with the least sum of E|x_k @ (W_k - U)|^2, as a fold without ranks finds it."""
        assert self._image is not None
        if self._moment is None:
            return self._image / self._uses
        return torch.cholesky_solve(self._image, torch.linalg.cholesky(self._moment))


def left_over(
    weights: Sequence[Tensor],
    moments: Sequence[Tensor] | None,
    scales: Sequence[float],
    sums: Sums,
) -> Spectrum:
    """A shared weight with a residual for each use: see `shared`.

    Args:
        weights: K matrices (in, out), two or more.
        moments: K positive definite matrices (in, in); the identity if not given.
        scales: what the error of each use is multiplied with. A fold knows nothing of them, so the
            shared weight is that of the plain sum.
        sums: of these K.
    """
    mean = sums.mean
    spectra = [
        energies(weight - mean, None if moments is None else moments[use])
        for use, weight in enumerate(weights)
    ]
    return shared(spectra, scales)


def in_one_basis(weights: Sequence[Tensor], scales: Sequence[float], sums: Sums) -> Spectrum:
    """One basis for all uses, in the mean of the moments, as `matrices.basis` chooses it.

    Its directions come in the order of what they hold of all uses in the plain sum; what is lost
    without them counts by the scales. Arguments as for `left_over`.
    """
    of_uses = _directions(weights, sums.moment)
    held = np.asarray(scales) @ of_uses
    return Spectrum(_tails(held), np.zeros(len(held), np.int16))


def _directions(weights: Sequence[Tensor], moment: Tensor | None) -> NDArray[np.float64]:
    """(K, N): what each direction of the basis holds of each use, the strongest one first.

    With P S Q^T = L^T [W_1 ... W_K] it is |p_n^T L^T W_k|^2 = (s_n |q_n,k|)^2, of the smaller of
    the two Gram matrices as in `energies`.
    """
    beside, uses = torch.cat(list(weights), dim=1), len(weights)
    if beside.shape[1] <= beside.shape[0]:
        values, right = torch.linalg.eigh(beside.t() @ times(moment, beside))
        found = right.view(uses, -1, len(values)).square().sum(dim=1) * values.clamp(min=0)
    else:
        if moment is not None:
            beside = torch.linalg.cholesky(moment).t() @ beside
        left = torch.linalg.eigh(beside @ beside.t()).eigenvectors
        found = (left.t() @ beside).view(left.shape[1], uses, -1).square().sum(dim=2).t()
    strongest_first: NDArray[np.float64] = found.flip(1).double().numpy()
    return strongest_first


def shared(spectra: Sequence[NDArray[np.float64]], scales: Sequence[float]) -> Spectrum:
    """A shared weight with a residual for each use, as an alternating fit finds them.

    The spectra are those of W_k - U, with U the mean that leaves least over. A fit does better than
    their truncation: U moves to meet what has a residual no longer. Where R of n ranks belong to a
    use, it is left with what R + (n - R) / (K - 1)^2 ranks leave at the mean: in a direction that
    one of the others has a rank for, the K - 1 that have none meet in their own mean, and if they
    have nothing in common with each other, they are nearer to it than to the mean of all by
    1 / (K - 1)^2 of the squared distance. For two uses that is exact, and for any number of them
    where there is no rank.

    Args:
        spectra: of each use, two or more.
        scales: what the error of each use is multiplied with.
    """
    uses = len(spectra)
    weighed = [scale * each for scale, each in zip(scales, spectra, strict=True)]
    total = sum(map(len, spectra))
    handed = _handed_out(weighed).cut(total * (uses - 1) // uses)
    own = handed.ranks(uses)
    met = own + (np.arange(len(own))[:, None] - own) / (uses - 1) ** 2
    errors = np.zeros(len(own))
    for use, each in enumerate(weighed):
        errors += np.interp(met[:, use], np.arange(len(each) + 1), _tails(each))
    return Spectrum(errors, handed.owner)


def _handed_out(spectra: Sequence[NDArray[np.float64]]) -> Spectrum:
    values = np.concatenate(spectra)
    owner = np.repeat(np.arange(len(spectra), dtype=np.int16), [len(each) for each in spectra])
    order = np.argsort(-values, kind="stable")
    return Spectrum(_tails(values[order]), owner[order])


def _tails(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is left without the first n of N, (N + 1,).

    From the last one on, so that what is left at the end is exactly nothing.
    """
    return np.concatenate([values[::-1].cumsum()[::-1], [0.0]])
