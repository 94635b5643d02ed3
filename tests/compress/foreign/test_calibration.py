from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from foldformer.compress.foreign import ForeignPlan, calibrate, find_stacks, fold
from foldformer.compress.matrices import output_error
from foldformer.compress.plan import Plan
from foldformer.errors import InputError, SpecError
from foldformer.nn.linears.low_rank import LowRankSpec
from foldformer.nn.linears.residual import ResidualSpec

Make = Callable[[str], Any]
Batch = Callable[[Any], dict[str, Tensor]]


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.first(x).tanh() + self.second(x)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])

    def forward(self, x: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def test_moments_are_means_over_the_frames_that_count() -> None:
    torch.manual_seed(0)
    model, parts = Net(), [torch.randn(2, 5, 3), torch.randn(2, 7, 3)]
    mask = torch.ones(2, 7, dtype=torch.int64)
    mask[1, 4:] = 0
    moments = calibrate(
        model, ["blocks"], [{"x": parts[0]}, {"x": parts[1], "attention_mask": mask}]
    )
    rows = torch.cat([parts[0].flatten(0, 1), parts[1][0], parts[1][1, :4]])
    expected = rows.t() @ rows / 21
    torch.testing.assert_close(moments["blocks.0.first"], expected)
    assert torch.equal(moments["blocks.0.second"], moments["blocks.0.first"])
    rows = model.blocks[0](rows).detach()
    torch.testing.assert_close(moments["blocks.1.second"], rows.t() @ rows / 21)
    assert model.training


@pytest.mark.parametrize("name", ["bert", "whisper", "llama", "gpt2"])
def test_every_map_that_can_be_folded_has_one(name: str, tiny: Make, batch: Batch) -> None:
    model = tiny(name)
    stacks = find_stacks(model)
    moments = calibrate(model, stacks, [batch(model)] * 6)
    expected = {
        f"{stack.name}.{layer}.{part}": (shape[0], shape[0])
        for stack in stacks.values()
        for layer in range(len(stack.layers))
        for part, shape in stack.shapes.items()
    }
    assert {key: tuple(moment.shape) for key, moment in moments.items()} == expected


def test_a_fold_with_moments_loses_less_of_the_outputs(tiny: Make, batch: Batch) -> None:
    plan = ForeignPlan(stacks={"encoder.layer": Plan(uses=(2, 2), linear=LowRankSpec(rank=6))})
    original = tiny("bert")
    moments = calibrate(original, ["encoder.layer"], [batch(original)] * 4)
    key = "encoder.layer.2.output.dense"
    errors = []
    for given in (None, moments):
        model = tiny("bert")
        fold(model, plan, moments=given)
        weights = [m.get_submodule(key).weight.detach().t() for m in (original, model)]
        errors.append(output_error(weights[0], weights[1], moments[key]))
    assert errors[1] < 0.9 * errors[0]


def test_too_little_data(tiny: Make, batch: Batch) -> None:
    model = tiny("bert")
    with pytest.raises(
        InputError, match=r"query was given 0 frames, and has 16 inputs; .* more data"
    ):
        calibrate(model, ["encoder.layer"], [])
    with pytest.raises(InputError, match=r"query was given 12 frames, and has 16 inputs"):
        calibrate(model, ["encoder.layer"], [batch(model)])
    measured = calibrate(model, ["encoder.layer"], [batch(model)], few=True)
    assert measured["encoder.layer.0.output.dense"].shape == (24, 24)


def test_moments_of_another_model_are_refused(tiny: Make, batch: Batch) -> None:
    model = tiny("bert")
    plan = ForeignPlan(stacks={"encoder.layer": Plan(uses=(4,), linear=ResidualSpec(rank=1))})
    with pytest.raises(SpecError, match=r"there is none for encoder\.layer\.0\.attention"):
        fold(model, plan, moments={"layers.0.query": torch.eye(16)})
