"""Recordings to samples: any file or array becomes mono float32 at one rate, or a clear error."""

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from foldformer.data.durations import SAMPLING_RATE as SAMPLING_RATE
from foldformer.data.scale import check_scale
from foldformer.errors import InputError

SHORTEST = 0.04
"""Seconds of one encoder frame; nothing shorter can be recognised."""

RATES = (1000, 1_000_000)
"""The least and the greatest sampling rate in Hz; beyond them a header is damaged."""

_UNKNOWN_LENGTH = 2**62  # what libsndfile says where a header does not know

_CHANNELS = 8  # that a block of few points in time may have; more than points: it lies across

Samples = npt.NDArray[np.float32]

SUFFIXES = frozenset((
    ".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc",
    ".au", ".snd", ".caf", ".w64", ".rf64", ".sph", ".nist", ".voc", ".paf", ".pvf", ".svx",
    ".iff", ".avr", ".ircam", ".wve", ".htk", ".sds", ".sd2",
))  # fmt: skip
"""How names of recordings end, in lower case: the formats of libsndfile."""


def load_audio(
    source: str | os.PathLike[str] | BinaryIO, sampling_rate: int = SAMPLING_RATE
) -> Samples:
    """The samples (N,) of a recording: mono, float32, full scale 1.0, at `sampling_rate`.

    Channels are averaged; another rate is converted by soxr ("HQ").

    Args:
        source: a path, or an open binary file; any format of libsndfile.
        sampling_rate: samples per second of the result.

    Raises:
        InputError: there is no such file, it is a folder, empty, not audio, not readable,
            truncated, or its samples fail `check_samples`.
    """
    with open_audio(source) as file:
        blocks = list(mono_blocks(file, name_of(source)))
        rate = file.samplerate
    samples = np.concatenate([np.empty(0, np.float32), *blocks])
    return convert(samples, rate, sampling_rate, name_of(source))


@contextmanager
def open_audio(source: str | os.PathLike[str] | BinaryIO) -> Iterator[soundfile.SoundFile]:
    """The recording, open for reading; what cannot seek (a pipe) is copied to a temporary file.

    Raises:
        InputError: as for `load_audio`, also while it is read.
    """
    name = name_of(source)
    with ExitStack() as stack:
        opened: str | bytes | BinaryIO
        if isinstance(source, (str, os.PathLike)):
            path = Path(source)
            opened = stack.enter_context(path.open("rb")) if _is_pipe(path) else _place(path)
        else:
            opened = source
        if not isinstance(opened, (str, bytes)) and not opened.seekable():
            opened = stack.enter_context(_copied(opened, name))
        try:
            file = stack.enter_context(_Sequential(opened))
            check_rate(file.samplerate, name)
            yield file
        except (soundfile.SoundFileError, OSError) as error:
            raise InputError(
                f"{name}: cannot be read as audio ({_reason(error)}); expected WAV, FLAC, Ogg or "
                f"another format of libsndfile: convert it first"
            ) from None


def _place(path: Path) -> str | bytes:
    """The path for soundfile, which takes names that are not UTF-8 as bytes alone."""
    return str(path) if sys.platform == "win32" else os.fsencode(path)


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]  # soundfile is not typed
    """A file that is read from start to end.

    soundfile seeks after every read where the format says that it can. Some cannot: FLAC whose
    length is unknown because it was written into a pipe, and DWVW.
    """

    def seekable(self) -> bool:
        return False


