"""The chained form of a residual map against the map."""

import pytest
import torch

from foldformer.deploy.export.forms import export_form
from foldformer.deploy.export.linears import ChainedResidual
from foldformer.nn.linears.residual import ResidualSpec


@pytest.mark.parametrize(("rows", "columns"), [(6, 6), (5, 9), (9, 5)])
@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_a_chain_is_the_map(rows: int, columns: int, diagonal: bool, bias: bool) -> None:
    torch.manual_seed(0)
    linear = ResidualSpec(rank=(2, 0), diagonal=diagonal, bias=bias).build(rows, columns, 2)
    linear.double().requires_grad_(False)
    for parameter in linear.parameters():
        torch.nn.init.normal_(parameter)
    chained = export_form(linear)
    assert isinstance(chained, ChainedResidual)
    x = torch.randn(2, 3, rows, dtype=torch.float64)
    for use in range(2):
        torch.testing.assert_close(chained(x, use), linear(x, use))
        torch.testing.assert_close(chained.merged(use), linear.merged(use))
