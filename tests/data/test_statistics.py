from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, Recording, SupervisionSegment
from lhotse.cut import MonoCut

from foldformer.data.audio import load_audio
from foldformer.data.features import fbank
from foldformer.data.selection import Selection, survey
from foldformer.data.statistics import feature_statistics
from foldformer.data.tokens import TokensSpec

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write noises of so many seconds, each louder than the one before; returns the manifest."""

    def make(*seconds: float) -> str:
        cuts = []
        for number, length in enumerate(seconds):
            path = tmp_path / f"{number}.wav"
            rng = np.random.default_rng(number)
            samples = 0.001 * 10**number * rng.standard_normal(int(16000 * length))
            soundfile.write(path, samples, 16000, subtype="FLOAT")
            recording = Recording.from_file(path, recording_id=str(number))
            said = SupervisionSegment(str(number), str(number), 0.0, length, text="one")
            cuts.append(MonoCut(str(number), 0.0, length, 0, [said], recording=recording))
        CutSet(cuts).to_file(tmp_path / "cuts.jsonl")
        return str(tmp_path / "cuts.jsonl")

    return make


def selection(longest: float) -> Selection:
    tokens = TokensSpec().build(["one"])
    return Selection(tokens=tokens, text="text", shortest=0.5, longest=longest, speed=1.0)


def test_they_are_those_of_what_is_used(write: Write, tmp_path: Path) -> None:
    path = write(1.0, 2.0, 0.3)  # the last is left out
    (tmp_path / "2.wav").write_bytes(b"damaged")
    mean, deviation = feature_statistics([survey(path, selection(30.0))])
    heard = [fbank(load_audio(tmp_path / f"{number}.wav")) for number in (0, 1)]
    frames = np.concatenate(heard).astype(np.float64)
    np.testing.assert_allclose(mean, frames.mean(axis=0), atol=1e-3)
    assert deviation == pytest.approx(np.sqrt(frames.var(axis=0).mean()), rel=1e-3)


def test_long_ones_count_where_there_are_no_others(write: Write) -> None:
    mean, deviation = feature_statistics([survey(write(61.0, 62.0), selection(90.0))])
    assert np.isfinite(mean).all()
    assert deviation > 0.1
    path = write(61.0, 1.0)
    mixed, _ = feature_statistics([survey(path, selection(90.0))])
    alone, _ = feature_statistics([survey(path, selection(30.0))])
    np.testing.assert_array_equal(mixed, alone)
