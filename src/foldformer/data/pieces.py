"""A recording of any length in pieces, cut where it is quietest, in constant memory."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from foldformer.data.audio import SHORTEST, Samples, mono_blocks, name_of, open_audio
from foldformer.data.durations import LONGEST as LONGEST

_QUIET = 20
_FRAME = 0.01
"""Seconds of a frame of energy; a cut is in the middle of the quietest `_QUIET` of them."""


@dataclass(frozen=True)
class Piece:
    """A part of a recording.

    Attributes:
        name: of the recording, and where the piece begins, for messages.
        start: seconds from the start of the recording.
        end: the same, of its end.
        samples: (N,), mono, at the recording's own rate.
        sampling_rate: of the samples, in Hz.
    """

    name: str
    start: float
    end: float
    samples: Samples
    sampling_rate: int


def pieces(source: str | os.PathLike[str] | BinaryIO, longest: float = LONGEST) -> Iterator[Piece]:
    """The recording, whole if it lasts `longest` seconds at most, else cut into pieces.

    A cut is made between 2/3 of `longest` and `longest` seconds, in the middle of the quietest
    0.2 s. Nothing is lost but a rest shorter than 40 ms after the last cut.

    Args:
        source: a path, or an open binary file; any format of libsndfile.
        longest: seconds, 1 or more.

    Raises:
        InputError: the recording cannot be read, or ends too early; see `open_audio`.
        ValueError: `longest` is too small.
    """
    name = name_of(source)
    with open_audio(source) as file:
        yield from pieces_of(mono_blocks(file, name), file.samplerate, name, longest)


def pieces_of(
    blocks: Iterable[Samples], rate: int, name: str, longest: float = LONGEST
) -> Iterator[Piece]:
    """`pieces` of samples that come in blocks (N,) of any length.

    Args:
        blocks: one after the other, mono.
        rate: of the samples, in Hz.
        name: what to call them in an error.
        longest: seconds, 1 or more.

    Raises:
        ValueError: `longest` is too small.
    """
    if longest < 1:
        raise ValueError(f"longest: expected 1 second or more, got {longest}")
    start, most = 0, round(longest * rate)
    waiting = np.empty(0, np.float32)
    for block in blocks:
        waiting = np.concatenate([waiting, block])
        while len(waiting) > most:
            cut = _quietest(waiting[:most], rate, first=most * 2 // 3)
            yield _piece(name, start, waiting[:cut], rate)
            start, waiting = start + cut, waiting[cut:]
    if start == 0 or len(waiting) >= SHORTEST * rate:
        yield _piece(name, start, waiting, rate)


def _piece(name: str, start: int, samples: Samples, rate: int) -> Piece:
    seconds, end = start / rate, (start + len(samples)) / rate
    return Piece(f"{name}, from {seconds:.2f} s" if start else name, seconds, end, samples, rate)


def _quietest(samples: Samples, rate: int, first: int) -> int:
    """The sample in the middle of the quietest 0.2 s after sample `first`."""
    frame = max(round(rate * _FRAME), 1)
    count = (len(samples) - first) // frame
    energies = np.square(samples[first : first + count * frame], dtype=np.float64)
    width = min(_QUIET, count)
    sums = np.convolve(energies.reshape(count, frame).sum(axis=1), np.ones(width), "valid")
    return first + (int(sums.argmin()) + width // 2) * frame
