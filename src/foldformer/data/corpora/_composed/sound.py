"""Units to one recording: pauses, small differences of loudness, a noise floor.

Everything is made of integers and of IEEE products and sums, in a fixed order, so that the samples
are the same on every platform.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

import numpy as np
import numpy.typing as npt

from foldformer.data.corpora._composed.grammars import Word
from foldformer.data.corpora._composed.units import RATE, Int16

_BETWEEN_WORDS = (20, 250)  # pauses in ms: shortest, longest
_WITHIN_WORD = (20, 80)
_AT_THE_ENDS = (100, 400)
_RAMP = RATE * 5 // 1000  # fade of 5 ms at both ends of a unit, against clicks
_NOISE = (2, 12)  # largest sample of the noise floor; about -84 to -69 dB of full scale
_LOUDEST = 32_000


@dataclass(frozen=True)
class Placed:
    """Where a word lies in an utterance, in samples, from its first unit to its last."""

    word: Word
    start: int
    length: int


def assemble(
    words: Sequence[Word], units: Mapping[str, Int16], random: Random
) -> tuple[Int16, list[Placed]]:
    """One utterance (N,) of 16-bit samples at 8 kHz, and where its words lie.

    Pauses are 100-400 ms at the ends, 20-250 ms between words and 20-80 ms between the units of one
    written word. Each unit is up to 12 % louder or softer than the others, the whole up to 30 %.
    """
    pieces: list[tuple[int, Int16]] = []
    placed = []
    position = _milliseconds(random, _AT_THE_ENDS)
    for index, word in enumerate(words):
        position += _milliseconds(random, _BETWEEN_WORDS) if index else 0
        start = position
        for number, name in enumerate(word.units):
            position += _milliseconds(random, _WITHIN_WORD) if number else 0
            pieces.append((position, units[name]))
            position += len(units[name])
        placed.append(Placed(word, start, position - start))
    position += _milliseconds(random, _AT_THE_ENDS)
    sound = np.zeros(position)
    loudness = 0.7 + 0.6 * random.random()
    for start, samples in pieces:
        gain = loudness * (0.88 + 0.24 * random.random())
        sound[start : start + len(samples)] = _faded(samples) * gain
    peak = np.abs(sound).max()
    if peak > _LOUDEST:
        sound *= _LOUDEST / peak
    return np.rint(sound).astype(np.int16) + _noise(position, random), placed


def _milliseconds(random: Random, limits: tuple[int, int]) -> int:
    """A pause in samples, drawn between two limits in ms, short ones more often than long ones."""
    low, high = (limit * RATE // 1000 for limit in limits)
    return low + int(random.random() * random.random() * (high - low + 1))


def _faded(samples: Int16) -> npt.NDArray[np.float64]:
    sound = samples.astype(np.float64)
    ramp = np.arange(1, _RAMP + 1) / _RAMP
    sound[:_RAMP] *= ramp
    sound[-_RAMP:] *= ramp[::-1]
    return sound


def _noise(length: int, random: Random) -> Int16:
    """Quiet white noise (N,), triangular, never silent for long."""
    largest = _NOISE[0] + int(random.random() * (_NOISE[1] - _NOISE[0] + 1))
    table = _noise_table()
    start = int(random.random() * len(table))
    noise = np.take(table, np.arange(start, start + length), mode="wrap").astype(np.int32)
    return (noise * largest // 1024).astype(np.int16)


@cache
def _noise_table() -> Int16:
    """A minute of noise between -1024 and 1024 from numpy's frozen legacy generator."""
    state = np.random.RandomState(20101)
    dice = state.randint(-512, 513, size=(2, 60 * RATE + 1))
    noise: Int16 = dice.sum(axis=0).astype(np.int16)
    return noise
