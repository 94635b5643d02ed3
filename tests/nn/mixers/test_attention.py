"""Rotary attention: positions by the complex formula, distances only, messages."""

import math

import pytest
import torch

from foldformer.errors import SpecError
from foldformer.nn.linears import Linear
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.nn.mask import utterance_mask
from foldformer.nn.mixers.attention import Attention, AttentionSpec, rotary_table, rotate


def linear(name: str, in_features: int, out_features: int) -> Linear:
    return ResidualSpec().build(in_features, out_features, 1).double()


def complex_rotation(x: torch.Tensor, base: float) -> torch.Tensor:
    """RoFormer (34): pair i of frame t, as a complex number, times e^(j t base^(-2i/P))."""
    width = x.shape[-1]
    pairs = torch.complex(x[..., : width // 2], x[..., width // 2 :])
    for t in range(x.shape[-2]):
        for i in range(width // 2):
            angle = t * base ** (-2 * i / width)
            pairs[..., t, i] = pairs[..., t, i] * complex(math.cos(angle), math.sin(angle))
    return torch.cat([pairs.real, pairs.imag], dim=-1)


def test_rotation_is_a_product_of_complex_numbers() -> None:
    x = torch.randn(2, 3, 7, 6, dtype=torch.float64)
    cos, sin = rotary_table(7, 6, 100.0, x)
    torch.testing.assert_close(rotate(x, cos, sin), complex_rotation(x, 100.0))


def test_only_distances_count() -> None:
    query, key = torch.randn(2, 8, dtype=torch.float64)
    cos, sin = rotary_table(2000, 8, 10000.0, query)

    def score(at: int, seen: int) -> torch.Tensor:
        turned = [
            rotate(v.view(1, 1, 1, 8), cos[t : t + 1], sin[t : t + 1])
            for v, t in ((query, at), (key, seen))
        ]
        return (turned[0] * turned[1]).sum()

    for start in (0, 17, 1990):
        torch.testing.assert_close(score(start + 5, start), score(5, 0))
    assert abs(score(5, 0) - score(0, 5)) > 1e-3


def test_table_is_exact_after_ten_minutes() -> None:
    """Angles formed in float32 would be off by 1e-3 at frame 15,000."""
    cos, sin = rotary_table(15001, 4, 10000.0, torch.zeros(1))
    assert cos.dtype == torch.float32
    assert float(cos[-1, 0]) == pytest.approx(math.cos(15000), abs=1e-7)
    assert float(sin[-1, 1]) == pytest.approx(math.sin(150), abs=1e-7)


def test_attention_written_out() -> None:
    """softmax(Q K^T / sqrt(P)) V, head by head and frame by frame."""
    torch.manual_seed(0)
    mixer = AttentionSpec(num_heads=2, rotary_base=50.0).build(8, linear)
    assert isinstance(mixer, Attention)
    for bias in (mixer.query.bias, mixer.key.bias, mixer.value.bias, mixer.output.bias):
        torch.nn.init.normal_(bias)
    x = torch.randn(1, 6, 8, dtype=torch.float64)
    mask = utterance_mask(torch.tensor([6]), 6, chunk=2, left_context=1)
    rows = []
    q, k, v = ((x @ m.weight + m.bias)[0] for m in (mixer.query, mixer.key, mixer.value))
    for t in range(6):
        seen = [s for s in range(6) if mask.attention[0, 0, t, s]]
        heads = []
        for h in (slice(0, 4), slice(4, 8)):
            turned_q, turned_k = complex_rotation(q[:, h], 50.0), complex_rotation(k[:, h], 50.0)
            scores = torch.stack([turned_q[t] @ turned_k[s] / math.sqrt(4) for s in seen])
            weights = scores.exp() / scores.exp().sum()
            heads.append(sum(w * v[s, h] for w, s in zip(weights, seen, strict=True)))
        rows.append(torch.cat(heads))
    expected = torch.stack(rows) @ mixer.output.weight + mixer.output.bias
    torch.testing.assert_close(mixer(x, 0, mask)[0], expected)


def test_heads_that_do_not_divide_the_width() -> None:
    with pytest.raises(SpecError, match=r"num_heads: 5 heads .* possible: 1, 2, 3, 4, 6, 12"):
        AttentionSpec(num_heads=5).build(24, linear)
    with pytest.raises(SpecError, match="choose an even width"):
        AttentionSpec(num_heads=1).build(7, linear)
    with pytest.raises(SpecError, match="num_heads: expected 1 or more, got 0"):
        AttentionSpec(num_heads=0)
    with pytest.raises(SpecError, match="rotary_base: expected more than 1"):
        AttentionSpec(rotary_base=1)
