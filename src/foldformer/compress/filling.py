"""K trained matrices into the parameters of a linear map, whatever its kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import Tensor

from foldformer.compress.matrices import Start, basis, factor, share
from foldformer.errors import SpecError
from foldformer.nn.linears import Linear
from foldformer.nn.linears.basis import BasisLinear
from foldformer.nn.linears.dense import DenseLinear
from foldformer.nn.linears.low_rank import LowRankLinear
from foldformer.nn.linears.residual import ResidualLinear


@dataclass(frozen=True)
class Trained:
    """The matrices that K uses of a map had before, and what is known of their inputs.

    Attributes:
        weights: (K, in, out).
        biases: (K, out), or None where no use adds one.
        moments: K of (in, in), of the inputs of each use; None if not known.
        source: (in, out), the matrix that `stepwise` and `lower` share; the first if None.
    """

    weights: Tensor
    biases: Tensor | None = None
    moments: Sequence[Tensor] | None = None
    source: Tensor | None = None


def filled(linear: Linear, trained: Trained, start: Start) -> dict[str, Tensor]:
    """{parameter: tensor} with which `linear` does what the trained matrices did, nearly.

    Args:
        linear: of any device, meta too: only its kind and shapes count.
        trained: as many matrices as it has uses.
        start: see `matrices.share`; for maps that share with residuals.

    Raises:
        SpecError: the map adds no biases where the trained ones do, a weight is not finite, or
            no fold is known for this kind.
    """
    tensors = _matrices(linear, trained, start)
    shapes = {name: p.shape for name, p in linear.named_parameters(recurse=False)}
    if "bias" in shapes:
        biases = trained.biases
        tensors["bias"] = (
            trained.weights.new_zeros(shapes["bias"]) if biases is None else biases.clone()
        )
    elif trained.biases is not None and trained.biases.any():
        raise SpecError("bias: the trained map adds biases, which would be lost; expected true")
    assert {name: tensor.shape for name, tensor in tensors.items()} == shapes
    return tensors


@singledispatch
def _matrices(linear: Linear, trained: Trained, start: Start) -> dict[str, Tensor]:
    """The parameters but for the bias."""
    raise SpecError(f"linear: nothing can be folded into a {type(linear).__name__}")


@_matrices.register
def _(linear: ResidualLinear, trained: Trained, start: Start) -> dict[str, Tensor]:
    shared = share(
        trained.weights,
        linear.ranks,
        diagonal=linear.diagonal is not None,
        start=start,
        moments=trained.moments,
        source=trained.source,
    )
    tensors = {"weight": shared.weight.contiguous()}
    if linear.down is not None:
        tensors["down"] = torch.cat(shared.down, dim=1)
        tensors["up"] = torch.cat(shared.up)
    if shared.diagonal is not None:
        tensors["diagonal"] = shared.diagonal
    return tensors


@_matrices.register
def _(linear: DenseLinear, trained: Trained, start: Start) -> dict[str, Tensor]:
    return {"weight": trained.weights.clone()}


@_matrices.register
def _(linear: LowRankLinear, trained: Trained, start: Start) -> dict[str, Tensor]:
    moments = trained.moments
    pairs = [
        factor(weight, rank, None if moments is None else moments[use])
        for use, (weight, rank) in enumerate(zip(trained.weights, linear.ranks, strict=True))
    ]
    return {
        "down": torch.cat([down for down, _ in pairs], dim=1),
        "up": torch.cat([up for _, up in pairs]),
    }


@_matrices.register
def _(linear: BasisLinear, trained: Trained, start: Start) -> dict[str, Tensor]:
    shared, coefficients = basis(trained.weights, linear.basis.shape[1], trained.moments)
    return {"basis": shared.contiguous(), "coefficients": coefficients}
