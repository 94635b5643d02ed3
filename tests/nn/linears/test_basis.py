"""The map on a shared basis: the columns of all uses lie in one space."""

import re

import pytest
import torch

from foldformer.errors import SpecError
from foldformer.nn.linears.basis import BasisSpec


def test_all_uses_have_their_columns_in_the_space_of_the_basis() -> None:
    linear = BasisSpec(rank=3).build(6, 4, 3).double()
    torch.nn.init.normal_(linear.bias)
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    for use in range(3):
        matrix = linear.basis @ linear.coefficients[use]
        torch.testing.assert_close(linear.merged(use), matrix)
        torch.testing.assert_close(linear(x, use), x @ matrix + linear.bias[use])
    beside = torch.cat([linear.merged(use) for use in range(3)], dim=1)
    assert torch.linalg.matrix_rank(beside) == 3


def test_without_bias() -> None:
    linear = BasisSpec(rank=2, bias=False).build(5, 7, 3)
    x = torch.randn(3, 5)
    torch.testing.assert_close(linear(x, 1), x @ linear.merged(1))
    assert {name: tuple(p.shape) for name, p in linear.named_parameters()} == {
        "basis": (5, 2),
        "coefficients": (3, 2, 7),
    }


@pytest.mark.parametrize(("rows", "columns"), [(256, 256), (128, 512), (512, 128)])
def test_starts_with_the_gain_of_a_dense_map(rows: int, columns: int) -> None:
    linear = BasisSpec(rank=64).build(rows, columns, 2).requires_grad_(False)
    expected = (2 / (rows + columns)) ** 0.5
    assert float(linear.merged(1).std()) == pytest.approx(expected, rel=0.2)


def test_a_rank_may_be_above_one_matrix_but_not_above_all() -> None:
    assert BasisSpec(rank=12).build(16, 8, 2).basis.shape == (16, 12)
    message = "rank: 17 is larger than the matrices allow (2 of 20 x 8: at most 16)"
    with pytest.raises(SpecError, match=re.escape(message)):
        BasisSpec(rank=17).build(20, 8, 2)
    with pytest.raises(SpecError, match="rank: expected 1 or more"):
        BasisSpec(rank=0)
