"""Maps that are prepared together against the same maps called one by one."""

from typing import Any

import pytest
import torch

from foldformer.nn.linears import Linear, prepared
from foldformer.nn.linears.dense import DenseSpec
from foldformer.nn.linears.residual import ResidualLinear, ResidualSpec


def maps() -> list[Linear]:
    """Of two kinds, in turns; with and without factors in use 1, diagonal and bias."""
    torch.manual_seed(0)
    built: list[Linear] = [
        ResidualSpec(rank=2).build(24, 6, 2),
        DenseSpec().build(24, 4, 2),
        ResidualSpec(rank=(1, 0), bias=False).build(24, 9, 2),
        ResidualSpec(rank=(0, 3), diagonal=False).build(24, 5, 2),
        ResidualSpec(rank=0, diagonal=False).build(24, 3, 2),
    ]
    for linear in built:
        linear.double()
        for parameter in linear.parameters():
            torch.nn.init.normal_(parameter)
    return built


def gradients(linears: list[Linear], x: torch.Tensor, ys: list[torch.Tensor]) -> list[Any]:
    total = torch.stack([(y.sin() * (place + 1)).sum() for place, y in enumerate(ys)]).sum()
    wanted = [x, *(p for linear in linears for p in linear.parameters())]
    return list(torch.autograd.grad(total, wanted, materialize_grads=True))


@pytest.mark.parametrize(("frames", "merged"), [(1, {False}), (4, {False, True}), (99, {True})])
@pytest.mark.parametrize("use", [0, 1])
def test_prepared_maps_are_the_maps(frames: int, merged: set[bool], use: int) -> None:
    linears = maps()
    residual = [linear for linear in linears if isinstance(linear, ResidualLinear)]
    assert {linear.prefers_merged(frames, use) for linear in residual} == merged
    x = torch.randn(frames, 24, dtype=torch.float64, requires_grad=True)
    together = [apply(x) for apply in prepared(linears, use, x)]
    alone = [linear(x, use) for linear in linears]
    for ours, theirs in zip(together, alone, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(
        gradients(linears, x, together), gradients(linears, x, alone), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
