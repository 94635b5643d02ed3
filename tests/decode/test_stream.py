"""A stream writes what the whole recording would give, however its samples are cut."""

import itertools
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foldformer.decode.recognizer import Recognizer
from foldformer.errors import InputError

Make = Callable[..., Recognizer]
few = settings(max_examples=12, suppress_health_check=list(HealthCheck))


def sound(seconds: float, rate: int = 16000, seed: int = 0) -> NDArray[np.float32]:
    """Noise whose loudness and colour change a few times a second."""
    rng = np.random.default_rng(seed)
    count = int(seconds * rate)
    loudness = np.repeat(rng.uniform(0, 0.3, count // 1600 + 1), 1600)[:count]
    tone = np.sin(np.cumsum(np.repeat(rng.uniform(0.05, 2, count // 1600 + 1), 1600))[:count])
    return (loudness * (tone + 0.3 * rng.standard_normal(count))).astype(np.float32)


def pieces(samples: NDArray[np.float32], cuts: list[int]) -> list[NDArray[np.float32]]:
    return np.split(samples, sorted(cut % (len(samples) + 1) for cut in cuts))


cuts_of = st.lists(st.integers(0, 10**6), max_size=12)


@pytest.mark.parametrize(("head", "beam"), [("ctc", 1), ("ctc", 3), ("transducer", 3)])
@given(cuts=cuts_of, chunk=st.integers(1, 9), seconds=st.floats(0.5, 1.5))
@few
def test_any_way_of_cutting_gives_the_result_of_the_whole(
    recognizer: Make, head: str, beam: int, cuts: list[int], chunk: int, seconds: float
) -> None:
    samples = sound(seconds)
    made = recognizer(head, beam)
    whole = made.transcribe(samples, 16000, chunk=chunk)
    stream = made.stream(chunk=chunk)
    for piece in pieces(samples, cuts):
        stream.accept(piece)
    streamed = stream.finish()
    assert streamed.tokens == whole.tokens
    assert streamed.times == whole.times
    assert streamed.text == whole.text
    assert streamed.score == pytest.approx(whole.score, rel=1e-4)


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
def test_resampled_on_the_way_it_is_the_same(recognizer: Make, rate: int) -> None:
    samples = sound(2.0, rate)
    made = recognizer("ctc")
    whole = made.transcribe(samples, rate, chunk=4)
    assert whole.tokens
    for size in (137, 1000, 80000):
        stream = made.stream(chunk=4)
        for start in range(0, len(samples), size):
            stream.accept(samples[start : start + size], rate)
        assert stream.finish().tokens == whole.tokens
        assert stream.result.score == pytest.approx(whole.score, rel=1e-4)


def test_the_examples_say_something(recognizer: Make) -> None:
    """Otherwise the comparisons above would be empty."""
    for head in ("ctc", "transducer"):
        found = {recognizer(head).transcribe(sound(1.5, seed=s), 16000).text for s in range(3)}
        assert len(found) > 1, head
        assert max(map(len, found)) > 3, head


def test_text_comes_as_chunks_are_complete(recognizer: Make) -> None:
    stream = recognizer("ctc").stream(chunk=5)
    texts, samples = [], sound(1.6)
    for start in range(0, len(samples), 800):
        texts.append(stream.accept(samples[start : start + 800]).tokens)
    # Each text begins with the one before; none comes before 5 frames of 40 ms are complete.
    assert all(later[: len(text)] == text for text, later in itertools.pairwise(texts))
    assert texts[3] == ()
    assert texts[-1] != ()
    assert len(stream.finish().tokens) >= len(texts[-1])


def test_a_shorter_memory_is_another_stream(recognizer: Make) -> None:
    samples = sound(2.0)
    scores = []
    for left_context in (None, 12, 2):
        stream = recognizer("ctc").stream(chunk=4, left_context=left_context)
        stream.accept(samples)
        scores.append(stream.finish().score)
    assert scores[0] == scores[1]  # the model's own is 12
    assert scores[0] != scores[2]


@pytest.mark.parametrize("head", ["ctc", "transducer"])
def test_a_cut_forgets_what_was_found(recognizer: Make, head: str) -> None:
    """The encoder goes on, so the tokens of CTC are those without a cut; times count on."""
    samples = sound(4.0)
    made = recognizer(head)
    whole = made.transcribe(samples, 16000, chunk=4)
    stream = made.stream(chunk=4)
    found = []
    for start in range(0, len(samples), 16000):
        stream.accept(samples[start : start + 16000])
        found.append(stream.cut())
        assert stream.result.tokens == ()
    found.append(stream.finish())
    times = [time for part in found for time in part.times]
    assert times == sorted(times)
    assert sum(1 for part in found if part.tokens) > 2
    if head == "ctc":  # a run of one token over a cut is written on both sides
        joined = list(zip(times, [t for part in found for t in part.tokens], strict=True))
        assert set(zip(whole.times, whole.tokens, strict=True)) <= set(joined)
        assert len(joined) <= len(whole.tokens) + 4


def test_memory_does_not_grow_in_a_stream_that_is_cut(recognizer: Make) -> None:
    made, samples = recognizer("ctc"), sound(1.0)
    stream = made.stream(chunk=8)
    sizes = []
    for _ in range(30):
        stream.accept(samples)
        stream.cut()
        sizes.append(len(pickle.dumps((stream._encoder_state, stream._search_state))))
    assert max(sizes[5:]) <= sizes[5] + 100


def test_channels_and_integers_are_taken_too(recognizer: Make) -> None:
    samples = (sound(1.0) * 20000).astype(np.int16)
    results = []
    for given_samples in (samples, samples / 32768, np.stack([samples, samples], axis=1)):
        stream = recognizer("ctc").stream()
        stream.accept(given_samples)
        results.append(stream.finish().tokens)
    assert results[0] == results[1] == results[2] != ()


@pytest.mark.parametrize("count", [0, 1, 400, 559])
def test_too_little_to_write(recognizer: Make, count: int) -> None:
    stream = recognizer("transducer").stream()
    stream.accept(sound(1.0)[:count])
    result = stream.finish()
    assert (result.text, result.tokens, result.times) == ("", (), ())


def test_nothing_at_all(recognizer: Make) -> None:
    assert recognizer().stream().finish().text == ""


def test_a_finished_stream_stays_so(recognizer: Make) -> None:
    stream = recognizer("ctc").stream()
    stream.accept(sound(1.0))
    first = stream.finish()
    assert stream.finish() == first == stream.result
    with pytest.raises(ValueError, match="the stream is finished; begin another one"):
        stream.accept(sound(1.0))


@pytest.mark.parametrize("rate", [16000, 8000])
def test_samples_that_are_refused_leave_the_stream_as_it_was(recognizer: Make, rate: int) -> None:
    samples = sound(1.0, rate)
    made = recognizer("ctc")
    stream = made.stream(chunk=4)
    stream.accept(samples[: rate // 2], rate)
    for bad in (np.nan, np.inf):
        with pytest.raises(InputError, match="NaN or infinite samples; expected finite numbers"):
            stream.accept(np.full(100, bad, np.float32), rate)
    with pytest.raises(InputError, match=f"began at {rate} Hz, now 44100 Hz"):
        stream.accept(samples, 44100)
    with pytest.raises(InputError, match=r"the samples have shape \(2, 3, 4\)"):
        stream.accept(np.zeros((2, 3, 4)), rate)
    stream.accept(samples[rate // 2 :], rate)
    assert stream.finish().tokens == made.transcribe(samples, rate, chunk=4).tokens != ()


@pytest.mark.parametrize("rate", [0, -16000])
def test_a_rate_that_is_none(recognizer: Make, rate: int) -> None:
    with pytest.raises(InputError, match="expected 1000 to 1000000"):
        recognizer().stream().accept(sound(0.1), rate)


def test_a_chunk_of_nothing(recognizer: Make) -> None:
    with pytest.raises(ValueError, match="chunk: expected 1 encoder frame or more, got 0"):
        recognizer().stream(chunk=0)
