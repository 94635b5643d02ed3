"""A tiny corpus of our own: tones and noise in FLAC at 8 kHz, with texts in two languages."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment

WORDS = [("one", "один"), ("two", "два"), ("three", "три"), ("four", "четыре"), ("five", "пять")]


def write_corpus(folder: Path, count: int = 12, rate: int = 8000, suffix: str = "flac") -> Path:
    """A manifest with relative paths, and its recordings, in `folder`; returns the manifest."""
    (folder / "audio").mkdir(parents=True)
    rng = np.random.default_rng(5)
    cuts = []
    for i in range(count):
        seconds = 0.5 + 0.25 * i
        times = np.arange(int(seconds * rate)) / rate
        samples = 0.2 * np.sin(2 * np.pi * (200 + 50 * i) * times)
        samples += 0.02 * rng.standard_normal(len(times))
        path = folder / "audio" / f"u{i}.{suffix}"
        soundfile.write(path, samples, rate)
        recording = Recording.from_file(path, recording_id=f"u{i}")
        recording.sources[0].source = f"audio/u{i}.{suffix}"
        words = [WORDS[(i + j) % 5] for j in range(1 + i // 2)]
        supervision = SupervisionSegment(
            id=f"u{i}",
            recording_id=f"u{i}",
            start=0.0,
            duration=recording.duration,
            text=" ".join(en for en, _ in words),
            language="en",
            custom={"translation_ru": " ".join(ru for _, ru in words), "level": i},
        )
        cuts.append(
            MonoCut(
                id=f"u{i}",
                start=0.0,
                duration=recording.duration,
                channel=0,
                recording=recording,
                supervisions=[supervision],
            )
        )
    manifest = folder / "cuts.jsonl.gz"
    CutSet(cuts).to_file(manifest)
    return manifest


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def manifest_16k(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus_16k"), count=4, rate=16000, suffix="wav")


@pytest.fixture(scope="session")
def longer_manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes: enough for several classes of duration."""
    return write_corpus(tmp_path_factory.mktemp("longer"), count=30)
