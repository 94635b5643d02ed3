"""Our own models as the planner sees them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from foldformer.compress.filling import Trained
from foldformer.compress.layers import Moments, Places, linears, name_of
from foldformer.compress.planning.layer_matrices import LayerMatrices
from foldformer.compress.stored import OnDemand, Stored
from foldformer.compress.symmetries import align_layers
from foldformer.model import Model


def stack_of(
    model: Model,
    moments: Moments | None = None,
    importance: Mapping[str, Sequence[float]] | None = None,
    *,
    align: bool = True,
    after: Callable[[], object] = lambda: None,
) -> LayerMatrices:
    """The matrices of a model's layers, in order of depth.

    Aligned, each layer follows the one before it: that takes one pass for all groups that may be
    formed. A fold lets the layers of a group meet, which brings them a little closer still. All
    are kept in a temporary file.

    Args:
        model: its layers may be shared: then each use counts as a layer, as `fold` takes it.
        moments: of the inputs of each matrix, as `calibration` gives them.
        importance: as `importance` gives it; all matrices alike unless given, so that the error is
            their mean.
        align: bring layers close to each other, without a change of what they compute.
        after: called after each layer, as in `fold`: the model's parameters may be mapped anew.
    """
    places = Places(model)
    kept, keys = Stored(), dict[str, list[str]]()
    last: dict[str, Trained] = {}
    for place in range(len(places)):
        layer, _ = places.layer(place)
        own = {path: places.trained([place], path, moments) for path, _ in linears(layer)}
        if align and last and own.keys() == last.keys():
            pairs = {path: _pair(last[path], each) for path, each in own.items()}
            own = {
                path: _second(each)
                for path, each in align_layers(layer, pairs, reference=0).items()
            }
        last = own
        for path, each in list(own.items()):
            key = f"{place}.{name_of(path)}"
            keys.setdefault(name_of(path), []).append(key)
            kept.put(f"weight {key}", each.weights[0])
            if each.moments is not None:
                kept.put(f"moment {key}", each.moments[0])
                last[path] = replace(each, moments=_several(kept, "moment", [key]))
        after()
    every = 1 / max(1, sum(map(len, keys.values())))
    return LayerMatrices(
        weights={name: _several(kept, "weight", own_keys) for name, own_keys in keys.items()},
        moments=None
        if moments is None
        else {name: _several(kept, "moment", own_keys) for name, own_keys in keys.items()},
        importance=importance or {name: [every] * len(each) for name, each in keys.items()},
        biases=biases_of(model),
    )


def _several(kept: Stored, what: str, keys: Sequence[str]) -> OnDemand[Tensor]:
    return OnDemand(lambda index: kept[f"{what} {keys[index]}"], range(len(keys)))


def biases_of(model: Model) -> dict[str, list[bool]]:
    """{name of a matrix: whether there is a bias, at each place in depth}."""
    places = Places(model)
    found: dict[str, list[bool]] = {}
    for place in range(len(places)):
        for path, linear in linears(places.layer(place)[0]):
            has_bias = "bias" in dict(linear.named_parameters(recurse=False))
            found.setdefault(name_of(path), []).append(has_bias)
    return found


def _pair(first: Trained, second: Trained) -> Trained:
    """Two layers as the two uses of one."""
    return Trained(
        weights=torch.cat([first.weights, second.weights]),
        biases=_together(first.biases, second.biases),
        moments=_both(first.moments, second.moments),
    )


def _together(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return None if first is None or second is None else torch.cat([first, second])


def _both(
    first: Sequence[Tensor] | None, second: Sequence[Tensor] | None
) -> OnDemand[Tensor] | None:
    if first is None or second is None:
        return None
    return OnDemand(lambda use: (first, second)[use][0], range(2))


def _second(pair: Trained) -> Trained:
    """The latter of the two, in memory of its own."""
    return replace(
        pair,
        weights=pair.weights[1:].clone(),
        biases=None if pair.biases is None else pair.biases[1:].clone(),
        moments=None if pair.moments is None else pair.moments[1:],
    )
