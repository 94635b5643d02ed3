import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from foldformer.decode.ctc import CtcBeamSearch, CtcGreedySearch
from foldformer.decode.search import Hypothesis
from foldformer.nn.heads.ctc import CtcHead, CtcSpec


def from_paths(paths: list[list[int]], vocab: int = 4) -> Tensor:
    """Log-probabilities (B, T, V) whose best tokens are the paths."""
    probs = torch.full((len(paths), len(paths[0]), vocab), 0.1)
    return probs.scatter(2, torch.tensor(paths).unsqueeze(2), 0.7).log()


def exact_scores(log_probs: Tensor) -> dict[tuple[int, ...], float]:
    """log P(tokens) by enumeration of all paths (T, V)."""
    sums: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        tokens = tuple(token for token, _ in itertools.groupby(path) if token)
        score = sum(row[token].item() for row, token in zip(log_probs, path, strict=True))
        sums[tokens] = sums.get(tokens, 0.0) + math.exp(score)
    return {tokens: math.log(probability) for tokens, probability in sums.items()}


def best_frames(log_probs: Tensor, tokens: tuple[int, ...]) -> tuple[int, ...]:
    """Where the tokens begin in their most probable path, by enumeration of all (T, V)."""
    paths = itertools.product(range(log_probs.shape[1]), repeat=len(log_probs))
    same = [path for path in paths if tuple(k for k, _ in itertools.groupby(path) if k) == tokens]
    best = max(
        same, key=lambda path: sum(float(row[k]) for row, k in zip(log_probs, path, strict=True))
    )
    return tuple(
        frame
        for frame, token in enumerate(best)
        if token and (frame == 0 or best[frame - 1] != token)
    )


def head() -> CtcHead:
    torch.manual_seed(0)
    model = CtcSpec().build(6, 4).eval()
    model.output.weight.data *= 6
    return model


class Passing(CtcHead):
    """A head whose logits are its input."""

    def log_probs(self, x: Tensor) -> Tensor:
        return x.log_softmax(-1)


def passing(vocab: int) -> CtcHead:
    return Passing(CtcSpec(), vocab, vocab).eval()


def greedy(log_probs: Tensor, lengths: list[int]) -> list[Hypothesis]:
    """What the search finds in log-probabilities (B, T, V)."""
    search = CtcGreedySearch(passing(log_probs.shape[-1]))
    return [found for (found,) in search.decode(log_probs, torch.tensor(lengths))]


def test_greedy_drops_repetitions_and_blanks() -> None:
    log_probs = from_paths([[0, 1, 1, 0, 1, 2, 2, 0], [3, 3, 3, 1, 1, 1, 1, 1]])
    first, second = greedy(log_probs, [8, 3])
    assert (first.tokens, first.frames) == ((1, 1, 2), (1, 4, 5))
    assert first.score == pytest.approx(8 * math.log(0.7))
    assert first.log_probs == pytest.approx([math.log(0.7)] * 3)
    assert (second.tokens, second.frames) == ((3,), (0,))
    assert second.score == pytest.approx(3 * math.log(0.7))


def test_greedy_without_frames() -> None:
    assert greedy(torch.zeros(1, 0, 4), [0]) == [Hypothesis()]


def test_a_run_over_the_edge_of_a_chunk_is_one_token() -> None:
    """The state says which token the last frame had."""
    search = CtcGreedySearch(passing(4))
    frames = torch.nn.functional.one_hot(torch.tensor([1, 1, 0, 1])).float()
    frames = torch.nn.functional.pad(frames, (0, 2)) * 9
    state = search.advance(search.init_state(), frames[:1])
    assert (state.last_token, state.num_frames) == (1, 1)
    state = search.advance(state, frames[1:2])
    assert state.hypothesis.tokens == (1,)
    (found,) = search.hypotheses(search.advance(state, frames[2:]))
    assert (found.tokens, found.frames) == ((1, 1), (0, 3))


def beam(log_probs: Tensor, lengths: list[int], beam_size: int = 10) -> list[list[Hypothesis]]:
    """What the beam search finds in log-probabilities (B, T, V)."""
    search = CtcBeamSearch(passing(log_probs.shape[-1]), beam_size)
    return search.decode(log_probs, torch.tensor(lengths))


