from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from foldformer.compress.foreign import ForeignPlan, align, find_stacks, fold
from foldformer.compress.foreign.roles import Attention, roles
from foldformer.compress.plan import Plan
from foldformer.nn.linears.residual import ResidualSpec

Make = Callable[[str], Any]
Compute = Callable[[Any], Tensor]
EACH = pytest.mark.parametrize("name", ["bert", "whisper", "llama", "gpt2"])


def whole(model: Any) -> ForeignPlan:
    stacks = find_stacks(model).values()
    return ForeignPlan(stacks={stack.name: Plan(uses=(len(stack.layers),)) for stack in stacks})


def leftover(model: Any, name: str) -> float:
    """|W_k - mean| / |W_k| over all layers of a map."""
    (stack, *_) = find_stacks(model).values()
    layers = range(len(stack.layers))
    weights = torch.stack([stack.linear(layer, name).weight.detach() for layer in layers])
    return float((weights - weights.mean(dim=0)).norm() / weights.norm())


@EACH
def test_computes_what_it_did_and_layers_come_closer(
    name: str, tiny: Make, outputs: Compute
) -> None:
    model = tiny(name)
    names = next(iter(find_stacks(model).values())).shapes
    before, expected = [leftover(model, part) for part in names], outputs(model)
    align(model, whole(model))
    torch.testing.assert_close(outputs(model), expected, atol=1e-4, rtol=1e-4)
    after = [leftover(model, part) for part in names]
    assert sum(after) < 0.97 * sum(before)


class Taps(torch.nn.Module):
    """Each unit one frame later, times a number of its own: a convolution over time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv1d(24, 24, 2, padding=1, groups=24)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.mT)[..., :-1].mT


@pytest.mark.parametrize("between", [lambda: torch.nn.LayerNorm(24), Taps])
def test_units_that_something_tells_apart_stay_where_they_are(
    between: Callable[[], torch.nn.Module], tiny: Make, outputs: Compute
) -> None:
    """BitNet has such a norm under the names of Llama."""
    model = tiny("llama")
    torch.manual_seed(0)
    for layer in model.model.layers:
        own = between()
        for parameter in own.parameters():
            torch.nn.init.normal_(parameter)
        layer.mlp.act_fn = torch.nn.Sequential(own, torch.nn.SiLU())
    expected = outputs(model)
    align(model, whole(model))
    torch.testing.assert_close(outputs(model), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_finds_the_same_layer_in_another_order(name: str, tiny: Make) -> None:
    """Layers that are one layer but for what may change become one layer."""
    model = tiny(name)
    (stack,) = find_stacks(model).values()
    first = stack.layers[0].state_dict()
    for layer in stack.layers:
        layer.load_state_dict(first)
    generator = torch.Generator().manual_seed(0)
    for layer in range(1, 4):
        shuffle(stack, layer, roles(model, stack), generator)
    apart = [leftover(model, part) for part in stack.shapes]
    assert min(apart) > 0.2
    align(model, whole(model))
    assert max(leftover(model, part) for part in stack.shapes) < 1e-4


def test_a_group_comes_close_to_the_layer_that_its_weights_come_from(
    tiny: Make, outputs: Compute
) -> None:
    """Layer 1 of group 0 for group 1: else units of one would take the place of others."""
    model = tiny("bert")
    (stack,) = find_stacks(model).values()
    first = stack.layers[0].state_dict()
    generator = torch.Generator().manual_seed(0)
    for number, layer in enumerate(stack.layers):
        layer.load_state_dict(first)
        if number:
            shuffle(stack, number, roles(model, stack), generator)
    expected = outputs(model)
    plan = Plan(uses=(2, 2), linear=ResidualSpec(rank=0, diagonal=False))
    halves = ForeignPlan(stacks={"encoder.layer": plan})
    align(model, halves, start="lower")
    torch.testing.assert_close(outputs(model), expected, atol=1e-4, rtol=1e-4)
    fold(model, halves, start="lower")
    torch.testing.assert_close(outputs(model), expected, atol=1e-3, rtol=1e-3)


def test_groups_that_have_nothing_to_do_with_each_other_stay_apart(tiny: Make) -> None:
    one, other = tiny("bert"), tiny("bert")
    plan = ForeignPlan(stacks={"encoder.layer": Plan(uses=(2, 2))})
    align(one, plan)
    align(other, plan, start="stepwise")  # layers 0 and 3, each in its own group
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def shuffle(stack: Any, layer: int, found: Any, generator: torch.Generator) -> None:
    """Permute units and heads, and rotate the heads' values and the pairs of queries and keys."""

    def change(name: str, turn: Tensor, side: str) -> None:
        linear = stack.linear(layer, name)
        with torch.no_grad():
            if side == "out":
                linear.weight.copy_(turn.t() @ linear.weight)
                if linear.bias is not None:
                    linear.bias.copy_(linear.bias @ turn)
            else:
                linear.weight.copy_(linear.weight @ turn)

    for role in found:
        if isinstance(role, Attention):
            width = stack.shapes[role.key][1] // role.groups
            many = role.heads // role.groups
            places = torch.eye(role.groups)[torch.randperm(role.groups, generator=generator)]
            turn = torch.linalg.qr(torch.randn(width, width, generator=generator)).Q.contiguous()
            plain = turn
            if role.rotary:
                angle = torch.rand(width // 2, generator=generator) * 6.3
                plain = torch.zeros(width, width)
                for i, a in enumerate(angle):
                    j = i + width // 2
                    plain[i, i] = plain[j, j] = a.cos()
                    plain[i, j], plain[j, i] = a.sin(), -a.sin()
            queries = torch.kron(places, torch.eye(many))
            change(role.query, torch.kron(queries, plain), "out")
            change(role.key, torch.kron(places, plain), "out")
            change(role.value, torch.kron(places, turn), "out")
            change(role.output, torch.kron(queries, turn), "in")
        else:
            units = stack.shapes[role.leave][0]
            turn = torch.eye(units)[torch.randperm(units, generator=generator)]
            for name in role.enter:
                change(name, turn, "out")
            change(role.leave, turn, "in")
