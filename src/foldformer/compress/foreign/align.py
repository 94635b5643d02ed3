"""The layers of a foreign model brought close to each other; what they compute stays as it is."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from foldformer.compress.align import align_heads, align_units, procrustes, rotary_turn
from foldformer.compress.filling import Trained
from foldformer.compress.foreign.fold import check_weights
from foldformer.compress.foreign.plan import ForeignPlan, matched
from foldformer.compress.foreign.roles import Attention, FeedForward, roles
from foldformer.compress.foreign.stacks import Stack, matrix
from foldformer.compress.matrices import Start, source_layers
from foldformer.compress.plan import Plan, groups
from foldformer.errors import SpecError

Roles = Mapping[str, Sequence[Attention | FeedForward]]


@torch.no_grad()
def align(
    model: nn.Module,
    plan: ForeignPlan,
    *,
    start: Start = "fit",
    known: Roles | None = None,
) -> None:
    """Bring the layers of each group close to each other, before they are calibrated and folded.

    The model is changed, and computes what it did: units of a feed-forward and heads change
    places, the space in which the values of a head lie is turned, and so is that of its queries
    and keys, as far as positions allow. Heads whose keys serve several queries (GQA) change places
    together with these.

    Args:
        model: trained, in float32.
        plan: which layers make a group.
        start: that `fold` is told. Where it takes the weights of a group from a layer of another
            one, both groups come close to each other.
        known: {list of layers: its attentions and feed-forwards}, where `roles` does not know
            their names.

    Raises:
        InputError: the model has no such layers.
        SpecError: the plan does not fit the model, or its weights are not finite, not in float32
            or not in memory.
    """
    parts = matched(model, plan)
    for stack, _ in parts.values():
        check_weights(stack)
    for name, (stack, part) in parts.items():
        for role in roles(model, stack) if known is None else known.get(name, ()):
            for layers in _meeting(part, start):
                if len(layers) > 1:
                    group = _Group(stack, layers)
                    if isinstance(role, FeedForward):
                        _align_feed_forward(group, role)
                    else:
                        _align_attention(group, role)


def _meeting(plan: Plan, start: Start) -> list[list[int]]:
    """Layers that have to be close to one another: those of a group, and of where it starts.

    A model has each layer once, so unlike in `compress.fold` the layer that two groups begin with
    cannot be followed by one of them and follow in the other: all of them meet.
    """
    own = groups(plan)
    found = [list(layers) for layers in own]
    if start == "stepwise" or start == "lower":
        sources = source_layers(start, plan.num_layers, len(plan.uses))
        for layers, source in zip(own, sources, strict=True):
            one = next(each for each in found if layers[0] in each)
            other = next(each for each in found if source in each)
            if len(layers) > 1 and one is not other:  # a single layer stays what it is
                one += other
                found.remove(other)
    return [sorted(layers) for layers in found]


class _Group:
    """The maps of the layers of a group, by name."""

    def __init__(self, stack: Stack, layers: Sequence[int]) -> None:
        self.stack = stack
        self.layers = layers

    def _maps(self, name: str) -> list[nn.Module]:
        return [self.stack.linear(layer, name) for layer in self.layers]

    def read(self, name: str) -> Trained:
        """The matrices (K, in, out) and biases (K, out)."""
        maps = self._maps(name)
        biases = [each.bias for each in maps if isinstance(each.bias, Tensor)]
        return Trained(
            weights=torch.stack([matrix(each) for each in maps]),
            biases=torch.stack(biases) if biases else None,
        )

    def write(self, name: str, trained: Trained) -> None:
        """Put others in their place."""
        for use, each in enumerate(self._maps(name)):
            matrix(each).copy_(trained.weights[use])
            if isinstance(each.bias, Tensor) and trained.biases is not None:
                each.bias.copy_(trained.biases[use])


def _align_feed_forward(group: _Group, role: FeedForward) -> None:
    into, out = align_units([group.read(name) for name in role.enter], group.read(role.leave))
    for name, trained in zip(role.enter, into, strict=True):
        group.write(name, trained)
    group.write(role.leave, out)


def _align_attention(group: _Group, role: Attention) -> None:
    many = role.heads // role.groups
    if role.groups * many != role.heads:
        raise SpecError(
            f"{role.query}: {role.heads} heads of queries cannot share {role.groups} of keys"
        )
    query, key, value, output = (
        group.read(name) for name in (role.query, role.key, role.value, role.output)
    )
    found = align_heads(
        _as_one(query, role.groups, many),
        key,
        value,
        Trained(_gathered(output.weights.mT, role.groups, many).mT),
        role.groups,
        rotary_turn if role.rotary else procrustes,
    )
    group.write(role.query, _as_many(found[0], query, role.groups, many))
    group.write(role.key, found[1])
    group.write(role.value, found[2])
    group.write(role.output, Trained(_scattered(found[3].weights.mT, role.groups, many).mT))


def _as_one(query: Trained, groups: int, many: int) -> Trained:
    """Queries that share a key as one head of so many times the inputs; biases are one more."""
    if many == 1 or query.biases is None:
        return Trained(_gathered(query.weights, groups, many), query.biases)
    rows = torch.cat([query.weights, query.biases[:, None]], dim=1)
    return Trained(_gathered(rows, groups, many))


def _as_many(found: Trained, query: Trained, groups: int, many: int) -> Trained:
    """The inverse of `_as_one`; `query` is what it was given."""
    if many == 1 or query.biases is None:
        return Trained(_scattered(found.weights, groups, many), found.biases)
    rows = _scattered(found.weights, groups, many)
    return Trained(rows[:, :-1], rows[:, -1])


def _gathered(rows: Tensor, groups: int, many: int) -> Tensor:
    """(K, n, groups x many x P) -> (K, n x many, groups x P)."""
    uses, count, width = rows.shape
    parts = rows.reshape(uses, count, groups, many, width // (groups * many))
    return parts.transpose(2, 3).reshape(uses, count * many, width // many)


def _scattered(rows: Tensor, groups: int, many: int) -> Tensor:
    """The inverse of `_gathered`."""
    uses, count, width = rows.shape
    parts = rows.reshape(uses, count // many, many, groups, width // groups)
    return parts.transpose(2, 3).reshape(uses, count // many, width * many)
