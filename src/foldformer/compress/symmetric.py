"""Symmetric products of large matrices, without the half that the other half says already.

What is computed are the blocks on and below the diagonal: `eigh`, `eigvalsh` and
`torch.linalg.cholesky` read no others. `mirror` fills in the rest.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

_BLOCK = 512
"""Rows of a block: smaller ones save more products, and are slower at each."""

_SMALL = 2.0**-30
"""Decompositions are of no matrix whose entries are all below: those of MKL in float32 have been
seen not to converge where the largest is 3e-17, as what equal matrices leave of each other."""


def lower_product(x: Tensor, y: Tensor) -> Tensor:
    """x^T y where that is symmetric, (N, N), in the blocks on and below the diagonal; else 0.

    Args:
        x: (M, N).
        y: (M, N).
    """
    found = x.new_zeros(x.shape[1], x.shape[1])
    add_lower_product(found, x, y)
    return found


def add_lower_product(found: Tensor, x: Tensor, y: Tensor, factor: float = 1.0) -> None:
    """found += factor x^T y where that is symmetric, in the blocks on and below the diagonal.

    Args:
        found: (N, N), of any precision and on any device.
        x: (M, N).
        y: (M, N).
        factor: of the product.
    """
    for start, stop in _blocks(len(found)):
        product = x[:, start:stop].t() @ y[:, :stop]
        found[start:stop, :stop].add_(product.to(found.device), alpha=factor)


def lower_congruence(lower: Tensor, middle: Tensor) -> Tensor:
    """L^T C L of a symmetric C, (N, N), in the blocks on and below the diagonal; else 0.

    Args:
        lower: L, (N, N), nothing above its diagonal.
        middle: C, (N, N), whole.
    """
    found = torch.zeros_like(middle)
    for start, stop in _blocks(len(lower)):
        rows = lower[start:, start:stop].t() @ middle[start:]
        for first, last in _blocks(stop):
            found[start:stop, first:last] = rows[:, first:] @ lower[first:, first:last]
    return found


def lower_times(lower: Tensor, x: Tensor) -> Tensor:
    """L @ x, (N, M), of an L (N, N) with nothing above its diagonal."""
    return torch.cat([lower[start:stop, :stop] @ x[:stop] for start, stop in _blocks(len(lower))])


def eigh(found: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (N,), the smallest first, and eigenvectors (N, N), of blocks as above."""
    factor = _factor(found)
    values, vectors = torch.linalg.eigh(found if factor == 1 else found * factor)
    return values / factor, vectors


def eigvalsh(found: Tensor) -> Tensor:
    """Eigenvalues (N,), the smallest first, of blocks as above."""
    factor = _factor(found)
    values: Tensor = torch.linalg.eigvalsh(found if factor == 1 else found * factor)
    return values / factor


def mirror(found: Tensor) -> Tensor:
    """The same matrix, with the blocks above the diagonal filled in from those below."""
    for start, stop in _blocks(len(found)):
        found[:start, start:stop] = found[start:stop, :start].t()
    return found


def _blocks(width: int) -> Iterator[tuple[int, int]]:
    for start in range(0, width, _BLOCK):
        yield start, min(start + _BLOCK, width)


def _factor(found: Tensor) -> float:
    """A power of two, which changes no digit, that brings small entries near to 1."""
    largest = float(torch.linalg.vector_norm(found, math.inf))
    if not 0 < largest < _SMALL:
        return 1.0
    return 2.0 ** -math.frexp(largest)[1]
