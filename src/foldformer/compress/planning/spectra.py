"""How the error falls with the rank: spectra of matrices, of what groups leave over, of bases."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foldformer.compress.least_squares import energies
from foldformer.compress.planning.uses import Sums, Use
from foldformer.compress.symmetric import eigh, lower_congruence, lower_product, lower_times


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


def alone(spectra: Sequence[NDArray[np.float64]]) -> Spectrum:
    """Each use factored by itself."""
    return _handed_out(spectra)


def left_over(uses: Sequence[Use], sums: Sums) -> Spectrum:
    """A shared weight with a residual for each use: see `shared`.

    Args:
        uses: K, two or more.
        sums: of these.
    """
    mean = sums.mean
    rows, columns = mean.shape
    spectra, scales, left = [], [], torch.zeros_like(mean)
    # Written into again and again: fresh memory for each costs as much as what is computed in it.
    error, image = torch.empty_like(mean), torch.empty_like(mean)
    for number, use in enumerate(uses, start=1):
        torch.sub(use.weight, mean, out=error)
        if columns > rows:
            found = energies(error, use.metric)
        else:  # all M_k (W_k - U) together are nothing: the last one is what the others leave
            if number < len(uses):
                torch.sub(use.image, use.times(mean, out=image), out=image)
                left -= image
            found = energies(error, None, image if number < len(uses) else left)
        spectra.append(found.double().numpy())
        scales.append(use.scale)
    return shared(spectra, scales)


def in_one_basis(uses: Sequence[Use], sums: Sums) -> Spectrum:
    """One basis for all uses, in the mean of the moments, as `matrices.basis` chooses it.

    Its directions come in the order of what they hold of all uses in the plain sum; what is lost
    without them counts by the scales. With P S Q^T = L^T [W_1 ... W_K], direction n holds
    |p_n^T L^T W_k|^2 = (s_n |q_n,k|)^2 of use k; P or Q comes from the smaller of the two Gram
    matrices. Arguments as for `left_over`.
    """
    rows, columns = sums.image.shape
    held = _held_by_right if len(uses) * columns <= rows else _held_by_left
    strongest_first = held(uses, sums).flip(0).double().numpy() / len(uses)
    return Spectrum(_tails(strongest_first), np.zeros(len(strongest_first), np.int16))


def _held_by_right(uses: Sequence[Use], sums: Sums) -> Tensor:
    """K times what each direction holds, the strongest one last, by W_j^T M W_k: (K out,)."""
    parts = list(uses)
    beside = torch.cat([use.weight for use in parts], dim=1)
    moment = sums.moment
    image = len(parts) * beside if moment is None else moment @ beside
    values, right = eigh(lower_product(beside, image))
    of_uses: Tensor = right.view(len(parts), -1, len(values)).square().sum(dim=1) * values.clamp(
        min=0
    )
    scales = torch.tensor([use.scale for use in parts], dtype=of_uses.dtype)
    return scales @ of_uses


def _held_by_left(uses: Sequence[Use], sums: Sums) -> Tensor:
    """K times what each direction holds, the strongest one last, by L^T sum(W W^T) L: (in,)."""
    plain, weighed = sums.products(uses)
    factor = sums.factor
    left: Tensor
    if factor is None:
        left = eigh(plain)[1]
        left = left * len(uses) ** 0.5
    else:
        left = lower_times(factor, eigh(lower_congruence(factor, plain))[1])
    return (weighed @ left).mul_(left).sum(dim=0).clamp(min=0)


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
