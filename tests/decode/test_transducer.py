"""Against enumeration: every choice of a blank or one token in every frame."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from foldformer.decode.search import Hypothesis
from foldformer.decode.transducer import TransducerBeamSearch, TransducerGreedySearch
from foldformer.nn.heads.transducer import TransducerHead, TransducerSpec

WIDTH = 5


def head(vocab: int = 3, seed: int = 0, context: int = 2) -> TransducerHead:
    """Random weights, large enough that the search has something to decide."""
    torch.manual_seed(seed)
    spec = TransducerSpec(predictor_dim=6, joiner_dim=7, context=context)
    model = spec.build(WIDTH, vocab).double().eval()
    for parameter in model.parameters():
        parameter.data *= 3
    return model


def encoder_out(frames: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, WIDTH, dtype=torch.float64, generator=generator)


@torch.no_grad()
def step(model: TransducerHead, x: Tensor, tokens: tuple[int, ...]) -> Tensor:
    """Log-probabilities (V) at a frame after the tokens, by the logits of training."""
    logits = model.logits(x.view(1, 1, -1), torch.tensor([tokens], dtype=torch.long))
    return logits[0, 0, -1].log_softmax(-1)


def exact_scores(model: TransducerHead, x: Tensor) -> dict[tuple[int, ...], float]:
    """log P(tokens), summed over all ways to spread them over frames, one a frame at most."""
    vocab = model.joiner.output.out_features
    sums: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(vocab), repeat=len(x)):
        tokens: tuple[int, ...] = ()
        score = 0.0
        for frame, token in zip(x, path, strict=True):
            score += step(model, frame, tokens)[token].item()
            tokens = (*tokens, token) if token else tokens
        sums[tokens] = sums.get(tokens, 0.0) + math.exp(score)
    return {tokens: math.log(probability) for tokens, probability in sums.items()}


@settings(max_examples=8)
@given(frames=st.integers(1, 4), seed=st.integers(0, 99), context=st.integers(1, 3))
def test_wide_beam_equals_enumeration(frames: int, seed: int, context: int) -> None:
    model, x = head(seed=seed, context=context), encoder_out(frames, seed)
    expected = exact_scores(model, x)
    search = TransducerBeamSearch(model, beam_size=10**6, length_norm=False)
    found = search.hypotheses(search.advance(search.init_state(), x))
    assert {h.tokens for h in found} == set(expected)
    assert len(found) == len(expected)
    for hypothesis in found:
        assert hypothesis.score == pytest.approx(expected[hypothesis.tokens], rel=1e-9)
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


def reference_beam(model: TransducerHead, x: Tensor, size: int) -> dict[tuple[int, ...], float]:
    """The beam's definition, written out: the best continuations first, then merging."""
    beam = {(): 0.0}
    for frame in x:
        options = [
            (score + log_prob, (*tokens, token) if token else tokens)
            for tokens, score in beam.items()
            for token, log_prob in enumerate(step(model, frame, tokens).tolist())
        ]
        beam = {}
        for score, tokens in sorted(options, reverse=True)[:size]:
            old = beam.get(tokens, -math.inf)
            beam[tokens] = math.log(math.exp(old) + math.exp(score))
    return beam


@settings(max_examples=15)
@given(frames=st.integers(1, 8), size=st.integers(1, 5), seed=st.integers(0, 99))
def test_narrow_beam_follows_its_definition(frames: int, size: int, seed: int) -> None:
    model, x = head(vocab=4, seed=seed), encoder_out(frames, seed)
    search = TransducerBeamSearch(model, beam_size=size)
    found = search.hypotheses(search.advance(search.init_state(), x))
    expected = reference_beam(model, x, size)
    assert {h.tokens: pytest.approx(h.score, rel=1e-9) for h in found} == expected
    for hypothesis in found:
        frames_of_tokens = hypothesis.frames
        assert len(frames_of_tokens) == len(hypothesis.tokens)
        assert all(a < b for a, b in itertools.pairwise((-1, *frames_of_tokens, frames)))
        check_token_scores(model, x, hypothesis)


def check_token_scores(model: TransducerHead, x: Tensor, found: Hypothesis) -> None:
    """Each token has its log-probability at its frame, after the tokens before it."""
    expected = [
        step(model, x[frame], found.tokens[:i])[found.tokens[i]].item()
        for i, frame in enumerate(found.frames)
    ]
    assert list(found.log_probs) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=15)
@given(seed=st.integers(0, 99))
def test_beam_of_one_is_greedy(seed: int) -> None:
    model, x = head(vocab=6, seed=seed), encoder_out(12, seed)
    greedy, beam = TransducerGreedySearch(model), TransducerBeamSearch(model, beam_size=1)
    (one,) = greedy.hypotheses(greedy.advance(greedy.init_state(), x))
    (other,) = beam.hypotheses(beam.advance(beam.init_state(), x))
    assert (one.tokens, one.frames) == (other.tokens, other.frames)
    assert one.score == pytest.approx(other.score, rel=1e-9)
    check_token_scores(model, x, one)


