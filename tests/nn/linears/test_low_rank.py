"""The factored map: the products of its factors, one pair for each use."""

import re
from typing import Any

import pytest
import torch

from foldformer.errors import SpecError
from foldformer.nn.linears.low_rank import LowRankSpec


def test_each_use_is_the_product_of_its_own_factors() -> None:
    linear = LowRankSpec(rank=(2, 3)).build(5, 7, 2).double()
    torch.nn.init.normal_(linear.bias)
    x = torch.randn(2, 4, 5, dtype=torch.float64)
    starts = {0: slice(0, 2), 1: slice(2, 5)}
    for use, own in starts.items():
        matrix = linear.down[:, own] @ linear.up[own]
        torch.testing.assert_close(linear.merged(use), matrix)
        torch.testing.assert_close(linear(x, use), x @ matrix + linear.bias[use])
        assert torch.linalg.matrix_rank(linear.merged(use)) == own.stop - own.start


def test_without_bias() -> None:
    linear = LowRankSpec(rank=2, bias=False).build(5, 7, 3)
    x = torch.randn(3, 5)
    torch.testing.assert_close(linear(x, 1), x @ linear.merged(1))
    assert {name: tuple(p.shape) for name, p in linear.named_parameters()} == {
        "down": (5, 6),
        "up": (6, 7),
    }


@pytest.mark.parametrize(("rows", "columns"), [(256, 256), (128, 512), (512, 128)])
@pytest.mark.parametrize("rank", [4, 64])
def test_starts_with_the_gain_of_a_dense_map(rows: int, columns: int, rank: int) -> None:
    linear = LowRankSpec(rank=rank).build(rows, columns, 2).requires_grad_(False)
    expected = (2 / (rows + columns)) ** 0.5
    assert float(linear.merged(1).std()) == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize(
    ("rank", "uses", "message"),
    [
        ((1, 2), 3, "rank: 2 ranks for a layer with 3 uses; give one number or 3"),
        (9, 2, "rank: 9 is larger than the matrix allows (8 x 12: at most 8)"),
    ],
)
def test_ranks_that_do_not_fit(rank: Any, uses: int, message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        LowRankSpec(rank=rank).build(8, 12, uses)


@pytest.mark.parametrize("rank", [0, (2, -1)])
def test_ranks_below_one(rank: Any) -> None:
    with pytest.raises(SpecError, match="rank: expected 1 or more"):
        LowRankSpec(rank=rank)
