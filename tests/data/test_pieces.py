"""Pieces of a recording together are the recording, and cuts fall into its pauses."""

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foldformer.data.audio import load_audio
from foldformer.data.pieces import Piece, pieces
from foldformer.errors import InputError

RATE = 8000


def noise(seconds: float, rate: int = RATE) -> NDArray[np.float32]:
    rng = np.random.default_rng(round(seconds * 1000))
    return rng.uniform(-0.5, 0.5, round(seconds * rate)).astype(np.float32)


def wav(samples: NDArray[np.float32], rate: int = RATE) -> io.BytesIO:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="FLOAT")
    file.seek(0)
    return file


@given(seconds=st.floats(0.1, 20), longest=st.floats(1, 6), rate=st.sampled_from([8000, 11025]))
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
def test_together_they_are_the_recording(seconds: float, longest: float, rate: int) -> None:
    samples = noise(seconds, rate)
    found = list(pieces(wav(samples, rate), longest))
    joined = np.concatenate([piece.samples for piece in found])
    np.testing.assert_array_equal(joined, samples[: len(joined)])
    assert len(samples) - len(joined) < 0.04 * rate
    starts = np.cumsum([0, *(len(piece.samples) for piece in found)])
    assert [piece.start for piece in found] == pytest.approx(list(starts[:-1] / rate))
    assert found[-1].end == pytest.approx(len(joined) / rate)
    lengths = [len(piece.samples) / rate for piece in found]
    assert max(lengths) <= longest + 1 / rate
    assert all(length >= longest * 2 / 3 - 1 / rate for length in lengths[:-1])


def test_cuts_are_made_in_pauses() -> None:
    samples = noise(60)
    pauses = [(8.2, 8.6), (17.0, 17.4), (24.5, 24.9), (33.9, 34.2), (42.0, 42.5), (51.3, 51.7)]
    for start, end in pauses:
        samples[round(start * RATE) : round(end * RATE)] *= 0.01
    cuts = [piece.start for piece in pieces(wav(samples), longest=10)][1:]
    assert len(cuts) == len(pauses)
    for cut, (start, end) in zip(cuts, pauses, strict=True):
        assert start < cut < end


@pytest.mark.parametrize("count", [0, 1, 10 * RATE])
def test_what_is_short_enough_stays_whole(count: int) -> None:
    (piece,) = pieces(wav(noise(10)[:count]), longest=10)
    assert (piece.name, piece.start, len(piece.samples)) == ("audio stream", 0.0, count)
    assert piece.sampling_rate == RATE


def test_a_later_piece_says_where_it_begins(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(3), RATE)
    names = [piece.name for piece in pieces(tmp_path / "a.wav", longest=2)]
    assert names[0] == str(tmp_path / "a.wav")
    assert names[1].startswith(f"{tmp_path / 'a.wav'}, from 1.")


def test_channels_are_averaged_as_in_the_whole() -> None:
    stereo = np.stack([noise(3), noise(3.0001)[: 3 * RATE]], axis=1)
    joined = np.concatenate([piece.samples for piece in pieces(wav(stereo), longest=1)])
    whole = load_audio(wav(stereo), RATE)
    np.testing.assert_array_equal(joined, whole[: len(joined)])


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    """Ten minutes are 19 MB of floats; pieces of 5 s have 0.16 MB."""
    soundfile.write(tmp_path / "long.wav", noise(600), RATE)
    tracemalloc.start()
    for piece in pieces(tmp_path / "long.wav", longest=5):
        assert len(piece.samples) <= 5 * RATE
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2e6


def test_damage_is_found_when_it_is_reached(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, noise(60), RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found: list[Piece] = []
    with pytest.raises(InputError, match=r"a\.flac: cannot be read as audio \(.*lost sync\)"):
        found.extend(pieces(path, longest=5))
    assert 3 < len(found) < 10


def test_pieces_of_no_length() -> None:
    with pytest.raises(ValueError, match=r"longest: expected 1 second or more, got 0\.5"):
        next(pieces(wav(noise(1)), longest=0.5))
