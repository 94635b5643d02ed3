"""The map of ResidualTransformer against its formula, and the two ways to compute it."""

import re
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foldformer.errors import SpecError
from foldformer.nn.linears.residual import ResidualLinear, ResidualSpec


def filled(module: Any) -> Any:
    """The module in float64, all parameters random, those that start at zero too."""
    module.double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module


@st.composite
def maps(draw: st.DrawFn) -> ResidualLinear:
    rows, columns = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    ranks = draw(st.lists(st.integers(0, min(rows, columns)), min_size=1, max_size=4))
    torch.manual_seed(draw(st.integers(0, 1000)))
    linear = ResidualLinear(
        rows, columns, tuple(ranks), diagonal=draw(st.booleans()), bias=draw(st.booleans())
    )
    return filled(linear)


def written_out(linear: ResidualLinear, use: int) -> torch.Tensor:
    """W = U + A B + D entry by entry, from the parameters alone."""
    matrix = linear.weight.clone()
    start = sum(linear.ranks[:use])
    for i in range(linear.in_features):
        for j in range(linear.out_features):
            for r in range(start, start + linear.ranks[use]):
                matrix[i, j] = matrix[i, j] + linear.down[i, r] * linear.up[r, j]
    if linear.diagonal is not None:
        for i in range(min(linear.in_features, linear.out_features)):
            matrix[i, i] = matrix[i, i] + linear.diagonal[use, i]
    return matrix


def gradients(linear: ResidualLinear, y: torch.Tensor, *others: torch.Tensor) -> list[Any]:
    parameters = list(linear.parameters())
    torch.manual_seed(5)
    weights = torch.randn_like(y)
    return list(
        torch.autograd.grad(
            (y * weights).sum(), [*parameters, *others], retain_graph=True, materialize_grads=True
        )
    )


@settings(max_examples=60)
@given(maps(), st.data())
def test_both_forms_equal_the_formula_with_gradients(linear: ResidualLinear, data: Any) -> None:
    use = data.draw(st.integers(0, linear.uses - 1))
    shape = data.draw(st.sampled_from([(3,), (2, 3), (1, 2, 3)]))
    x = torch.randn(*shape, linear.in_features, dtype=torch.float64, requires_grad=True)
    bias = 0.0 if linear.bias is None else linear.bias[use]
    expected = x @ written_out(linear, use) + bias
    for y in (
        linear.forward_merged(x, use),
        linear.forward_factored(x, use),
        linear(x, use),
        x @ linear.merged(use) + bias,
    ):
        torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-10)
        for ours, theirs in zip(
            gradients(linear, y, x), gradients(linear, expected, x), strict=True
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_merging_leaves_the_parameters_alone() -> None:
    linear = filled(ResidualLinear(4, 6, (0, 2), diagonal=True, bias=True))
    before = {name: p.clone() for name, p in linear.named_parameters()}
    linear.merged(0).sum().backward()
    linear.merged(1).sum().backward()
    for name, parameter in linear.named_parameters():
        torch.testing.assert_close(parameter, before[name], rtol=0, atol=0)


def test_use_0_of_one_use_is_torch_linear() -> None:
    linear = filled(ResidualSpec().build(5, 7, 1))
    theirs = torch.nn.Linear(5, 7, dtype=torch.float64)
    with torch.no_grad():
        theirs.weight.copy_(linear.weight.t())
        theirs.bias.copy_(linear.bias[0])
    x = torch.randn(2, 3, 5, dtype=torch.float64)
    torch.testing.assert_close(linear(x, 0), theirs(x))
    assert sum(p.numel() for p in linear.parameters()) == 5 * 7 + 7


def test_all_uses_start_as_the_same_map_of_unit_gain() -> None:
    torch.manual_seed(0)
    linear = ResidualSpec(rank=4).build(256, 256, 3).requires_grad_(False)
    x = torch.randn(64, 256)
    for use in (1, 2):
        torch.testing.assert_close(linear(x, use), linear(x, 0))
    assert float(linear(x, 0).std()) == pytest.approx(1, abs=0.05)
    assert float((x @ linear.low_rank(1)[0]).std()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (3, 8), (8, 3)])
def test_shapes_of_the_parameters(rows: int, columns: int) -> None:
    linear = ResidualSpec(rank=(2, 0, 1)).build(rows, columns, 3)
    assert {name: tuple(p.shape) for name, p in linear.named_parameters()} == {
        "weight": (rows, columns),
        "down": (rows, 3),
        "up": (3, columns),
        "diagonal": (3, min(rows, columns)),
        "bias": (3, columns),
    }
    plain = ResidualSpec(diagonal=False, bias=False).build(rows, columns, 3)
    assert [name for name, _ in plain.named_parameters()] == ["weight"]


def test_one_use_needs_no_diagonal() -> None:
    assert ResidualSpec(diagonal=True).build(4, 4, 1).diagonal is None


def test_a_short_chunk_goes_factored_and_a_batch_merged() -> None:
    linear = ResidualSpec(rank=16).build(512, 2048, 3)
    assert not linear.prefers_merged(8, 1)
    assert linear.prefers_merged(4096, 1)


@pytest.mark.parametrize(
    ("rank", "uses", "message"),
    [
        ((1, 2), 3, "rank: 2 ranks for a layer with 3 uses; give one number or 3"),
        (9, 2, "rank: 9 is larger than the matrix allows (8 x 12: at most 8)"),
    ],
)
def test_ranks_that_do_not_fit(rank: Any, uses: int, message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        ResidualSpec(rank=rank).build(8, 12, uses)


@pytest.mark.parametrize("rank", [-1, (2, -1)])
def test_negative_ranks(rank: Any) -> None:
    with pytest.raises(SpecError, match="rank: expected 0 or more"):
        ResidualSpec(rank=rank)
