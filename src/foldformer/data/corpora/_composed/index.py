"""The index of the recorded units: what is said in each, and where it lies in the FLAC file."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "units"
"""Recordings, indices, credits; made by recipes/composed/make_units.py."""


@dataclass(frozen=True)
class Entry:
    """One recording: its words in the spelling of its language, its samples in the file."""

    words: str
    start: int
    length: int


@cache
def load_index(language: str) -> dict[str, Entry]:
    """{unit: entry} of a language; a unit is named as in Asterisk, such as `digits/20`."""
    with (FOLDER / f"{language}.tsv").open(encoding="utf-8", newline="") as file:
        return {
            row["unit"]: Entry(row["words"], int(row["start"]), int(row["length"]))
            for row in csv.DictReader(file, delimiter="\t")
        }
