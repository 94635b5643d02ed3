"""What the lists of layers of a foreign model are folded into."""

from dataclasses import dataclass, field

from torch import nn

from foldformer.compress.foreign.stacks import Stack, find_stack
from foldformer.compress.plan import Plan
from foldformer.errors import SpecError
from foldformer.spec import Spec, nearest

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class ForeignPlan(Spec):
    """A plan for each list of layers; what `foldformer.yaml` of a folded folder says.

    The maps have the names that they have inside of a layer: `attention.self.query`. A map of the
    kind `dense` stays as it is.
    """

    format: int = FORMAT
    """Version of the folder's layout."""
    stacks: dict[str, Plan] = field(default_factory=dict)
    """{list of layers, `model.encoder.layers`: its plan}."""

    def __post_init__(self) -> None:
        if self.format > FORMAT:
            raise SpecError(
                f"format: {self.format} is newer than this version knows ({FORMAT}); "
                "update foldformer"
            )
        if not self.stacks:
            raise SpecError("stacks: is empty; expected a plan for one list of layers at least")


def matched(model: nn.Module, plan: ForeignPlan) -> dict[str, tuple[Stack, Plan]]:
    """Each list of layers that a plan names, with its plan.

    Raises:
        InputError: the model has no such list, or nothing in it can be folded.
        SpecError: the plan is for another number of layers, or names a map that is not there or
            cannot be folded.
    """
    found = {}
    for name, part in plan.stacks.items():
        stack = find_stack(model, name)
        if part.num_layers != len(stack.layers):
            raise SpecError(
                f"stacks.{name}.uses: {list(part.uses)} are {part.num_layers} layers together, "
                f"and the model has {len(stack.layers)} there"
            )
        for key in part.linears:
            group, _, rest = key.partition(".")
            numbered = group.isdigit() and int(group) < len(part.uses)
            linear = rest if numbered and rest in {*stack.shapes, *stack.kept} else key
            if linear in stack.kept:
                raise SpecError(f"stacks.{name}.linears: {linear}: {stack.kept[linear]}")
            if linear not in stack.shapes:
                hint = nearest(linear, stack.shapes)
                raise SpecError(f"stacks.{name}.linears: no linear map {linear!r}{hint}")
        found[name] = (stack, part)
    return found