@settings(max_examples=10)
@given(cuts=st.lists(st.integers(0, 15), max_size=4).map(sorted), seed=st.integers(0, 99))
def test_chunks_equal_the_whole(cuts: list[int], seed: int) -> None:
    model, x = head(vocab=5, seed=seed), encoder_out(15, seed)
    for search in (
        TransducerGreedySearch(model),
        TransducerGreedySearch(model, max_symbols=3),
        TransducerBeamSearch(model, beam_size=3),
    ):
        state = search.init_state()
        for start, end in itertools.pairwise([0, *cuts, 15]):
            state = search.advance(state, x[start:end])
        (whole,) = search.decode(x.unsqueeze(0), torch.tensor([15]))
        for chunked, expected in zip(search.hypotheses(state), whole, strict=True):
            assert (chunked.tokens, chunked.frames) == (expected.tokens, expected.frames)
            assert chunked.score == pytest.approx(expected.score, rel=1e-9)
        assert state.num_frames == 15


def copying_head(vocab: int = 4) -> TransducerHead:
    """Emits the token whose score is largest in the frame, until it has just emitted it."""
    model = TransducerSpec(predictor_dim=vocab, joiner_dim=vocab, context=1).build(vocab, vocab)
    for parameter in model.parameters():
        parameter.data.zero_()
    model.encoder_projection.weight.data = torch.eye(vocab)
    model.predictor.embedding.weight.data = torch.eye(vocab)
    model.predictor.embedding.weight.data[0] = 0
    model.predictor.weight.data.fill_(1)
    model.predictor.projection.weight.data = -9 * torch.eye(vocab)
    model.joiner.output.weight.data = 9 * torch.eye(vocab)
    return model.eval()


def test_greedy_emits_up_to_max_symbols_in_a_frame() -> None:
    model = copying_head()
    x = torch.tensor([[0.1, 0, 2, 1], [0.1, 0, 0, 0], [0.1, 2, 0, 0], [0.1, 2, 0, 0]])
    found = {}
    for max_symbols in (1, 2, 3):
        search = TransducerGreedySearch(model, max_symbols)
        (found[max_symbols],) = search.hypotheses(search.advance(search.init_state(), x))
    assert (found[1].tokens, found[1].frames) == ((2, 1), (0, 2))
    assert (found[2].tokens, found[2].frames) == ((2, 3, 1), (0, 0, 2))
    assert found[3].tokens[:4] == (2, 3, 2, 1)
    assert found[3].frames[:4] == (0, 0, 0, 2)


def test_batch_ignores_padding() -> None:
    model = head(vocab=5)
    x = torch.stack([encoder_out(8, 1), encoder_out(8, 2), encoder_out(8, 3)])
    search = TransducerBeamSearch(model, beam_size=2)
    found = search.decode(x, torch.tensor([8, 5, 0]))
    padded = x.clone()
    padded[1, 5:] = math.nan
    padded[2] = math.nan
    assert search.decode(padded, torch.tensor([8, 5, 0])) == found
    assert found[2] == [Hypothesis()]
    assert all(frame < 5 for hypothesis in found[1] for frame in hypothesis.frames)


def test_length_norm_ranks_and_leaves_scores() -> None:
    """Ranks by score over tokens and context; the hypotheses themselves are the same."""
    model, x = head(vocab=5, seed=3), encoder_out(10, 3)
    plain = TransducerBeamSearch(model, beam_size=8, length_norm=False)
    normed = TransducerBeamSearch(model, beam_size=8)
    state = plain.advance(plain.init_state(), x)
    by_score, by_length = plain.hypotheses(state), normed.hypotheses(state)
    assert set(by_score) == set(by_length)
    assert by_score != by_length
    assert by_score == sorted(by_score, key=lambda h: -h.score)
    assert by_length == sorted(by_length, key=lambda h: -h.score / (len(h.tokens) + 2))


@settings(max_examples=10)
@given(seed=st.integers(0, 99))
def test_unk_is_a_second_blank(seed: int) -> None:
    """The tokens without unk keep the probability of all paths with and without it."""
    model, x = head(seed=seed), encoder_out(1, seed)
    expected = step(model, x[0], ())
    beam = TransducerBeamSearch(model, beam_size=9, unk=2)
    found = {h.tokens: h.score for h in beam.hypotheses(beam.advance(beam.init_state(), x))}
    assert found[()] == pytest.approx(expected[[0, 2]].logsumexp(0).item())
    assert found[(1,)] == pytest.approx(expected[1].item())
    assert len(found) == 2
    greedy = TransducerGreedySearch(model, unk=int(expected.argmax()))
    (only,) = greedy.hypotheses(greedy.advance(greedy.init_state(), x))
    assert (only.tokens, only.frames) == ((), ())
    assert only.score == pytest.approx(expected.max().item())


def test_wrong_sizes() -> None:
    with pytest.raises(ValueError, match="beam_size: expected 1 or more, got 0"):
        TransducerBeamSearch(head(), beam_size=0)
    with pytest.raises(ValueError, match="max_symbols: expected 1 or more, got 0"):
        TransducerGreedySearch(head(), max_symbols=0)
