"""What a budget of bytes buys best in a foreign model, over all of its lists of layers at once."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from foldformer.compress.foreign.align import align
from foldformer.compress.foreign.calibration import calibrate
from foldformer.compress.foreign.files import numbers_of
from foldformer.compress.foreign.fold import check_weights
from foldformer.compress.foreign.importance import importance
from foldformer.compress.foreign.plan import ForeignPlan
from foldformer.compress.foreign.stacks import find_stack, matrix
from foldformer.compress.plan import Plan
from foldformer.compress.planning.file import MadeSpec, fingerprint
from foldformer.compress.planning.made import Made, best_of
from foldformer.compress.planning.planner import Chosen, Orders, candidates
from foldformer.compress.planning.stack import Stack
from foldformer.compress.planning.tables import Tables, tables
from foldformer.errors import InputError, SpecError
from foldformer.spec import from_dict, read_yaml

Stacks = Mapping[str, Stack]
"""{list of layers: its matrices}, in the order in which a plan counts their layers."""

TRIED = 2
"""Batches that each map is tried on: what one map does hardly depends on the words."""


def stacks_of(
    model: nn.Module,
    lists: Sequence[str],
    batches: Sequence[Mapping[str, Any]] | None = None,
    *,
    closer: bool = True,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> dict[str, Stack]:
    """The layers of a foreign model as the planner sees them.

    Args:
        model: trained, in float32; it is left as it is.
        lists: its lists of layers, as `find_stacks` names them.
        batches: to calibrate with; without, errors are those of weights and not of outputs.
        closer: bring layers close to each other before, in a copy; see `align`.
        progress: called with the number of maps tried, and of all.

    Raises:
        InputError: the model has no such lists, or there is too little to calibrate with.
        SpecError: weights are not finite, not in float32 or not in memory.
    """
    for name in lists:
        check_weights(find_stack(model, name))
    if closer:
        model = copy.deepcopy(model)
        plans = {name: Plan(uses=(len(find_stack(model, name).layers),)) for name in lists}
        align(model, ForeignPlan(stacks=plans))
    moments: dict[str, Tensor] | None = None
    weights: dict[str, float] = {}
    if batches is not None:
        moments = calibrate(model, lists, batches)
        weights = importance(model, lists, batches[:TRIED], moments, progress)
    return {name: _stack(model, name, moments, weights) for name in lists}


def make(
    stacks: Stacks,
    other: int,
    budget: int,
    orders: Orders = "adjacent",
    most_uses: int = 6,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> Made:
    """The best plan within a budget; its layers are counted through all lists.

    Args:
        stacks: as `stacks_of` gives them.
        other: bytes of the model that no plan changes, see `other_bytes`.
        budget: bytes of all weights in float32, `other` among them.
        orders: of a model with one list any; of several, which must share the budget, `adjacent`.
        most_uses: layers of a group at most.
        progress: called with the number of groups done, and of all, in each list.

    Raises:
        SpecError: the budget is too small for any plan, or the order is not for several lists.
        InputError: see Stack.check.
    """
    if len(stacks) > 1 and orders != "adjacent":
        raise SpecError(
            f"order: {orders} is for one list of layers, and {', '.join(stacks)} are planned "
            "together; take adjacent, or plan one of them"
        )
    every: Tables = {}
    first = 0
    for stack in stacks.values():
        stack.check()
        groups = candidates(stack.num_layers, orders, most_uses)
        for layers, names in tables(stack, groups, "fp32", progress).items():
            every[tuple(first + layer for layer in layers)] = names
        first += stack.num_layers
    return best_of(every, first, other, budget, "fp32", orders)


def plan_of(chosen: Chosen, stacks: Stacks) -> ForeignPlan:
    """What a budget buys, in the words that `fold` takes."""
    plans: dict[str, Plan] = {}
    first = 0
    for name, stack in stacks.items():
        inside = range(first, first + stack.num_layers)
        own = tuple(group for group in chosen.groups if group[0][0] in inside)
        plans[name] = Chosen(chosen.order, own).plan(dict.fromkeys(stack.weights, True))
        first += stack.num_layers
    return ForeignPlan(stacks=plans)


def other_bytes(model: nn.Module, stacks: Stacks) -> int:
    """Bytes in float32 of all that no plan changes; a number with several names counts once."""
    whole = sum(each.numel() * each.element_size() for each in numbers_of(model).values())
    return whole - sum(
        4 * weight.numel()
        for stack in stacks.values()
        for weights in stack.weights.values()
        for weight in weights
    )


@dataclass(frozen=True, kw_only=True)
class ForeignPlanFile(ForeignPlan):
    """A plan as it stands in a file; one that is written by hand says nothing of its making."""

    made: MadeSpec | None = None
    """What it was made from."""

    @property
    def plan(self) -> ForeignPlan:
        """The plan alone."""
        return ForeignPlan(format=self.format, stacks=self.stacks)


def plan_file(model: nn.Module, made: Made, stacks: Stacks, calibrated: bool) -> ForeignPlanFile:
    """What is written of a plan."""
    return ForeignPlanFile(
        stacks=plan_of(made.chosen, stacks).stacks,
        made=MadeSpec(
            model=fingerprint(model),
            precision="fp32",
            budget=made.budget,
            bytes=made.bytes,
            error=float(f"{made.error:.4g}"),
            calibrated=calibrated,
        ),
    )


def read_plan_file(path: Path, model: nn.Module) -> ForeignPlanFile:
    """The plan of a file.

    Raises:
        InputError: the file is missing or damaged, or the plan was made for another model.
    """
    try:
        found = from_dict(ForeignPlanFile, read_yaml(path))
    except SpecError as error:
        raise InputError(f"{path}: {error}") from None
    if found.made is not None and found.made.model != fingerprint(model):
        raise InputError(
            f"{path}: was made for another model, or for other weights; plan this one with "
            "foldformer plan, or take `made` out of the file to fold it all the same"
        )
    return found


def _stack(
    model: nn.Module,
    name: str,
    moments: Mapping[str, Tensor] | None,
    weights: Mapping[str, float],
) -> Stack:
    found = find_stack(model, name)
    layers = range(len(found.layers))
    paths = {part: [f"{name}.{layer}.{part}" for layer in layers] for part in found.shapes}
    every = 1 / (len(layers) * len(paths))
    return Stack(
        weights={
            part: [matrix(found.linear(layer, part)).detach() for layer in layers] for part in paths
        },
        moments=None
        if moments is None
        else {part: [moments[path] for path in of] for part, of in paths.items()},
        importance={part: [weights.get(path, every) for path in of] for part, of in paths.items()},
    )
