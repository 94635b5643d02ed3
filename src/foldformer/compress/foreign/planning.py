"""What a budget of bytes buys best in a foreign model, over all of its lists of layers at once."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from foldformer.compress.foreign.fold import fold, unfold
from foldformer.compress.foreign.importance import energy_lost, said
from foldformer.compress.foreign.plan import ForeignPlan
from foldformer.compress.foreign.seen import Batches, Seen, Stacks
from foldformer.compress.foreign.stacks import find_stack, matrix
from foldformer.compress.plan import Plan
from foldformer.compress.planning.file import MadeFile, MadeSpec, fingerprint
from foldformer.compress.planning.layer_matrices import Layers
from foldformer.compress.planning.loss import erring
from foldformer.compress.planning.made import ALONE, Made, best_of
from foldformer.compress.planning.options import KINDS, What
from foldformer.compress.planning.planner import Chosen, Orders, Planner, candidates
from foldformer.compress.planning.tables import Tables, tables
from foldformer.errors import SpecError

ROUNDS = 3
"""Times at most that a plan is tried part by part, and made anew."""


def make(
    seen: Seen,
    budget: int,
    orders: Orders = "adjacent",
    most_uses: int = 6,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> tuple[Made, dict[str, float]]:
    """The best plan within a budget; its layers are counted through all lists.

    On pretrained models the plan that is foreseen to lose least can lose more on other data than
    one that shares alone or factors alone. So what is foreseen is corrected, and the plan made
    anew, some times or until it stays the same; see `corrected`. All these plans and the best of
    both others are then tried on batches kept apart, and the one that loses least there is taken.

    Args:
        seen: the model.
        budget: bytes of all weights in float32.
        orders: of a model with one list any; of several, which must share the budget, `adjacent`.
        most_uses: layers of a group at most.
        progress: called with the number of groups done, and of all, in each list.

    Returns:
        The plan, and {"plan", "sharing", "low rank", "corrected 1" and so on: the part of the
        energy of the model's output that is lost on the batches kept apart}; empty without
        calibration.

    Raises:
        SpecError: the budget is too small for any plan, or the order is not for several lists.
        InputError: see LayerMatrices.check.
    """
    if len(seen.stacks) > 1 and orders != "adjacent":
        raise SpecError(
            f"order: {orders} is for one list of layers, and {', '.join(seen.stacks)} are planned "
            "together; take adjacent, or plan one of them"
        )
    return best_tried(seen, tables_of(seen.stacks, orders, most_uses, progress), budget, orders)


def best_tried(
    seen: Seen, every: Tables, budget: int, orders: Orders = "adjacent"
) -> tuple[Made, dict[str, float]]:
    """What `make` makes of the tables of all lists, which are the same for every budget.

    Arguments, results and errors as of `make`.
    """
    layers = layers_of_all(seen.stacks)
    made = best_of(every, layers, seen.other, budget, "fp32", orders)
    if seen.moments is None:
        return made, {}
    ways = {"plan": made.chosen} | {
        name: Planner(every, layers, orders, whats).best(budget - seen.other)
        for name, whats in ALONE.items()
        if made.alone[name] < float("inf")
    }
    for number in range(1, ROUNDS + 1):
        before = plan_of(made.chosen, seen.stacks)
        every = corrected(every, seen, made.chosen)
        made = best_of(every, layers, seen.other, budget, "fp32", orders)
        if plan_of(made.chosen, seen.stacks) == before:
            break  # tried again, it would lose what it is now expected to
        ways[f"corrected {number}"] = made.chosen
    errors = lost(seen, list(ways.values()), seen.apart)
    tried = dict(zip(ways, errors, strict=True))
    best = _by(every, ways[min(tried, key=lambda name: tried[name])])
    return replace(made, chosen=best, bytes=seen.other + best.bytes, error=best.error), tried


def _by(every: Tables, chosen: Chosen) -> Chosen:
    """A plan with the errors that these tables foresee, by whichever ones it was made.

    What else is said of it, the curve and both others, is by the last of them.
    """
    return replace(
        chosen,
        groups=tuple(
            (layers, {name: every[layers][name].again(each) for name, each in parts.items()})
            for layers, parts in chosen.groups
        ),
    )


@torch.no_grad()
def corrected(every: Tables, seen: Seen, chosen: Chosen) -> Tables:
    """The tables, with the errors of what a plan does as they turn out to be.

    What is foreseen holds for what was heard. A form with many free numbers fits that too well
    where little was heard: shared, the second feed-forward maps of Whisper's decoder lost six times
    as much on other recordings. So the maps of each part of a layer that become the same are tried
    alone on the batches kept apart, in the form that a plan gives them, and the errors of all such
    options take the factor between what was lost there and what was foreseen.

    Args:
        every: of the groups that may be formed.
        seen: the model.
        chosen: the best by these tables.
    """
    folded = copy.deepcopy(seen.model)
    fold(folded, plan_of(chosen, seen.stacks), moments=seen.moments)
    unfold(folded)
    exact = [said(seen.model, batch) for batch in seen.apart]
    whole = sum(float(y.square().sum()) for y in exact)
    lists = [name for name, stack in seen.stacks.items() for _ in range(stack.num_layers)]
    first = {name: lists.index(name) for name in seen.stacks}
    alike: dict[tuple[str, str, What], list[tuple[Layers, float]]] = {}
    for layers, parts in chosen.groups:
        for part, choice in parts.items():
            if choice.error > 0:
                alike.setdefault((lists[layers[0]], part, choice.what), []).append(
                    (layers, choice.error)
                )
    factors: dict[tuple[str, str, What], float] = {}
    for (name, part, what), groups in alike.items():
        before, after = find_stack(seen.model, name), find_stack(folded, name)
        places = [layer - first[name] for layers, _ in groups for layer in layers]
        errors = {
            before.linear(place, part): matrix(before.linear(place, part))
            - matrix(after.linear(place, part))
            for place in places
        }
        with erring(errors):
            found = energy_lost(seen.model, seen.apart, exact) / whole
        factors[name, part, what] = found / sum(error for _, error in groups)
    return {
        layers: {
            part: table.weighed(
                {
                    what: factors[lists[layers[0]], part, what]
                    for what in KINDS
                    if (lists[layers[0]], part, what) in factors
                }
            )
            for part, table in parts.items()
        }
        for layers, parts in every.items()
    }


@torch.no_grad()
def lost(seen: Seen, plans: Sequence[Chosen], batches: Batches) -> list[float]:
    """The part of the energy of the model's output that each plan loses on some batches."""
    exact = [said(seen.model, batch) for batch in batches]
    whole = sum(float(y.square().sum()) for y in exact)
    found = []
    for chosen in plans:
        model = copy.deepcopy(seen.model)
        fold(model, plan_of(chosen, seen.stacks), moments=seen.moments)
        found.append(energy_lost(model, batches, exact) / whole)
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
    every = [True] * layers_of_all(stacks)  # where the model has none, `fold` adds none
    first = 0
    for name, stack in stacks.items():
        inside = range(first, first + stack.num_layers)
        own = tuple(group for group in chosen.groups if group[0][0] in inside)
        plans[name] = Chosen(chosen.order, own).plan(dict.fromkeys(stack.weights, every))
        first += stack.num_layers
    return ForeignPlan(stacks=plans)


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
