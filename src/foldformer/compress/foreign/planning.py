"""What a budget of bytes buys best in a foreign model, over all of its lists of layers at once."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from foldformer.compress.foreign.align import align
from foldformer.compress.foreign.calibration import calibrate
from foldformer.compress.foreign.files import numbers_of
from foldformer.compress.foreign.fold import check_weights, fold
from foldformer.compress.foreign.importance import importance, said
from foldformer.compress.foreign.plan import ForeignPlan
from foldformer.compress.foreign.stacks import find_stack, matrix
from foldformer.compress.plan import Plan
from foldformer.compress.planning.file import MadeFile, MadeSpec, fingerprint
from foldformer.compress.planning.made import ALONE, Made, best_of
from foldformer.compress.planning.planner import Chosen, Orders, Planner, candidates
from foldformer.compress.planning.stack import Stack
from foldformer.compress.planning.tables import Tables, tables
from foldformer.errors import SpecError

Stacks = Mapping[str, Stack]
"""{list of layers: its matrices}, in the order in which a plan counts their layers."""

TRIED = 2
"""Batches that each map is tried on: what one map does hardly depends on the words."""

APART, MOST_APART = 8, 4
"""Of so many batches one is kept apart, and at most so many in all, to try whole plans on."""

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
    moments: dict[str, Tensor] | None = None
    counts: dict[str, float] = {}
    apart: Batches = ()
    if batches is not None:
        apart = batches[APART - 1 :: APART][:MOST_APART]
        heard = [batch for n, batch in enumerate(batches) if n % APART != APART - 1]
        moments = calibrate(closer, lists, heard)
        few = [heard[len(heard) * (2 * n + 1) // (2 * TRIED)] for n in range(TRIED)]
        counts = importance(closer, lists, few, moments, progress)
        apart = apart or heard
    found = {name: stack_of(closer, name, moments, counts) for name in lists}
    return Seen(closer, found, moments, apart, other_bytes(closer, found))


def make(
    seen: Seen,
    budget: int,
    orders: Orders = "adjacent",
    most_uses: int = 6,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> tuple[Made, dict[str, float]]:
    """The best plan within a budget; its layers are counted through all lists.

    On pretrained models the plan that is foreseen to lose least can lose more on other data than
    one that shares alone or factors alone. So the best of each is tried, on batches kept apart, and
    the one that loses least there is taken.

    Args:
        seen: the model.
        budget: bytes of all weights in float32.
        orders: of a model with one list any; of several, which must share the budget, `adjacent`.
        most_uses: layers of a group at most.
        progress: called with the number of groups done, and of all, in each list.

    Returns:
        The plan, and {"plan", "sharing", "low rank": the part of the energy of the model's output
        that is lost on the batches kept apart}; empty without calibration.

    Raises:
        SpecError: the budget is too small for any plan, or the order is not for several lists.
        InputError: see Stack.check.
    """
    if len(seen.stacks) > 1 and orders != "adjacent":
        raise SpecError(
            f"order: {orders} is for one list of layers, and {', '.join(seen.stacks)} are planned "
            "together; take adjacent, or plan one of them"
        )
    every, layers = tables_of(seen.stacks, orders, most_uses, progress), layers_of_all(seen.stacks)
    made = best_of(every, layers, seen.other, budget, "fp32", orders)
    if seen.moments is None:
        return made, {}
    ways = {"plan": made.chosen} | {
        name: Planner(every, layers, orders, whats).best(budget - seen.other)
        for name, whats in ALONE.items()
        if made.alone[name] < float("inf")
    }
    errors = lost(seen, list(ways.values()), seen.apart)
    tried = dict(zip(ways, errors, strict=True))
    best = ways[min(tried, key=lambda name: tried[name])]
    return replace(made, chosen=best, bytes=seen.other + best.bytes, error=best.error), tried


@torch.no_grad()
def lost(seen: Seen, plans: Sequence[Chosen], batches: Batches) -> list[float]:
    """The part of the energy of the model's output that each plan loses on some batches."""
    exact = [said(seen.model, batch) for batch in batches]
    whole = sum(float(y.square().sum()) for y in exact)
    found = []
    for chosen in plans:
        model = copy.deepcopy(seen.model)
        fold(model, plan_of(chosen, seen.stacks), moments=seen.moments)
        errors = zip(batches, exact, strict=True)
        found.append(sum(float((said(model, x) - y).square().sum()) for x, y in errors) / whole)
    return found


def tables_of(
    stacks: Stacks,
    orders: Orders = "adjacent",
    most_uses: int = 6,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> Tables:
    """The options of all groups in all lists. Arguments and errors as for `make`."""
    every: Tables = {}
    first = 0
    for stack in stacks.values():
        stack.check()
        possible = candidates(stack.num_layers, orders, most_uses)
        for layers, names in tables(stack, possible, "fp32", progress).items():
            every[tuple(first + layer for layer in layers)] = names
        first += stack.num_layers
    return every


def layers_of_all(stacks: Stacks) -> int:
    """How many layers the lists have together."""
    return sum(stack.num_layers for stack in stacks.values())


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
class ForeignPlanFile(MadeFile, ForeignPlan):
    """The file of a plan for a foreign model."""

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


def stack_of(
    model: nn.Module,
    name: str,
    moments: Mapping[str, Tensor] | None,
    weights: Mapping[str, float],
) -> Stack:
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
    return Stack(
        weights={
            part: [matrix(found.linear(layer, part)).detach() for layer in layers] for part in paths
        },
        moments=None
        if moments is None
        else {part: [moments[path] for path in of] for part, of in paths.items()},
        importance={part: [weights.get(path, every) for path in of] for part, of in paths.items()},
    )
