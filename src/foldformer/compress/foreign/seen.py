"""A foreign model as a planner sees it: layers brought close, what maps are given and matter."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from foldformer.compress.foreign.align import align
from foldformer.compress.foreign.calibration import calibrate
from foldformer.compress.foreign.files import numbers_of
from foldformer.compress.foreign.fold import check_weights
from foldformer.compress.foreign.importance import importance
from foldformer.compress.foreign.inputs import evenly_chosen
from foldformer.compress.foreign.plan import ForeignPlan
from foldformer.compress.foreign.stacks import find_stack, matrix
from foldformer.compress.plan import Plan
from foldformer.compress.planning.layer_matrices import LayerMatrices

Stacks = Mapping[str, LayerMatrices]
"""{list of layers: its matrices}, in the order in which a plan counts their layers."""

TRIED = 2
"""Batches that each map is tried on: what one map does hardly depends on the words."""

APART, MOST_APART = 8, 4
"""Of so many batches one is kept apart, and at most so many in all, to try plans and
their parts on."""

Batches = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Seen:
    """A foreign model as the planner sees it.

    Attributes:
        model: a copy with the layers of each list close to each other; it computes the same.
        stacks: its matrices.
        moments: of the inputs of its maps, {path: (in, in)}; None without calibration.
        apart: batches that moments and importance know nothing of, where there were enough.
        other: bytes in float32 of all that no plan changes.
    """

    model: nn.Module
    stacks: Stacks
    moments: Mapping[str, Tensor] | None
    apart: Batches
    other: int


def look(
    model: nn.Module,
    lists: Sequence[str],
    batches: Batches | None = None,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> Seen:
    """Bring the layers of a copy close to each other, and measure what their maps are given.

    Args:
        model: trained, in float32; it is left as it is.
        lists: its lists of layers, as `find_stacks` names them.
        batches: to calibrate with; without, errors are those of weights and not of outputs.
        progress: called with the number of maps tried, and of all.

    Raises:
        InputError: the model has no such lists, or there is too little to calibrate with.
        SpecError: weights are not finite, not in float32 or not in memory.
    """
    stacks = {name: find_stack(model, name) for name in lists}
    for stack in stacks.values():
        check_weights(stack)
    closer = copy.deepcopy(model)
    plans = {name: Plan(uses=(len(stack.layers),)) for name, stack in stacks.items()}
    align(closer, ForeignPlan(stacks=plans))
    moments: Mapping[str, Tensor] | None = None
    counts: dict[str, float] = {}
    apart: Batches = ()
    if batches is not None:
        places = evenly_chosen(range(APART - 1, len(batches), APART), MOST_APART)
        apart = [batches[place] for place in places]
        heard = [batch for place, batch in enumerate(batches) if place not in places]
        moments = calibrate(closer, lists, heard)
        few = [heard[len(heard) * (2 * n + 1) // (2 * TRIED)] for n in range(TRIED)]
        counts = importance(closer, lists, few, moments, progress)
        apart = apart or heard
    found = {name: stack_of(closer, name, moments, counts) for name in lists}
    return Seen(closer, found, moments, apart, other_bytes(closer, found))


def other_bytes(model: nn.Module, stacks: Stacks) -> int:
    """Bytes in float32 of all that no plan changes; a number with several names counts once."""
    whole = sum(each.numel() * each.element_size() for each in numbers_of(model).values())
    return whole - sum(
        4 * weight.numel()
        for stack in stacks.values()
        for weights in stack.weights.values()
        for weight in weights
    )


def stack_of(
    model: nn.Module,
    name: str,
    moments: Mapping[str, Tensor] | None,
    weights: Mapping[str, float],
) -> LayerMatrices:
    """One list of layers as the planner sees it.

    Args:
        model: with that list.
        name: of the list.
        moments: of the inputs of each map, as `calibrate` gives them; None if not known.
        weights: as `importance` gives them; all maps count alike where they are missing.
    """
    found = find_stack(model, name)
    layers = range(len(found.layers))
    paths = {part: [f"{name}.{layer}.{part}" for layer in layers] for part in found.shapes}
    every = 1 / (len(layers) * len(paths))
    return LayerMatrices(
        weights={
            part: [matrix(found.linear(layer, part)).detach() for layer in layers] for part in paths
        },
        moments=None
        if moments is None
        else {part: [moments[path] for path in of] for part, of in paths.items()},
        importance={part: [weights.get(path, every) for path in of] for part, of in paths.items()},
    )
