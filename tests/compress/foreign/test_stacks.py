from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from foldformer.compress.foreign import find_stack, find_stacks
from foldformer.errors import InputError

Make = Callable[[str], Any]


class Block(nn.Module):
    """A layer of no library."""

    def __init__(self, width: int = 4, hidden: int = 6, bias: bool = True) -> None:
        super().__init__()
        self.enter = nn.Linear(width, hidden, bias=bias)
        self.leave = nn.Linear(hidden, width)
        self.taps = nn.Conv1d(width, width, 3)
        self.norm = nn.LayerNorm(width)


class Linear8bit(nn.Linear):
    """What libraries that quantise put in the place of a linear map."""


class Net(nn.Module):
    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)


@pytest.mark.parametrize(
    ("name", "lists"),
    [
        ("bert", {"encoder.layer": 4}),
        ("whisper", {"model.encoder.layers": 4, "model.decoder.layers": 2}),
        ("llama", {"model.layers": 4}),
        ("gpt2", {"transformer.h": 4}),
    ],
)
def test_finds_the_layers(name: str, lists: dict[str, int], tiny: Make) -> None:
    found = find_stacks(tiny(name))
    assert {stack.name: len(stack.layers) for stack in found.values()} == lists
    assert not any(stack.kept for stack in found.values())


def test_shapes_are_inputs_and_outputs(tiny: Make) -> None:
    (stack,) = find_stacks(tiny("bert")).values()
    assert stack.shapes["intermediate.dense"] == (16, 24)
    assert stack.shapes["output.dense"] == (24, 16)
    (stack,) = find_stacks(tiny("gpt2")).values()
    assert stack.shapes["attn.c_attn"] == (16, 48)


def test_says_what_stays_and_why() -> None:
    net = Net(Block(), Block(bias=False))
    for block in net.blocks:
        block.attention = nn.MultiheadAttention(4, 2)
        block.adapted = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
    net.blocks[1].tied = net.blocks[0].tied = nn.Linear(4, 4)
    for block in net.blocks:
        block.biased = nn.Linear(4, 4)
    net.blocks[1].biased.bias = net.blocks[0].biased.bias
    net.blocks[0].extra = nn.Linear(4, 4)
    stack = find_stack(net, "blocks")
    assert set(stack.shapes) == {"leave", "attention.out_proj"}
    reasons = {
        "enter": "some layers have a bias there and some have none",
        "taps": "Conv1d is no linear map",
        "attention": "the fused weight of nn.MultiheadAttention",
        "adapted": "ParametrizedLinear is no plain linear map",
        "tied": "its weight or bias is used at several places already: blocks.0.tied.weight, block",
        "biased": "its weight or bias is used at several places already: blocks.0.biased.bias, bl",
        "extra": "only 1 of 2 layers have it",
    }
    assert set(reasons) <= set(stack.kept)
    for name, why in reasons.items():
        assert why in stack.kept[name]


def test_quantised_layers_stay() -> None:
    net = Net(Block(), Block())
    for block in net.blocks:
        block.enter = Linear8bit(4, 6)
    assert "is no plain linear map (quantised" in find_stack(net, "blocks").kept["enter"]


def test_lists_inside_of_a_layer_belong_to_it() -> None:
    net = Net(*(Net(Block(), Block()) for _ in range(3)))
    (stack,) = find_stacks(net).values()
    assert (stack.name, len(stack.layers)) == ("blocks", 3)
    assert {"blocks.0.enter", "blocks.1.enter"} <= set(stack.shapes)


def test_a_model_without_repeated_layers(tiny: Make) -> None:
    with pytest.raises(InputError, match=r"Linear: no list of repeated layers .*with --layers"):
        find_stacks(nn.Linear(2, 2))
    with pytest.raises(InputError, match="name one of its lists with --layers: encoder"):
        find_stacks(tiny("albert"))  # its one layer is used again and again


@pytest.mark.parametrize(
    ("net", "name", "message"),
    [
        (Net(Block(), Block()), "block", "has no list 'block'; did you mean 'blocks'?"),
        (Net(Block(), Block()), "blocks.0", "has no list 'blocks.0'"),
        (Net(Block()), "blocks", "blocks has 1 layer; folding needs two or more"),
        (
            Net(Block(), Block(4, 5)),
            "blocks",
            r"no linear map of one shape in common \(enter: its shapes differ between layers: "
            r"1 of 4 x 6, 1 of 4 x 5; ",
        ),
    ],
)
def test_a_list_that_cannot_be_folded(net: nn.Module, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_stack(net, name)