def name_of(source: str | os.PathLike[str] | BinaryIO) -> str:
    """What to call a recording in an error."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    return str(getattr(source, "name", "audio stream"))


def mono_blocks(file: soundfile.SoundFile, name: str) -> Iterator[Samples]:
    """The samples of an open recording, averaged over channels, a second (N,) at a time.

    Raises:
        InputError: it ends before the number of samples that its header announces.
    """
    read = 0
    while len(block := file.read(file.samplerate, dtype="float32", always_2d=True)):
        read += len(block)
        yield block.mean(axis=1)
    if read < file.frames < _UNKNOWN_LENGTH:
        raise InputError(
            f"{name}: is truncated: it ends after {read / file.samplerate:.2f} s "
            f"of {file.frames / file.samplerate:.2f} s; copy it again"
        )


def _is_pipe(path: Path) -> bool:
    """Check a file before libsndfile does, whose messages say less; True for a named pipe."""
    expected = "expected an audio file"
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such file; {expected}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {expected}") from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path}: is a folder; {expected}")
    if stat.S_ISREG(status.st_mode) and status.st_size == 0:
        raise InputError(f"{path}: is empty (0 bytes); {expected}")
    return stat.S_ISFIFO(status.st_mode)


@contextmanager
def _copied(source: BinaryIO, name: str) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(source, file, 2**20)
        if file.tell() == 0:
            raise InputError(f"{name}: is empty (0 bytes); expected an audio file")
        file.seek(0)
        yield file


def _reason(error: Exception) -> str:
    text = str(getattr(error, "error_string", error) or error)
    return text.strip().rstrip(".")


def to_mono_16k(samples: npt.ArrayLike, sampling_rate: int) -> Samples:
    """`convert` to 16 kHz, for arrays from a microphone or another library.

    Args:
        samples: (N,), or (N, channels) with one row per point in time, as soundfile gives them;
            floats of full scale 1.0, or signed integers of any width.
        sampling_rate: samples per second of `samples`.

    Raises:
        InputError: see `convert`.
    """
    return convert(samples, sampling_rate, SAMPLING_RATE)


def convert(
    samples: npt.ArrayLike, sampling_rate: int, target: int, name: str = "samples"
) -> Samples:
    """The samples (N,) averaged over channels and resampled to `target`, as float32.

    Args:
        samples: (N,) or (N, channels), floats of full scale 1.0 or signed integers.
        sampling_rate: samples per second of `samples`.
        target: samples per second of the result.
        name: what to call the samples in an error.

    Raises:
        InputError: a rate that is not positive, another shape or type, or `check_samples` fails.
    """
    for rate in (sampling_rate, target):
        check_rate(rate, name)
    mono = mono_floats(samples, name)
    check_samples(mono, sampling_rate, name)
    return mono if sampling_rate == target else resample(mono, sampling_rate, target)


def mono_floats(samples: npt.ArrayLike, name: str = "samples") -> Samples:
    """The samples (N,) averaged over channels, float32 of full scale 1.0, of any number.

    Raises:
        InputError: another shape or type than `convert` takes.
    """
    array = np.asarray(samples)
    if np.issubdtype(array.dtype, np.signedinteger):
        array = array / -float(np.iinfo(array.dtype).min)
    elif not np.issubdtype(array.dtype, np.floating):
        raise InputError(
            f"{name}: the samples are of type {array.dtype}; expected floats or signed integers"
        )
    if array.ndim == 2 and array.shape[1] <= max(array.shape[0], _CHANNELS):
        array = array.mean(axis=1)
    elif array.ndim != 1:
        raise InputError(
            f"{name}: the samples have shape {array.shape}; expected (N,) or (N, channels), "
            f"one row per point in time"
        )
    return np.ascontiguousarray(array, dtype=np.float32)


def check_rate(rate: float, name: str = "samples") -> None:
    """Refuse a sampling rate that no recording has: a single second of it may fill the memory.

    Raises:
        InputError: it is not within `RATES`.
    """
    if not RATES[0] <= rate <= RATES[1]:
        raise InputError(
            f"{name}: the sampling rate is {rate} Hz; expected {RATES[0]} to {RATES[1]}"
        )


def check_samples(samples: Samples, sampling_rate: int, name: str = "samples") -> None:
    """Refuse samples (N,) that no features can be made of.

    Raises:
        InputError: fewer than one encoder frame (40 ms), NaN or infinity, or numbers so large
            that they were never divided by the full scale.
    """
    if len(samples) == 0:
        raise InputError(f"{name}: holds no samples; expected at least {SHORTEST * 1000:.0f} ms")
    seconds = len(samples) / sampling_rate
    if seconds < SHORTEST:
        raise InputError(
            f"{name}: lasts {seconds * 1000:.1f} ms ({len(samples)} samples at {sampling_rate} "
            f"Hz); expected at least {SHORTEST * 1000:.0f} ms"
        )
    peak = float(np.max(np.abs(samples)))  # NaN and infinity survive both
    if not np.isfinite(peak):
        bad = int(np.flatnonzero(~np.isfinite(samples))[0])
        raise InputError(
            f"{name}: sample {bad} ({bad / sampling_rate:.3f} s) is {samples[bad]}; "
            f"expected finite numbers: the recording is damaged"
        )
    check_scale(peak, name)


def resample(samples: Samples, sampling_rate: float, target: float) -> Samples:
    """Samples (N,) at another rate, by soxr's "HQ" filter; the ratio may be any number."""
    resampled: Samples = soxr.resample(samples, sampling_rate, target, quality="HQ")
    return resampled
