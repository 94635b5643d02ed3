"""A plan: which layers share their weights, and what becomes of each of their matrices."""

from dataclasses import dataclass, field
from typing import Literal

from foldformer.errors import SpecError
from foldformer.nn.depth.order import adjacent, cycle
from foldformer.nn.linears import LinearSpec
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.spec import Spec


@dataclass(frozen=True, kw_only=True)
class Plan(Spec):
    """What L trained layers are folded into, in the words of EncoderSpec.

    >>> Plan(uses=(3, 3), linear=ResidualSpec(rank=8)).num_layers
    6
    """

    uses: tuple[int, ...]
    """K of each group of layers; they add up to the layers of the trained model."""
    order: Literal["adjacent", "cycle"] = "adjacent"
    """`adjacent` groups neighbours, `cycle` layers that are as far apart as there are groups."""
    linear: LinearSpec = field(default_factory=ResidualSpec)
    """What becomes of the K matrices of one name in a group."""
    linears: dict[str, LinearSpec] = field(default_factory=dict)
    """Exceptions: `query` in all groups, or `2.query` in group 2 alone."""

    def __post_init__(self) -> None:
        if not self.uses or min(self.uses) < 1:
            raise SpecError(f"uses: expected 1 or more for each group, got {list(self.uses)}")

    @property
    def num_layers(self) -> int:
        """L of the trained model that the plan is for."""
        return sum(self.uses)

    def linear_of(self, group: int, name: str) -> LinearSpec:
        """What becomes of the matrices called `name` of a group, 0..G-1."""
        for key in (f"{group}.{name}", name):
            if key in self.linears:
                return self.linears[key]
        return self.linear


def groups(plan: Plan) -> list[list[int]]:
    """The places in depth, 0..L-1, of each layer of the plan, in the order of its uses.

    >>> groups(Plan(uses=(2, 1))), groups(Plan(uses=(2, 1), order="cycle"))
    ([[0, 1], [2]], [[0, 2], [1]])
    """
    order = (adjacent if plan.order == "adjacent" else cycle)(plan.uses)
    found: list[list[int]] = [[] for _ in plan.uses]
    for place, (group, _) in enumerate(order):
        found[group].append(place)
    return found
