"""The recorded units of a language: one FLAC file and an index, inside this package."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

FOLDER = Path(__file__).parents[1] / "units"
"""Recordings, indices, credits."""

RATE = 8000
"""Samples per second of all units."""

Int16 = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Unit:
    """One recording: what is said in it, in the spelling of its language, and its samples (N,)."""

    name: str
    words: str
    samples: Int16


@cache
def load_units(language: str) -> dict[str, Unit]:
    """All units of a language by name, such as `digits/20`; read once per process."""
    samples, _ = soundfile.read(FOLDER / f"{language}.flac", dtype="int16")
    samples.setflags(write=False)
    units = {}
    with (FOLDER / f"{language}.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            start, length = int(row["start"]), int(row["length"])
            units[row["unit"]] = Unit(row["unit"], row["words"], samples[start : start + length])
    return units
