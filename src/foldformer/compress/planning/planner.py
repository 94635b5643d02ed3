"""From tables to plans: groupings in either order, the best for each budget, the curve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from foldformer.compress.plan import Plan
from foldformer.compress.planning.layer_matrices import Layers
from foldformer.compress.planning.options import Choice, Table, What
from foldformer.compress.planning.programme import Frontier
from foldformer.compress.planning.tables import Tables

Orders = Literal["adjacent", "cycle", "any"]


@dataclass(frozen=True)
class Chosen:
    """What a budget buys.

    Attributes:
        order: in which the groups are run.
        groups: (layers, {name: what becomes of their matrices}) of each, in the order of the plan.
    """

    order: Literal["adjacent", "cycle"]
    groups: tuple[tuple[Layers, dict[str, Choice]], ...]

    @property
    def bytes(self) -> int:
        """Of all matrices."""
        return sum(choice.bytes for _, names in self.groups for choice in names.values())

    @property
    def error(self) -> float:
        """That is predicted."""
        return sum(choice.error for _, names in self.groups for choice in names.values())

    def plan(self, biases: Mapping[str, Sequence[bool]]) -> Plan:
        """In the words of a model's configuration.

        Args:
            biases: {name: whether there is a bias, in each layer}; a group has one if any of its
                layers does.
        """
        return Plan(
            uses=tuple(len(layers) for layers, _ in self.groups),
            order=self.order,
            linears={
                f"{index}.{name}": choice.spec(
                    len(layers), any(biases[name][layer] for layer in layers)
                )
                for index, (layers, names) in enumerate(self.groups)
                for name, choice in names.items()
            },
        )


def adjacent_groups(num_layers: int, most_uses: int) -> list[Layers]:
    """Every run of neighbouring layers.

    >>> adjacent_groups(3, 2)
    [(0,), (0, 1), (1,), (1, 2), (2,)]
    """
    return [
        tuple(range(first, last))
        for first in range(num_layers)
        for last in range(first + 1, min(first + most_uses, num_layers) + 1)
    ]


def cycle_groups(num_layers: int, num_groups: int) -> list[Layers]:
    """Every `num_groups`th layer belongs together.

    >>> cycle_groups(5, 2)
    [(0, 2, 4), (1, 3)]
    """
    return [tuple(range(first, num_layers, num_groups)) for first in range(num_groups)]


def candidates(num_layers: int, orders: Orders, most_uses: int) -> list[Layers]:
    """All groups that a planner with these orders looks at; single layers are always among them."""
    found = dict.fromkeys(adjacent_groups(num_layers, most_uses if orders != "cycle" else 1))
    if orders != "adjacent":
        for num_groups in _cycles(num_layers, most_uses):
            found |= dict.fromkeys(cycle_groups(num_layers, num_groups))
    return list(found)


def _cycles(num_layers: int, most_uses: int) -> list[int]:
    """Numbers of groups; where each layer is a group, it is no cycle."""
    return [n for n in range(1, num_layers) if -(-num_layers // n) <= most_uses]


class Planner:
    """The best plan for every budget of bytes, within the groups that it has tables of."""

    def __init__(
        self,
        tables: Tables,
        num_layers: int,
        orders: Orders = "adjacent",
        whats: Sequence[What] | None = None,
    ) -> None:
        """Solve it for all budgets.

        Args:
            tables: of the candidates.
            num_layers: L.
            orders: `adjacent` groups neighbours in any numbers, `cycle` layers at equal distances,
                `any` takes the better one for each budget.
            whats: what may be done beside keeping matrices as they are; all unless given.
        """
        if whats is not None:
            tables = {
                layers: {name: table.only(whats) for name, table in of_group.items()}
                for layers, of_group in tables.items()
            }
        self._tables = tables
        self._ways: list[tuple[Literal["adjacent", "cycle"], _Way]] = []
        neighbours = [g for g in tables if g == tuple(range(g[0], g[-1] + 1))]
        if orders == "cycle":
            neighbours = [group for group in neighbours if len(group) == 1]
        self._ways.append(
            ("adjacent", _Way(tables, neighbours, [(g[0], g[-1] + 1) for g in neighbours]))
        )
        if orders != "adjacent":
            for num_groups in range(1, num_layers):
                groups = cycle_groups(num_layers, num_groups)
                if all(group in tables for group in groups):
                    stages = [(index, index + 1) for index in range(num_groups)]
                    self._ways.append(("cycle", _Way(tables, groups, stages)))

    @property
    def smallest(self) -> int:
        """The fewest bytes that there is a plan for."""
        return min(way.frontier.smallest for _, way in self._ways)

    @property
    def largest(self) -> int:
        """Bytes from which on nothing is lost."""
        return min(way.frontier.largest for _, way in self._ways)

    def error(self, budget: int) -> float:
        """The least predicted error within so many bytes; infinite where there is no plan."""
        return min(way.frontier.error(budget) for _, way in self._ways)

    def best(self, budget: int) -> Chosen:
        """The plan of that error.

        Raises:
            ValueError: there is none, see `smallest`.
        """
        order, way = min(self._ways, key=lambda each: each[1].frontier.error(budget))
        groups = way.chosen(budget)
        if order == "adjacent":
            groups = tuple(part for group in groups for part in self._apart(*group))
        return Chosen(order, groups)

    def _apart(
        self, layers: Layers, names: dict[str, Choice]
    ) -> list[tuple[Layers, dict[str, Choice]]]:
        """A group as it is, or its layers one by one if they share nothing."""
        if not {choice.what for choice in names.values()} <= {"keep", "low_rank"}:
            return [(layers, names)]
        found: list[tuple[Layers, dict[str, Choice]]] = []
        for use, layer in enumerate(layers):
            single = self._tables[(layer,)]
            found.append((
                (layer,),
                {
                    name: single[name].alone(choice.ranks[use] if choice.ranks else 0)
                    for name, choice in names.items()
                },
            ))  # fmt: skip
        return found

    def budgets(self, number: int) -> list[int]:
        """So many budgets from the smallest to the largest, at equal distances."""
        return [int(each) for each in np.linspace(self.smallest, self.largest, number)]


class _Way:
    """Groupings that are one path through stages."""

    def __init__(
        self, tables: Tables, groups: Sequence[Layers], stages: Sequence[tuple[int, int]]
    ) -> None:
        self._groups = dict(zip(stages, groups, strict=True))
        self._tables: dict[Layers, dict[str, Table]] = {group: tables[group] for group in groups}
        options = {
            stage: [table.options for table in tables[group].values()]
            for stage, group in self._groups.items()
        }
        self.frontier = Frontier(max(last for _, last in stages), options)

    def chosen(self, budget: int) -> tuple[tuple[Layers, dict[str, Choice]], ...]:
        """The groups of the best way and what becomes of their matrices."""
        found: list[tuple[Layers, dict[str, Choice]]] = []
        for step in self.frontier.steps(budget):
            layers = self._groups[step.group]
            pairs = zip(self._tables[layers].items(), step.choices, strict=True)
            found.append((layers, {name: table.choice(i) for (name, table), i in pairs}))
        return tuple(found)
