"""The layers against PyTorch's Transformer, a written-out one, and separate dense layers."""

import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from foldformer.nn.depth.sequential import SequentialSpec
from foldformer.nn.encoder import Encoder, EncoderSpec
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.layer import Layer
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.nn.mask import utterance_mask
from foldformer.nn.mixers import attention
from foldformer.nn.mixers.attention import AttentionSpec
from foldformer.nn.subsampling import SubsamplingSpec

WIDTH, HEADS, HIDDEN, FRAMES = 8, 2, 12, 7
MATRICES = (
    "mixer.query",
    "mixer.key",
    "mixer.value",
    "mixer.output",
    "feed_forward.expand",
    "feed_forward.contract",
)


def built(uses: Any, rank: Any, order: str = "adjacent", **changes: Any) -> Encoder:
    torch.manual_seed(0)
    spec = EncoderSpec(
        d_model=WIDTH,
        num_layers=sum(uses),
        uses=tuple(uses),
        mixer=AttentionSpec(num_heads=HEADS),
        feed_forward=DenseFeedForwardSpec(d_ff=HIDDEN),
        linear=ResidualSpec(rank=rank),
        subsampling=SubsamplingSpec(num_mels=5, channels=6),
        depth=SequentialSpec(order=order),
        **changes,
    )
    encoder = spec.build().double()
    for parameter in encoder.depth.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return encoder


def torch_layer(layer: Layer, use: int) -> torch.nn.TransformerEncoderLayer:
    """PyTorch's own pre-norm layer with the weights of one use."""
    theirs = torch.nn.TransformerEncoderLayer(
        WIDTH, HEADS, HIDDEN, dropout=0.0, batch_first=True, norm_first=True, dtype=torch.float64
    )
    maps = [layer.get_submodule(name) for name in MATRICES]
    weights = [linear.merged(use).t() for linear in maps]
    biases = [linear.bias[use] for linear in maps]
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(torch.cat(weights[:3]))
        theirs.self_attn.in_proj_bias.copy_(torch.cat(biases[:3]))
        for linear, weight, bias in zip(
            (theirs.self_attn.out_proj, theirs.linear1, theirs.linear2),
            weights[3:],
            biases[3:],
            strict=True,
        ):
            linear.weight.copy_(weight)
            linear.bias.copy_(bias)
        for norm, ours in (
            (theirs.norm1, layer.mixer_norm),
            (theirs.norm2, layer.feed_forward_norm),
        ):
            norm.weight.copy_(ours.scale[use])
            norm.bias.copy_(ours.shift[use])
    return theirs


