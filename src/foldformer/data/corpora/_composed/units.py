"""The recordings of the units, 8 kHz, held in memory."""

from functools import cache

import numpy as np
import numpy.typing as npt
import soundfile

from foldformer.data.corpora._composed.index import FOLDER, load_index

RATE = 8000
"""Samples per second of all units."""

Int16 = npt.NDArray[np.int16]


@cache
def load_units(language: str) -> dict[str, Int16]:
    """{unit: samples (N,)} of a language; read once per process, not to be written to."""
    samples, _ = soundfile.read(FOLDER / f"{language}.flac", dtype="int16")
    samples.setflags(write=False)
    return {
        unit: samples[entry.start : entry.start + entry.length]
        for unit, entry in load_index(language).items()
    }
