"""The encoder: what sees what, streams, padding, groups, messages."""

import re
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foldformer.errors import SpecError
from foldformer.nn.encoder import Encoder, EncoderSpec
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.linears.dense import DenseLinear, DenseSpec
from foldformer.nn.linears.residual import ResidualLinear, ResidualSpec
from foldformer.nn.mixers.attention import AttentionSpec
from foldformer.nn.subsampling import SubsamplingSpec
from foldformer.spec import from_dict, to_dict

SMALL: dict[str, Any] = {
    "d_model": 8,
    "num_layers": 2,
    "uses": 2,
    "left_context": 3,
    "mixer": AttentionSpec(num_heads=2),
    "feed_forward": DenseFeedForwardSpec(d_ff=12),
    "linear": ResidualSpec(rank=2),
    "subsampling": SubsamplingSpec(num_mels=5, channels=6),
}


def built(dtype: torch.dtype = torch.float64, **changes: Any) -> Encoder:
    """A small encoder in evaluation mode whose uses differ."""
    torch.manual_seed(0)
    encoder = EncoderSpec(**{**SMALL, **changes}).build().to(dtype).eval()
    for name, parameter in encoder.named_parameters():
        if name.endswith(("up", "diagonal", "bias", "shift")):
            torch.nn.init.normal_(parameter, std=0.3)
    encoder.subsampling.set_statistics(torch.randn(5), 1.5)
    return encoder.requires_grad_(False)


def variation(frames: torch.Tensor) -> float:
    """The part of the energy of frames (T, D) that is not that of their mean over time."""
    return float(frames.var(0, correction=0).sum() / frames.square().mean(0).sum())


@pytest.mark.parametrize("uses", [1, 9])
def test_at_the_start_the_deepest_frames_still_tell_what_was_heard(uses: int) -> None:
    torch.manual_seed(0)
    spec = EncoderSpec(d_model=64, num_layers=18, uses=uses, mixer=AttentionSpec(num_heads=2))
    encoder = spec.build().requires_grad_(False)
    features = torch.randn(1, 400, 80)
    heard = encoder.subsampling(features)[0]
    assert 0.5 < float(heard.square().mean()) < 2
    deepest: list[torch.Tensor] = []
    encoder(features, torch.tensor([400]), after=deepest.append)
    assert variation(deepest[-1][0]) > 0.25 * variation(heard)


def changes(encoder: Encoder, frames: int, **settings: Any) -> torch.Tensor:
    """(feature frames, encoder frames) bool: which output moves when one feature frame does."""
    x = torch.randn(1, 4 * frames, 5, dtype=torch.float64)
    lengths = torch.tensor([4 * frames])
    before = encoder(x, lengths, **settings)[0]
    rows = []
    for feature in range(4 * frames):
        moved = x.clone()
        moved[:, feature] += 1
        rows.append((encoder(moved, lengths, **settings)[0] - before).abs().amax(2)[0] > 1e-12)
    return torch.stack(rows)


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize(("chunk", "left_context"), [(1, 0), (2, 0), (3, 2), (2, 5), (4, 1)])
def test_outputs_see_exactly_what_the_chunk_rule_allows(
    num_layers: int, chunk: int, left_context: int
) -> None:
    frames = 11
    encoder = built(num_layers=num_layers, uses=num_layers)
    # One use: frame t sees s. Several: a path of such steps. Then the subsampling's window.
    sees = torch.tensor(
        [
            [t // chunk * chunk - left_context <= s < (t // chunk + 1) * chunk for s in range(11)]
            for t in range(frames)
        ]
    ).double()
    reaches = torch.linalg.matrix_power(sees, num_layers) > 0
    expected = torch.tensor(
        [
            [
                any(reaches[t, s] and 4 * s - 3 <= f <= 4 * s + 3 for s in range(frames))
                for t in range(frames)
            ]
            for f in range(4 * frames)
        ]
    )
    moved = changes(encoder, frames, chunk=chunk, left_context=left_context)
    assert torch.equal(moved, expected)


def test_full_context_sees_all() -> None:
    assert changes(built(), 7).all()


def streamed(encoder: Encoder, x: torch.Tensor, chunk: int, left_context: int) -> torch.Tensor:
    state = encoder.init_state(x.shape[0], left_context)
    shapes = [(s.shape, s.dtype) for s in state]
    assert all(s.shape[0] == x.shape[0] for s in state)
    pieces = []
    for piece in x.split(4 * chunk, dim=1):
        y, state = encoder.step(piece, state)
        assert isinstance(state, tuple)
        assert [(s.shape, s.dtype) for s in state] == shapes
        pieces.append(y)
    return torch.cat(pieces, dim=1)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("left_context", [0, 1, 4, 50])
@pytest.mark.parametrize("chunk", [1, 4, 5, 30])
def test_a_stream_equals_forward_with_the_chunk_mask(
    batch: int, left_context: int, chunk: int
) -> None:
    frames = 22  # neither 4 nor 5 divides it: the last chunk is shorter
    encoder = built(torch.float32, num_layers=6, uses=3)
    x = torch.randn(batch, 4 * frames, 5)
    lengths = torch.full((batch,), 4 * frames)
    expected, _ = encoder(x, lengths, chunk=chunk, left_context=left_context)
    y = streamed(encoder, x, chunk, left_context)
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4)