@pytest.mark.parametrize(("uses", "rank"), [((1, 1), 0), ((3,), 2)])
def test_without_positions_each_use_is_torchs_layer(
    uses: Any, rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_rotation(frames: int, width: int, base: float, like: torch.Tensor) -> Any:
        return like.new_ones(frames, width // 2), like.new_zeros(frames, width // 2)

    monkeypatch.setattr(attention, "rotary_table", no_rotation)
    depth = built(uses, rank).depth
    x = torch.randn(2, FRAMES, WIDTH, dtype=torch.float64)
    lengths = torch.tensor([FRAMES, 4])
    y = depth(x, utterance_mask(lengths, FRAMES, None, 0))
    padding = torch.arange(FRAMES) >= lengths[:, None]
    expected = x
    for index, use in depth.order:
        expected = torch_layer(depth.layers[index], use)(expected, src_key_padding_mask=padding)
    torch.testing.assert_close(y[0], expected[0])
    torch.testing.assert_close(y[1, :4], expected[1, :4])


def written_out(layer: Layer, use: int, x: torch.Tensor) -> torch.Tensor:
    """One pre-norm layer on one utterance (T, D), its rotary positions as complex numbers."""

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        own = layer.get_submodule(name)
        centred = x - x.mean(1, keepdim=True)
        spread = (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
        return centred / spread * own.scale[use] + own.shift[use]

    def linear(name: str, x: torch.Tensor) -> torch.Tensor:
        own = layer.get_submodule(name)
        down, up = own.low_rank(use) or (torch.zeros(x.shape[1], 0).double(), 0)
        matrix = own.weight + (down @ up if own.low_rank(use) else 0)
        if own.diagonal is not None:
            corner = torch.diag(own.diagonal[use])
            rows, columns = matrix.shape
            matrix = matrix + F.pad(corner, (0, columns - len(corner), 0, rows - len(corner)))
        return x @ matrix + own.bias[use]

    def turned(x: torch.Tensor) -> torch.Tensor:
        half = x.shape[1] // 2
        angles = torch.outer(
            torch.arange(len(x)).double(), 10000.0 ** (-torch.arange(half).double() / half)
        )
        pairs = torch.complex(x[:, :half], x[:, half:]) * torch.polar(angles.cos() * 0 + 1, angles)
        return torch.cat([pairs.real, pairs.imag], dim=1)

    normed = norm("mixer_norm", x)
    q, k, v = (linear(f"mixer.{name}", normed) for name in ("query", "key", "value"))
    heads = []
    for h in range(HEADS):
        own = slice(h * WIDTH // HEADS, (h + 1) * WIDTH // HEADS)
        scores = turned(q[:, own]) @ turned(k[:, own]).t() / math.sqrt(WIDTH / HEADS)
        heads.append(scores.softmax(1) @ v[:, own])
    x = x + linear("mixer.output", torch.cat(heads, dim=1))
    hidden = linear("feed_forward.expand", norm("feed_forward_norm", x)).clamp(min=0)
    return x + linear("feed_forward.contract", hidden)


@pytest.mark.parametrize("order", ["adjacent", "cycle"])
@pytest.mark.parametrize(("uses", "rank"), [((1, 1, 1), 0), ((2, 2), 3), ((3, 1, 2), 1)])
def test_encoder_equals_a_written_out_transformer(uses: Any, rank: int, order: str) -> None:
    encoder = built(uses, rank, order)
    x = torch.randn(1, 4 * FRAMES, 5, dtype=torch.float64)
    y = encoder.subsampling(x)[0]
    for index, use in encoder.depth.order:
        y = written_out(encoder.depth.layers[index], use, y)
    expected = F.layer_norm(y, (WIDTH,), encoder.norm.weight, encoder.norm.bias)
    ours, _ = encoder(x, torch.tensor([4 * FRAMES]))
    torch.testing.assert_close(ours[0], expected)


def unfolded(encoder: Encoder) -> Encoder:
    """The dense encoder with one layer for every place in depth, of the merged weights."""
    order = encoder.depth.order
    dense = built((1,) * len(order), 0)
    own = dict(dense.named_parameters())
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if not name.startswith("depth."):
                own[name].copy_(parameter)
        for place, (index, use) in enumerate(order):
            shared, copy = encoder.depth.layers[index], dense.depth.layers[place]
            for name in MATRICES:
                copy.get_submodule(name).weight.copy_(shared.get_submodule(name).merged(use))
                copy.get_submodule(name).bias.copy_(shared.get_submodule(name).bias[[use]])
            for name in ("mixer_norm", "feed_forward_norm"):
                copy.get_submodule(name).scale.copy_(shared.get_submodule(name).scale[[use]])
                copy.get_submodule(name).shift.copy_(shared.get_submodule(name).shift[[use]])
    return dense


@pytest.mark.parametrize("order", ["adjacent", "cycle"])
@pytest.mark.parametrize(
    ("uses", "linears"),
    [
        ((2, 2), {}),
        ((3, 1, 2), {"query": ResidualSpec(rank=0)}),
        ((2, 2), {"1.expand": ResidualSpec(rank=(0, 4)), "value": ResidualSpec(diagonal=False)}),
    ],
)
def test_shared_equals_separate_dense_layers(uses: Any, linears: Any, order: str) -> None:
    """Same outputs; the gradient of what is shared is the sum over its copies, and those of the
    factors follow from it by the chain rule: d down = G up^T, d up = down^T G, d diagonal = diag G.
    """
    encoder = built(uses, 2, order, linears=linears)
    dense = unfolded(encoder)
    x = torch.randn(2, 4 * FRAMES, 5, dtype=torch.float64)
    lengths = torch.tensor([4 * FRAMES, 17])
    y, expected = encoder(x, lengths, 3)[0], dense(x, lengths, 3)[0]
    torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-10)
    weights = torch.randn_like(y)
    (y * weights).sum().backward()
    (expected * weights).sum().backward()
    close = {"rtol": 1e-9, "atol": 1e-9}
    for index, layer in enumerate(encoder.depth.layers):
        places = {use: p for p, (i, use) in enumerate(encoder.depth.order) if i == index}
        for name in MATRICES:
            shared = layer.get_submodule(name)
            copies = [
                dense.depth.layers[places[use]].get_submodule(name) for use in range(layer.uses)
            ]
            total = sum(copy.weight.grad for copy in copies)
            torch.testing.assert_close(shared.weight.grad, total, **close)
            for use, copy in enumerate(copies):
                grad = copy.weight.grad
                torch.testing.assert_close(shared.bias.grad[use], copy.bias.grad[0], **close)
                if shared.diagonal is not None:
                    torch.testing.assert_close(shared.diagonal.grad[use], grad.diagonal(), **close)
                if shared.ranks[use]:
                    start = sum(shared.ranks[:use])
                    own = slice(start, start + shared.ranks[use])
                    down, up = shared.low_rank(use)
                    torch.testing.assert_close(shared.down.grad[:, own], grad @ up.t(), **close)
                    torch.testing.assert_close(shared.up.grad[own], down.t() @ grad, **close)
        for use, place in places.items():
            torch.testing.assert_close(
                layer.mixer_norm.scale.grad[use],
                dense.depth.layers[place].mixer_norm.scale.grad[0],
                **close,
            )
