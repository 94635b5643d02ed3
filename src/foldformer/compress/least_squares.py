"""Closed forms of one residual: what is closest to E, in the metric of the inputs that it meets.

An error E of a matrix costs tr(E^T M E) = E|x @ E|^2 at the output, with M = E[x x^T] the second
moment of its inputs (in, in). Without a moment, M is the identity and the cost is |E|_F^2.
A fold comes with float64, a plan, which only compares, with float32.
"""

import math

import torch
from torch import Tensor

from foldformer.compress.symmetric import eigh, eigvalsh, lower_congruence, lower_product
from foldformer.errors import SpecError

RIDGE = 1e-3
"""Added to the diagonal of a moment, in parts of its mean.

Inputs that never vary in some direction (a unit that is never on, fewer frames than the width)
leave M singular: any error there is free on the calibration data. The ridge asks for the smallest
of those errors, and keeps what is computed with M well-posed.
"""


def regular(moment: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """The moment (in, in) with the ridge; positive definite."""
    found = moment.to(dtype, copy=True)
    found.diagonal().copy_(moment.diagonal().double() + ridge_of(moment))
    return found


def ridge_of(moment: Tensor) -> float:
    """What is added to the diagonal of a moment (in, in); 1 where there is nothing on it."""
    ridge = float(RIDGE * moment.diagonal().double().mean())
    return ridge if ridge > 0 else 1.0


def cost(error: Tensor, moment: Tensor | None) -> Tensor:
    """tr(E^T M E), a scalar. error (in, out), moment (in, in)."""
    return (error * times(moment, error)).sum()


def times(moment: Tensor | None, x: Tensor) -> Tensor:
    """M @ x."""
    return x if moment is None else moment @ x


def best_diagonal(error: Tensor, moment: Tensor | None) -> Tensor:
    """The diagonal d (min(in, out),) for which E - pad(diag(d)) costs least.

    Column j of the diagonal matrix holds d_j alone, so each entry is a problem of its own:
    d_j = (M E)_jj / M_jj.
    """
    if moment is None:
        return error.diagonal().clone()
    width = min(error.shape)  # a moment is symmetric: no column has to be read as a row
    products = (moment[:, :width] * error[:, :width]).sum(dim=0)
    return products / moment.diagonal()[:width]


def best_low_rank(error: Tensor, rank: int, moment: Tensor | None) -> tuple[Tensor, Tensor]:
    """(down (in, R), up (R, out)) whose product is closest to E; see `WhitenedSVD`."""
    limit = min(error.shape)
    if not 0 <= rank <= limit:
        raise SpecError(
            f"rank: {rank} is larger than the matrix allows ({error.shape[0]} x "
            f"{error.shape[1]}: at most {limit})"
        )
    if rank == 0:
        return error.new_zeros(error.shape[0], 0), error.new_zeros(0, error.shape[1])
    return WhitenedSVD(error, moment).low_rank(rank)


class WhitenedSVD:
    """L^T E = P S Q^T, with M = L L^T: the best E of every rank.

    The best rank-R matrix keeps the R largest singular values: down @ up = E Q Q^T =
    L^-T P P^T L^T E. The vectors come from the eigenvectors of the smaller of the two Gram
    matrices: E^T M E, which needs no L, or L^T E E^T L.

    SVD-LLM (Wang et al., arXiv:2403.07378) whitens by the same factor of the moment. The principal
    components of the output that LiteASR (Kamahori et al., arXiv:2502.20583) keeps are the same
    where the output's mean is 0.
    """

    def __init__(self, error: Tensor, moment: Tensor | None) -> None:
        """Decompose.

        Args:
            error: E, (in, out).
            moment: M, (in, in), positive definite; the identity if not given.
        """
        self._error = error
        self._lower: Tensor | None = None
        if error.shape[1] <= error.shape[0]:
            gram = lower_product(error, times(moment, error))
        else:
            if moment is not None:
                self._lower = torch.linalg.cholesky(moment)
                self._error = self._lower.t() @ error
            gram = lower_product(self._error.t(), self._error.t())
        values, self._vectors = eigh(gram)
        self.energies = values.flip(0).clamp(min=0)
        """The squared singular values, the largest first, (min(in, out),)."""

    def low_rank(self, rank: int) -> tuple[Tensor, Tensor]:
        """(down (in, R), up (R, out)) of the R largest singular values."""
        kept = self._vectors[:, len(self._vectors) - rank :].flip(1)
        if self._error.shape[1] <= self._error.shape[0]:
            return balanced(self._error @ kept, kept.t())
        down = kept
        if self._lower is not None:
            down = torch.linalg.solve_triangular(self._lower.t(), kept, upper=True)
        return balanced(down, kept.t() @ self._error)


def energies(matrix: Tensor, moment: Tensor | None, image: Tensor | None = None) -> Tensor:
    """The squared singular values of L^T E, largest first, for M = L L^T: (min(in, out),).

    What rank R leaves of E|x @ E|^2 is the sum of all but the first R. They are the eigenvalues
    of the smaller of the two Gram matrices; see `WhitenedSVD`.

    Args:
        matrix: E, (in, out).
        moment: M, (in, in), positive definite; the identity if not given.
        image: M E, (in, out), where it is known: then a matrix with no more columns than rows
            needs no moment.
    """
    rows, columns = matrix.shape
    if columns <= rows:
        gram = lower_product(matrix, times(moment, matrix) if image is None else image)
    else:
        gram = matrix @ matrix.t()
        if moment is not None:
            gram = lower_congruence(torch.linalg.cholesky(moment), gram)
    return eigvalsh(gram).flip(0).clamp(min=0)


def better_low_rank(
    error: Tensor, up: Tensor, moment: Tensor | None, steps: int
) -> tuple[Tensor, Tensor]:
    """`best_low_rank` nearly, from the row space of an `up` (R, out) that was good before.

    Each step of the orthogonal iteration Q <- orth(E^T M E Q) costs products of R columns alone,
    and never makes the product worse: tr(Q^T G Q) does not fall, and E Q is the best `down` for Q.
    """
    right = torch.linalg.qr(up.t()).Q
    for _ in range(steps):
        right = torch.linalg.qr(error.t() @ times(moment, error @ right)).Q
    return balanced(error @ right, right.t())


def balanced(down: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    """The same product, in which column i of `down` and row i of `up` have one length.

    So neither factor learns faster than the other. A term that is nothing gets a Gaussian column of
    about unit length and a zero row, as a new ResidualLinear has: two zeros would never move.
    """
    lengths, widths = down.norm(dim=0), up.norm(dim=1)
    strengths = lengths * widths
    floor = 1e-12 * strengths.max() if strengths.numel() else 0.0
    there = strengths > floor
    scale = torch.where(there, (widths / lengths).sqrt(), torch.zeros_like(lengths))
    scaled = torch.where(there, down * scale, _fresh(down))
    return scaled, torch.where(there[:, None], up / torch.where(there, scale, 1.0)[:, None], 0.0)


def _fresh(down: Tensor) -> Tensor:
    """Gaussian columns of about unit length, the same at each call: a fold is a function."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(down.shape, generator=generator, dtype=down.dtype)
    return drawn.to(down.device) / math.sqrt(down.shape[0])