def test_streams_that_start_at_different_times_share_a_batch() -> None:
    """What a server does: the second stream joins when the first has had three chunks."""
    encoder = built()
    x = torch.randn(2, 48, 5, dtype=torch.float64)
    first, second = (streamed(encoder, row[None], 2, 3) for row in x)
    state = encoder.init_state(1)
    for piece in x[:1, :24].split(8, dim=1):
        _, state = encoder.step(piece, state)
    state = tuple(torch.cat([a, b]) for a, b in zip(state, encoder.init_state(1), strict=True))
    late = []
    for piece in torch.stack([x[0, 24:], x[1, :24]]).split(8, dim=1):
        y, state = encoder.step(piece, state)
        late.append(y)
    y = torch.cat(late, dim=1)
    torch.testing.assert_close(y[0], first[0, 6:])
    torch.testing.assert_close(y[1], second[0, :6])


def test_left_context_is_the_specs_unless_given() -> None:
    encoder = built(left_context=2)
    x, lengths = torch.randn(1, 40, 5, dtype=torch.float64), torch.tensor([40])
    assert torch.equal(
        encoder(x, lengths, chunk=2)[0], encoder(x, lengths, chunk=2, left_context=2)[0]
    )
    assert encoder.init_state(3)[2].shape == (3, 2)
    assert encoder.init_state(3)[2].dtype == torch.bool


@torch.inference_mode()
def test_a_stream_of_24_hours() -> None:
    """Memory stays, and accuracy: its end equals that of a stream begun a receptive field ago."""
    torch.manual_seed(0)
    encoder = EncoderSpec(
        d_model=4,
        num_layers=2,
        uses=2,
        left_context=8,
        mixer=AttentionSpec(num_heads=1),
        feed_forward=DenseFeedForwardSpec(d_ff=4),
        linear=ResidualSpec(diagonal=False, bias=False),
        subsampling=SubsamplingSpec(num_mels=2, channels=2),
    ).build()
    encoder.eval().requires_grad_(False)
    chunk = 400  # 16 s
    chunks = 24 * 3600 * 25 // chunk
    piece = torch.randn(1, 4 * chunk, 2)

    def features(index: int) -> torch.Tensor:
        return piece.roll(index, dims=1) * (1 + index % 7)

    def held(state: tuple[torch.Tensor, ...]) -> int:
        return sum(s.untyped_storage().nbytes() for s in state)

    def largest(state: tuple[torch.Tensor, ...]) -> float:
        return max(float(s.max()) for s in state)

    state = encoder.init_state()
    early, bytes_held = 0.0, 0
    for index in range(chunks):
        y, state = encoder.step(features(index), state)
        if index < 100:
            early, bytes_held = max(early, largest(state)), max(bytes_held, held(state))
    assert held(state) <= bytes_held
    assert largest(state) <= early
    # Each of two uses looks 8 frames back over the chunk's start: two chunks hold all that counts.
    fresh = encoder.init_state()
    for index in range(chunks - 3, chunks):
        recent, fresh = encoder.step(features(index), fresh)
    torch.testing.assert_close(y, recent, rtol=0, atol=1e-6)