@pytest.mark.parametrize("beam_size", [1, 3])
@settings(max_examples=20)
@given(cuts=st.lists(st.integers(0, 24), max_size=5).map(sorted), seed=st.integers(0, 99))
def test_chunks_equal_the_whole(beam_size: int, cuts: list[int], seed: int) -> None:
    search: CtcGreedySearch | CtcBeamSearch = CtcGreedySearch(head())
    if beam_size > 1:
        search = CtcBeamSearch(head(), beam_size)
    x = torch.randn(24, 6, generator=torch.Generator().manual_seed(seed))
    state = search.init_state()
    for start, end in itertools.pairwise([0, *cuts, 24]):
        state = search.advance(state, x[start:end])
    (found,) = search.decode(x.unsqueeze(0), torch.tensor([24]))
    assert len(found) == beam_size
    for chunked, whole in zip(search.hypotheses(state), found, strict=True):
        assert (chunked.tokens, chunked.frames) == (whole.tokens, whole.frames)
        assert chunked.score == pytest.approx(whole.score, rel=1e-5)


def test_search_of_a_batch_ignores_padding() -> None:
    search = CtcGreedySearch(head())
    x, lengths = torch.randn(3, 9, 6), [9, 4, 0]
    found = search.decode(x, torch.tensor(lengths))
    for (own,), row, length in zip(found, x, lengths, strict=True):
        ((alone,),) = search.decode(row[None, :length], torch.tensor([length]))
        assert (own.tokens, own.frames) == (alone.tokens, alone.frames)
    assert found[2] == [Hypothesis()]


@settings(max_examples=20)
@given(frames=st.integers(0, 5), seed=st.integers(0, 99))
def test_wide_beam_sums_over_all_alignments(frames: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    log_probs = torch.randn(1, frames, 3, generator=generator).log_softmax(-1)
    expected = exact_scores(log_probs[0])
    (found,) = beam(log_probs, [frames], beam_size=1000)
    assert {h.tokens for h in found} == set(expected)
    assert len(found) == len(expected)
    for hypothesis in found:
        assert hypothesis.score == pytest.approx(expected[hypothesis.tokens], abs=1e-5)
        assert hypothesis.frames == best_frames(log_probs[0], hypothesis.tokens)
        rows = log_probs[0, list(hypothesis.frames), list(hypothesis.tokens)]
        assert list(hypothesis.log_probs) == pytest.approx(rows.tolist())
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


@settings(max_examples=20)
@given(seed=st.integers(0, 99))
def test_narrow_beam_keeps_part_of_the_alignments(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    log_probs = (2 * torch.randn(1, 6, 3, generator=generator)).log_softmax(-1)
    expected = exact_scores(log_probs[0])
    (found,) = beam(log_probs, [6], beam_size=3)
    assert 1 <= len(found) <= 3
    assert all(h.score <= expected[h.tokens] + 1e-5 for h in found)
    assert found[0].score >= greedy(log_probs, [6])[0].score - 1e-5


def test_beam_finds_what_greedy_misses() -> None:
    """Blank has the best path, 0.6 x 0.6, and token 1 the best sum, 1 - 0.36."""
    log_probs = torch.tensor([[[0.6, 0.4], [0.6, 0.4]]]).log()
    assert greedy(log_probs, [2])[0].tokens == ()
    (found,) = beam(log_probs, [2])
    assert [h.tokens for h in found] == [(1,), ()]
    assert found[0].score == pytest.approx(math.log(0.64), abs=1e-5)


def test_beam_of_a_batch() -> None:
    """Lengths, number of hypotheses, frames of the tokens, tokens of probability 0."""
    log_probs = from_paths([[0, 1, 1, 0, 1, 2], [3, 0, 2, 1, 1, 1]])
    log_probs[:, :, 3] = torch.where(log_probs[:, :, 3] < -1, -math.inf, log_probs[:, :, 3])
    first, second = beam(log_probs, [6, 3], beam_size=3)
    assert len(first) == len(second) == 3
    assert (first[0].tokens, first[0].frames) == ((1, 1, 2), (1, 4, 5))
    assert (second[0].tokens, second[0].frames) == ((3, 2), (0, 2))
    assert all(h.score > -math.inf for h in first + second)


def test_the_state_of_a_beam_is_no_longer_than_it() -> None:
    search = CtcBeamSearch(head(), beam_size=4)
    state = search.advance(search.init_state(), torch.randn(50, 6))
    assert len(state.prefixes) == 4
    assert state.num_frames == 50


def test_beam_of_nothing() -> None:
    with pytest.raises(ValueError, match="beam_size: expected 1 or more, got 0"):
        CtcBeamSearch(head(), beam_size=0)
