"""How alike the layers of an encoder are: cosines of their weight matrices."""

from dataclasses import dataclass
from pathlib import Path

import torch

from foldformer.checkpoint import load_model
from foldformer.errors import InputError
from foldformer.nn.depth.sequential import Sequential
from foldformer.nn.linears import Linear


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """Of a model.

    Attributes:
        model: its folder.
        cosines: (L, L), of the layers in order of depth.
    """

    model: str
    cosines: tuple[tuple[float, ...], ...]


def similarity_of(folder: Path) -> Similarity:
    """The mean over a layer's matrices of the cosine between those of each two layers in depth.

    A matrix is taken as a use applies it, residuals merged, as one long vector. Layers that share a
    weight come near 1; layers of a dense model, which began at random, come near 0 and are no less
    similar in what they compute for that.

    Raises:
        InputError: the folder is no model, or its layers do not follow one another.
    """
    depth = load_model(folder)[0].encoder.depth
    if not isinstance(depth, Sequential):
        raise InputError(f"{folder}: its depth is not sequential, so its layers have no order")
    places: dict[str, list[torch.Tensor]] = {}
    for layer, use in depth.order:
        for name, module in depth.layers[layer].named_modules():
            if isinstance(module, Linear):
                with torch.no_grad():
                    matrix = module.merged(use).flatten()
                    places.setdefault(name, []).append(matrix / matrix.norm().clamp(min=1e-12))
    mean = torch.stack([torch.stack(each) @ torch.stack(each).T for each in places.values()]).mean(
        0
    )
    rows = tuple(tuple(round(value, 4) for value in row) for row in mean.tolist())
    return Similarity(model=str(folder), cosines=rows)
