"""Spectra from half of a Gram matrix, in float32, against singular values in float64."""

import numpy as np
import pytest
import torch
from torch import Tensor

from foldformer.compress.least_squares import regular
from foldformer.compress.planning.layer_matrices import LayerMatrices
from foldformer.compress.planning.spectra import in_one_basis, left_over, shared
from foldformer.compress.planning.uses import Sums, Use, Uses

SCALES = (0.5, 2.0, 1.0)


def stack(shape: tuple[int, int], *, moments: bool) -> LayerMatrices:
    generator = torch.Generator().manual_seed(0)
    common = torch.randn(shape, generator=generator)
    weights = [common + 0.5 * torch.randn(shape, generator=generator) for _ in SCALES]
    inputs = [torch.randn(2 * shape[0], shape[0], generator=generator) for _ in SCALES]
    found = [x.t() @ x / len(x) for x in inputs]
    return LayerMatrices(
        {"m": weights}, {"m": found} if moments else None, {"m": [1.0] * len(SCALES)}
    )


def group(of: LayerMatrices) -> tuple[list[Use], Sums]:
    uses, sums = list(Uses(of, "m").of(range(len(SCALES)), SCALES)), Sums()
    for use in uses:
        sums.add(use)
    return uses, sums


def metrics(of: LayerMatrices) -> list[Tensor]:
    """M of each use, in float64."""
    inputs = of.weights["m"][0].shape[0]
    found = [of.moment("m", use) for use in range(len(SCALES))]
    return [torch.eye(inputs).double() if m is None else regular(m) for m in found]


SHAPES = pytest.mark.parametrize("shape", [(10, 12), (20, 9), (30, 9)], ids=str)
"""Wide; tall, and less so than the three are side by side; tall all the same."""


@SHAPES
@pytest.mark.parametrize("moments", [False, True])
def test_what_a_basis_leaves(shape: tuple[int, int], moments: bool) -> None:
    of = stack(shape, moments=moments)
    weights = [weight.double() for weight in of.weights["m"]]
    lower = torch.linalg.cholesky(torch.stack(metrics(of)).mean(dim=0))
    left = torch.linalg.svd(lower.t() @ torch.cat(weights, dim=1), full_matrices=False).U
    held = sum(
        scale * (left.t() @ lower.t() @ weight).square().sum(dim=1)
        for scale, weight in zip(SCALES, weights, strict=True)
    )
    assert isinstance(held, Tensor)
    expected = held.flip(0).cumsum(0).flip(0).numpy()
    found = in_one_basis(*group(of))
    assert found.errors[:-1] == pytest.approx(expected, rel=1e-4, abs=1e-5 * expected[0])


@SHAPES
@pytest.mark.parametrize("moments", [False, True])
def test_what_sharing_leaves(shape: tuple[int, int], moments: bool) -> None:
    of = stack(shape, moments=moments)
    weights = [weight.double() for weight in of.weights["m"]]
    of_inputs = metrics(of)
    images = sum(m @ w for m, w in zip(of_inputs, weights, strict=True))
    assert isinstance(images, Tensor)
    mean = torch.linalg.solve(torch.stack(of_inputs).sum(dim=0), images)
    spectra: list[np.ndarray] = [
        torch.linalg.svdvals(torch.linalg.cholesky(m).t() @ (w - mean)).square().numpy()
        for m, w in zip(of_inputs, weights, strict=True)
    ]
    expected = shared(spectra, SCALES).errors
    found = left_over(*group(of))
    assert found.errors == pytest.approx(expected, rel=1e-4, abs=1e-5 * expected[0])
