"""Recordings as an export hears them; what a live stream does without."""

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foldformer.data.audio import (
    SAMPLING_RATE,
    SHORTEST,
    Samples,
    check_samples,
    convert,
    load_audio,
    mono_blocks,
    name_of,
    open_audio,
    to_mono_16k,
)
from foldformer.data.pieces import Piece, pieces
from foldformer.errors import InputError

Audio: TypeAlias = (
    "str | Path | BinaryIO | array[float] "
    "| NDArray[np.float32] | NDArray[np.float64] | NDArray[np.int16]"
)


def samples_of(audio: Audio, sampling_rate: int | None) -> Samples:
    """The samples (N,) of a recording at 16 kHz.

    Raises:
        InputError: the recording is missing, damaged, empty or too short, or samples come without
            their rate.
    """
    if isinstance(audio, array):
        audio = np.asarray(audio)
    if not isinstance(audio, np.ndarray):
        _check_readable(audio)
        return load_audio(audio)
    if sampling_rate is None:
        raise InputError("sampling_rate: missing; samples do not know their own")
    return to_mono_16k(audio, sampling_rate)


def _check_readable(audio: object) -> None:
    """That it is a path or a file.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(audio, (str, Path)) and not hasattr(audio, "seekable"):
        raise InputError(
            f"audio: expected a path, a file object, or for `transcribe` samples in a numpy array, "
            f"got {type(audio).__name__}"
        )


def pieces_of(audio: str | Path | BinaryIO, longest: float) -> Iterator[tuple[Piece, Samples]]:
    """The pieces of a recording of any length, and the samples (N,) of each at 16 kHz."""
    _check_readable(audio)
    for piece in pieces(audio, longest):
        yield piece, convert(piece.samples, piece.sampling_rate, SAMPLING_RATE, piece.name)


def blocks_of(audio: str | Path | BinaryIO) -> Iterator[tuple[Samples, int]]:
    """A recording, a second at a time, each checked."""
    _check_readable(audio)
    name, start = name_of(audio), 0
    with open_audio(audio) as file:
        for block in mono_blocks(file, name):
            if start == 0 or len(block) >= SHORTEST * file.samplerate:
                seconds = start / file.samplerate
                where = f"{name}, from {seconds:.2f} s" if start else name
                check_samples(block, file.samplerate, where)
            yield block, file.samplerate
            start += len(block)
        if start == 0:
            check_samples(np.empty(0, np.float32), file.samplerate, name)
