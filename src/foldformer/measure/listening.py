"""What exports are measured on: real audio, in files that a process reads piece by piece."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foldformer.data.audio import SAMPLING_RATE, Samples, convert
from foldformer.data.corpora._composed.speech import composed_speech
from foldformer.data.features import fbank
from foldformer.data.pieces import pieces

LANGUAGE = "it"
"""Of the speech that is composed where no recordings are given."""

_LONGEST = 60.0
_FRAME = SAMPLING_RATE // 100


@dataclass(frozen=True)
class Listening:
    """Audio in files.

    Attributes:
        samples: float32 at 16 kHz.
        features: float32, 80 a frame.
        bounds: (first frame, frames) of each utterance.
    """

    samples: Path
    features: Path
    bounds: list[list[int]]

    @property
    def seconds(self) -> float:
        """Its length."""
        return sum(frames for _, frames in self.bounds) / 100


def prepare(folder: Path, recordings: Sequence[str | Path], seconds: float) -> Listening:
    """Write recordings, or composed speech if there are none, into a folder.

    Args:
        folder: it exists.
        recordings: files of any format that libsndfile reads; more than 30 s are cut.
        seconds: how much is composed, a minute at most.

    Raises:
        InputError: a recording cannot be read.
    """
    found: Iterable[Samples]
    if recordings:
        found = (
            convert(piece.samples, piece.sampling_rate, SAMPLING_RATE, piece.name)
            for recording in recordings
            for piece in pieces(recording)
        )
    else:
        found = composed_speech(LANGUAGE, min(seconds, _LONGEST))
    listening = Listening(folder / "samples.f32", folder / "features.f32", [])
    first = 0
    with listening.samples.open("wb") as samples_file, listening.features.open("wb") as file:
        for samples in found:
            features = fbank(samples)
            whole = np.zeros(len(features) * _FRAME, np.float32)
            whole[: len(samples)] = samples[: len(whole)]
            samples_file.write(whole.tobytes())
            file.write(features.tobytes())
            listening.bounds.append([first, len(features)])
            first += len(features)
    return listening