@settings(max_examples=30)
@given(
    st.lists(st.integers(4, 40), min_size=2, max_size=4),
    st.sampled_from([None, 1, 3, 4]),
    st.integers(0, 4),
)
def test_padding_never_changes_a_result(
    lengths: list[int], chunk: int | None, left_context: int
) -> None:
    encoder = built(torch.float32)
    x = torch.randn(len(lengths), max(lengths) + 3, 5)
    y, frames = encoder(x, torch.tensor(lengths), chunk=chunk, left_context=left_context)
    assert frames.tolist() == [length // 4 for length in lengths]
    for b, length in enumerate(lengths):
        alone, _ = encoder(
            x[b : b + 1, :length], torch.tensor([length]), chunk=chunk, left_context=left_context
        )
        torch.testing.assert_close(y[b, : length // 4], alone[0], rtol=1e-5, atol=1e-5)
        assert not y[b, length // 4 :].any()


@pytest.mark.parametrize("chunk", [None, 2])
def test_no_gradient_comes_from_padding_or_goes_to_it(chunk: int | None) -> None:
    encoder = built().requires_grad_(True)
    x = torch.randn(2, 32, 5, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([32, 14])
    weights = torch.randn(2, 8, 8, dtype=torch.float64)

    def gradients(loss: torch.Tensor) -> list[torch.Tensor]:
        return list(torch.autograd.grad(loss, [x, *encoder.parameters()]))

    together = gradients((encoder(x, lengths, chunk)[0] * weights).sum())
    apart = [
        gradients(
            (encoder(x[b : b + 1, :n], torch.tensor([n]), chunk)[0] * weights[b, : n // 4]).sum()
        )
        for b, n in ((0, 32), (1, 14))
    ]
    for whole, first, second in zip(together, *apart, strict=True):
        torch.testing.assert_close(whole, first + second)
    assert not together[0][1, 12:].any()


def test_an_utterance_of_no_frames_stays_finite() -> None:
    encoder = built().requires_grad_(True)
    x = torch.randn(2, 16, 5, dtype=torch.float64)
    for chunk in (None, 2):
        y, frames = encoder(x, torch.tensor([16, 3]), chunk)
        assert frames.tolist() == [4, 0]
        y.sum().backward()
        assert all(p.grad.isfinite().all() for p in encoder.parameters())


def test_too_few_or_uneven_features() -> None:
    encoder = built()
    with pytest.raises(ValueError, match="at least 4 frames, got 3"):
        encoder(torch.zeros(1, 3, 5), torch.tensor([3]))
    with pytest.raises(ValueError, match="chunk: expected 1 frame or more, got 0"):
        encoder(torch.zeros(1, 8, 5), torch.tensor([8]), chunk=0)
    for frames in (0, 6):
        with pytest.raises(ValueError, match=f"a positive multiple of 4 frames, got {frames}"):
            encoder.step(torch.zeros(1, frames, 5), encoder.init_state())


def test_groups_may_differ_in_uses() -> None:
    spec = EncoderSpec(**{**SMALL, "num_layers": 6, "uses": (1, 3, 2)})
    encoder = spec.build()
    assert [layer.uses for layer in encoder.depth.layers] == [1, 3, 2]
    assert [layer.mixer.query.uses for layer in encoder.depth.layers] == [1, 3, 2]
    assert encoder.depth.layers[0].mixer.query.diagonal is None
    y, _ = encoder(torch.randn(1, 16, 5), torch.tensor([16]))
    assert y.shape == (1, 4, 8)


def test_single_matrices_may_differ() -> None:
    spec = EncoderSpec(
        **{
            **SMALL,
            "num_layers": 4,
            "linears": {
                "query": ResidualSpec(rank=(0, 3)),
                "1.query": DenseSpec(),
                "expand": ResidualSpec(rank=1, diagonal=False),
            },
        }
    )
    assert from_dict(EncoderSpec, to_dict(spec)) == spec
    first, second = spec.build().depth.layers
    assert first.mixer.query.ranks == (0, 3)
    assert isinstance(second.mixer.query, DenseLinear)
    for layer in (first, second):
        assert isinstance(layer.mixer.key, ResidualLinear)
        assert layer.mixer.key.ranks == (2, 2)
        assert layer.feed_forward.expand.ranks == (1, 1)
        assert layer.feed_forward.expand.diagonal is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"num_layers": 6, "uses": 4},
            "uses: 6 layers are not divisible by 4 uses; possible: 1, 2, 3, 6, or a list that "
            "adds up to it",
        ),
        ({"uses": (1, 2)}, "uses: [1, 2] does not add up to num_layers = 2"),
        ({"uses": (2, 0)}, "uses: [2, 0] does not add up"),
        ({"uses": ()}, "uses: [] does not add up"),
        ({"d_model": 0}, "d_model: expected 1 or more, got 0"),
        ({"left_context": -1}, "left_context: expected 0 or more frames, got -1"),
        ({"linears": {"qury": DenseSpec()}}, "linears.qury: no such matrix; did you mean 'query'?"),
        ({"linears": {"1.key": DenseSpec()}}, "linears.1.key: no such matrix"),
        (
            {"linear": ResidualSpec(rank=9)},
            "linear: rank: 9 is larger than the matrix allows (8 x 8: at most 8) "
            "(matrix query of layer 0)",
        ),
        (
            {"linears": {"0.expand": ResidualSpec(rank=(1, 2, 3))}},
            "linears.0.expand: rank: 3 ranks for a layer with 2 uses; give one number or 2 "
            "(matrix expand of layer 0)",
        ),
        ({"mixer": AttentionSpec(num_heads=3)}, "num_heads: 3 heads do not divide"),
    ],
)
def test_combinations_that_do_not_fit(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        EncoderSpec(**{**SMALL, **changed}).build()
