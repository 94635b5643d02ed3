"""What can be drawn of a stack: how alike its layers are, and what each way leaves over by rank."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from foldformer.compress.planning.layer_matrices import LayerMatrices
from foldformer.compress.planning.spectra import alone, left_over
from foldformer.compress.planning.uses import Sums, Uses

Curve = NDArray[np.float64]


@dataclass(frozen=True)
class Pictures:
    """Numbers to draw.

    Attributes:
        alike: (L, L); the cosine of two layers, mean over their matrices.
        aligned: the same after they were aligned, or None where they were not.
        left: {name: {"alone", "shared": (N,)}}: the part of the output's energy, or of the
            weights', that a rank of n for each layer leaves over, n = 0 .. N - 1: of each matrix by
            itself, and of neighbours in pairs beside what they share; means over layers.
    """

    alike: Curve
    aligned: Curve | None
    left: Mapping[str, Mapping[str, Curve]]


def pictures(stack: LayerMatrices, before: LayerMatrices | None = None) -> Pictures:
    """All of them.

    Args:
        stack: the layers that a plan was made for.
        before: the same as they were before they were aligned, if they were.
    """
    return Pictures(
        alike=_cosines(stack if before is None else before),
        aligned=None if before is None else _cosines(stack),
        left={name: _left(stack, name) for name in stack.weights},
    )


def _cosines(stack: LayerMatrices) -> Curve:
    """Of all pairs of layers, mean over the names of their matrices."""
    found = np.zeros((stack.num_layers, stack.num_layers))
    for matrices in stack.weights.values():
        rows = torch.stack([matrix.flatten() for matrix in matrices])
        rows = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-30)
        found += (rows @ rows.t()).numpy()
    return found / len(stack.weights)


def _left(stack: LayerMatrices, name: str) -> dict[str, Curve]:
    uses = Uses(stack, name)
    wholes = [max(float(each.sum()), 1e-30) for each in uses.energies]
    ranks = min(stack.weights[name][0].shape) + 1
    singles = [
        alone([each.numpy() / whole]).errors
        for each, whole in zip(uses.energies, wholes, strict=True)
    ]
    shared = []
    for first in range(stack.num_layers - 1):
        pair = (first, first + 1)
        sums, of_pair = Sums(), uses.of(pair, [0.5 / wholes[layer] for layer in pair])
        for use in of_pair:
            sums.add(use)
        errors = left_over(of_pair, sums).errors
        curve = np.zeros(ranks)
        curve[: len(errors[::2])] = errors[::2]  # a rank for both uses
        shared.append(curve)
    return {"alone": np.mean(singles, axis=0), "shared": np.mean(shared, axis=0)}
