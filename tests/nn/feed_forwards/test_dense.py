"""The Transformer's feed-forward network, written out."""

import pytest
import torch

from foldformer.errors import SpecError
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.linears.residual import ResidualSpec


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("relu", lambda z: z.clamp(min=0)),
        ("silu", lambda z: z / (1 + (-z).exp())),
        ("gelu", lambda z: z * (1 + torch.erf(z / 2**0.5)) / 2),
    ],
)
def test_two_maps_with_an_activation_between(name: str, formula: object) -> None:
    torch.manual_seed(0)
    spec = DenseFeedForwardSpec(d_ff=12, activation=name)
    network = spec.build(8, lambda _, i, o: ResidualSpec().build(i, o, 1))
    x = torch.randn(2, 3, 8)
    hidden = formula(x @ network.expand.weight + network.expand.bias)
    expected = hidden @ network.contract.weight + network.contract.bias
    torch.testing.assert_close(network(x, 0), expected)


def test_dropout_on_the_hidden_units() -> None:
    spec = DenseFeedForwardSpec(d_ff=12, dropout=0.5)
    network = spec.build(8, lambda _, i, o: ResidualSpec().build(i, o, 1))
    x = torch.randn(2, 3, 8)
    assert not torch.equal(network(x, 0), network(x, 0))
    network.eval()
    assert torch.equal(network(x, 0), network(x, 0))


def test_wrong_specs() -> None:
    with pytest.raises(SpecError, match="d_ff: expected 1 or more, got 0"):
        DenseFeedForwardSpec(d_ff=0)
    with pytest.raises(SpecError, match="dropout: expected 0 or more"):
        DenseFeedForwardSpec(dropout=1.0)
