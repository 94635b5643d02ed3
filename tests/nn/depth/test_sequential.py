"""Skip connections, dropout and stochastic depth."""

import pytest
import torch

from foldformer.errors import SpecError
from foldformer.nn.depth.sequential import Sequential, SequentialSpec
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.mask import utterance_mask
from foldformer.nn.mixers.attention import AttentionSpec


def built(depth: SequentialSpec, num_layers: int = 4) -> Sequential:
    torch.manual_seed(0)
    spec = EncoderSpec(
        d_model=8,
        num_layers=num_layers,
        uses=2,
        mixer=AttentionSpec(num_heads=2),
        feed_forward=DenseFeedForwardSpec(d_ff=12),
        depth=depth,
    )
    return spec.build().depth


def test_forward_adds_both_branches_in_order() -> None:
    for order, places in (
        ("adjacent", [(0, 0), (0, 1), (1, 0), (1, 1)]),
        ("cycle", [(0, 0), (1, 0), (0, 1), (1, 1)]),
    ):
        depth = built(SequentialSpec(order=order))
        for parameter in depth.parameters():  # otherwise both uses are the same map
            torch.nn.init.normal_(parameter)
        x = torch.randn(2, 5, 8)
        mask = utterance_mask(torch.tensor([5, 5]), 5, None, 0)
        y = x
        for index, use in places:
            y = y + depth.layers[index].mix(y, use, mask)
            y = y + depth.layers[index].feed(y, use)
        torch.testing.assert_close(depth(x, mask), y)


@pytest.mark.parametrize(("order", "calls"), [("adjacent", 1), ("cycle", 2)])
def test_uses_in_a_row_are_one_call_of_their_layer(order: str, calls: int) -> None:
    depth = built(SequentialSpec(order=order))
    called = []
    for layer in depth.layers:
        layer.register_forward_hook(lambda module, *rest: called.append(module))
    depth(torch.randn(2, 5, 8), utterance_mask(torch.tensor([5, 5]), 5, None, 0))
    assert [called.count(layer) for layer in depth.layers] == [calls, calls]


def test_rates_grow_linearly_with_depth() -> None:
    assert built(SequentialSpec(stochastic_depth=0.3)).drop_rates == pytest.approx(
        [0.0, 0.1, 0.2, 0.3]
    )


def test_branches_are_dropped_by_utterance_and_keep_their_expectation() -> None:
    depth = built(SequentialSpec(stochastic_depth=0.4))
    branch = torch.ones(4000, 3, 8)
    kept = depth._branch(branch, 0.4)
    values = kept[:, 0, 0]
    assert torch.equal(kept, values[:, None, None].expand_as(kept))
    assert sorted(set(values.tolist())) == pytest.approx([0, 1 / 0.6])
    assert float((values == 0).float().mean()) == pytest.approx(0.4, abs=0.03)
    assert float(values.mean()) == pytest.approx(1, abs=0.05)


def test_dropout_zeroes_units_and_keeps_their_expectation() -> None:
    depth = built(SequentialSpec(dropout=0.25))
    y = depth._branch(torch.ones(100, 20, 8), 0.0)
    assert sorted(set(y.flatten().tolist())) == pytest.approx([0, 1 / 0.75])
    assert float(y.mean()) == pytest.approx(1, abs=0.03)


def test_both_are_off_in_evaluation() -> None:
    depth = built(SequentialSpec(dropout=0.5, stochastic_depth=0.5))
    plain = built(SequentialSpec())
    x = torch.randn(2, 5, 8)
    mask = utterance_mask(torch.tensor([5, 5]), 5, None, 0)
    assert not torch.equal(depth(x, mask), depth(x, mask))
    torch.testing.assert_close(depth.eval()(x, mask), plain(x, mask))


@pytest.mark.parametrize("name", ["dropout", "stochastic_depth"])
@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_wrong_rates(name: str, value: float) -> None:
    with pytest.raises(SpecError, match=f"{name}: expected 0 or more and less than 1"):
        SequentialSpec(**{name: value})
