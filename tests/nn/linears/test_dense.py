"""The unshared map: K separate torch.nn.Linear."""

import torch

from foldformer.nn.linears.dense import DenseSpec


def test_each_use_is_a_torch_linear_of_its_own() -> None:
    torch.manual_seed(0)
    linear = DenseSpec().build(5, 7, 3).double()
    torch.nn.init.normal_(linear.bias)
    x = torch.randn(2, 4, 5, dtype=torch.float64)
    for use in range(3):
        theirs = torch.nn.Linear(5, 7, dtype=torch.float64)
        with torch.no_grad():
            theirs.weight.copy_(linear.merged(use).t())
            theirs.bias.copy_(linear.bias[use])
        torch.testing.assert_close(linear(x, use), theirs(x))
    assert not torch.equal(linear.merged(0), linear.merged(1))


def test_without_bias() -> None:
    linear = DenseSpec(bias=False).build(5, 7, 2)
    x = torch.randn(3, 5)
    torch.testing.assert_close(linear(x, 1), x @ linear.weight[1])
    assert [name for name, _ in linear.named_parameters()] == ["weight"]
