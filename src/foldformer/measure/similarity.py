"""How alike the layers of an encoder are: cosines of their weight matrices."""

from dataclasses import dataclass
from pathlib import Path

import torch

from foldformer.checkpoint import load_model
from foldformer.errors import InputError
from foldformer.nn.depth import Depth
from foldformer.nn.depth.sequential import Sequential
from foldformer.nn.linears import Linear

Cosines = tuple[tuple[float, ...], ...]
"""(L, L), of the layers in order of depth, to two decimals."""


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """Of a model.

    Attributes:
        model: its folder.
        cosines: of its layers.
    """

    model: str
    cosines: Cosines


def similarity_of(folder: Path) -> Similarity:
    """The cosines of a model in a folder.

    Raises:
        InputError: the folder is no model, or its layers do not follow one another.
    """
    found = cosines(load_model(folder)[0].encoder.depth)
    if found is None:
        raise InputError(f"{folder}: its depth is not sequential, so its layers have no order")
    return Similarity(model=str(folder), cosines=found)


def cosines(depth: Depth) -> Cosines | None:
    """The mean over a layer's matrices of the cosine between those of each two layers in depth.

    A matrix is taken as a use applies it, residuals merged, as one long vector. Layers that share a
    weight come near 1; layers of a dense model, which began at random, come near 0 and are no less
    similar in what they compute for that. None where the layers do not follow one another.
    """
    if not isinstance(depth, Sequential):
        return None
    places: dict[str, list[torch.Tensor]] = {}
    for layer, use in depth.order:
        for name, module in depth.layers[layer].named_modules():
            if isinstance(module, Linear):
                with torch.no_grad():
                    matrix = module.merged(use).flatten()
                    places.setdefault(name, []).append(matrix / matrix.norm().clamp(min=1e-12))
    each = [torch.stack(matrices) @ torch.stack(matrices).T for matrices in places.values()]
    mean = torch.stack(each).mean(0).tolist()
    return tuple(tuple(round(value, 2) for value in row) for row in mean)
