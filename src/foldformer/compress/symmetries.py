"""Which changes leave the layers of our own models as they are, by their kinds."""

from functools import singledispatch

from torch import nn

from foldformer.compress.align import align_heads, align_units, rotary_turn
from foldformer.compress.filling import Trained
from foldformer.nn.feed_forwards.dense import DenseFeedForward
from foldformer.nn.layer import Layer
from foldformer.nn.mixers.attention import Attention

TrainedMaps = dict[str, Trained]
"""{path of a map in its layer: the matrices of K layers}."""


def align_layers(layer: Layer, stack: TrainedMaps, reference: int | None = None) -> TrainedMaps:
    """The matrices of K layers, brought close to one another.

    Args:
        layer: one of them; it says what may be changed.
        stack: all maps of the layers.
        reference: the layer that the others follow; all meet if None.
    """
    found = dict(stack)
    for name in ("mixer", "feed_forward"):
        prefix = f"{name}."
        own = {path[len(prefix) :]: each for path, each in stack.items() if path.startswith(prefix)}
        aligned = _aligned(layer.get_submodule(name), own, reference)
        found |= {f"{prefix}{path}": each for path, each in aligned.items()}
    return found


@singledispatch
def _aligned(module: nn.Module, stack: TrainedMaps, reference: int | None) -> TrainedMaps:
    """A kind of which no symmetry is known stays as it is."""
    return stack


@_aligned.register
def _(module: DenseFeedForward, stack: TrainedMaps, reference: int | None) -> TrainedMaps:
    """Units in any order, whatever the activation."""
    (expand,), contract = align_units([stack["expand"]], stack["contract"], reference)
    return {"expand": expand, "contract": contract}


@_aligned.register
def _(module: Attention, stack: TrainedMaps, reference: int | None) -> TrainedMaps:
    """Heads in any order; values in any base; queries and keys turned with their positions."""
    names = ("query", "key", "value", "output")
    maps = [stack[name] for name in names]
    aligned = align_heads(
        maps[0], maps[1], maps[2], maps[3], module.num_heads, rotary_turn, reference
    )
    return dict(zip(names, aligned, strict=True))
