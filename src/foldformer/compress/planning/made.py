"""One command's work: from a stack and a budget to a plan, its table and its curve."""

from collections.abc import Callable
from dataclasses import dataclass

from foldformer.compress.planning.layer_matrices import LayerMatrices
from foldformer.compress.planning.options import What
from foldformer.compress.planning.planner import Chosen, Orders, Planner, candidates
from foldformer.compress.planning.tables import Tables, tables
from foldformer.errors import SpecError
from foldformer.measure.stored import Precision

POINTS = 13
"""Budgets of a curve, the smallest and the largest possible ones among them."""

ALONE: dict[str, tuple[What, ...]] = {"sharing": ("residual",), "low rank": ("low_rank",)}
"""What a plan is compared with: ways that do one thing alone, or leave a matrix as it is."""


@dataclass(frozen=True)
class Point:
    """What a budget buys, and what sharing alone and low rank alone would.

    Attributes:
        bytes: the budget, of all weights of the model.
        errors: {"plan", "sharing", "low rank": the least error; infinite if it does not fit}.
    """

    bytes: int
    errors: dict[str, float]


@dataclass(frozen=True)
class Made:
    """A plan and what speaks for it.

    Attributes:
        chosen: what becomes of each matrix.
        budget: bytes that were allowed.
        bytes: that all weights of the folded model take.
        other: bytes of them that no plan changes.
        dense: bytes of all weights of the model as it is.
        smallest: the fewest bytes that there is a plan for.
        error: predicted.
        alone: {"sharing", "low rank": the error within the same budget; infinite if none fits}.
        curve: from the smallest to the largest budget.
    """

    chosen: Chosen
    budget: int
    bytes: int
    other: int
    dense: int
    smallest: int
    error: float
    alone: dict[str, float]
    curve: tuple[Point, ...]


def make(
    stack: LayerMatrices,
    other: int,
    budget: int,
    precision: Precision,
    orders: Orders,
    most_uses: int,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> Made:
    """The best plan within a budget.

    Args:
        stack: the trained layers.
        other: bytes of the model's weights that no plan changes.
        budget: bytes of all weights, `other` among them.
        precision: of the stored weights.
        orders: see Planner.
        most_uses: layers of a group at most.
        progress: called with the number of groups done, and of all.

    Raises:
        SpecError: the budget is too small for any plan; the message says how many bytes are not.
        InputError: see LayerMatrices.check.
    """
    stack.check()
    of_groups = tables(stack, candidates(stack.num_layers, orders, most_uses), precision, progress)
    return best_of(of_groups, stack.num_layers, other, budget, precision, orders)


def best_of(
    of_groups: Tables,
    num_layers: int,
    other: int,
    budget: int,
    precision: Precision,
    orders: Orders,
) -> Made:
    """The best plan within a budget, of groups whose tables are there.

    Args:
        of_groups: of the groups that may be formed; single layers are among them.
        num_layers: of all groups together.
        other: see `make`.
        budget: see `make`.
        precision: see `make`.
        orders: see Planner.

    Raises:
        SpecError: see `make`.
    """
    planner = Planner(of_groups, num_layers, orders)
    smallest = other + planner.smallest
    if budget < smallest:
        raise SpecError(
            f"weights: {budget / 1e6:.3f} MB is less than the smallest plan takes in {precision}, "
            f"{at_least(smallest)} MB: {at_least(other)} MB cannot be shared "
            "(embeddings, subsampling, heads, norms, biases), and rank 1 for every matrix takes "
            "the rest"
        )
    ways = {"plan": planner} | {
        name: Planner(of_groups, num_layers, orders, whats) for name, whats in ALONE.items()
    }
    inside = budget - other
    chosen = planner.best(inside)
    return Made(
        chosen=chosen,
        budget=budget,
        bytes=other + chosen.bytes,
        other=other,
        dense=other + _dense(of_groups, num_layers),
        smallest=smallest,
        error=chosen.error,
        alone={name: ways[name].error(inside) for name in ALONE},
        curve=tuple(
            Point(other + point, {name: way.error(point) for name, way in ways.items()})
            for point in planner.budgets(POINTS)
        ),
    )


def _dense(of_groups: Tables, num_layers: int) -> int:
    single = [of_groups[(layer,)] for layer in range(num_layers)]
    return sum(table.shape.full for names in single for table in names.values())


def at_least(size: int) -> str:
    """MB, rounded up to whole kB: what is said to be enough has to be."""
    return f"{-(-size // 1000) / 1000:.3f}"
