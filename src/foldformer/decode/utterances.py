"""Evaluated utterances: what was said, what was written, and when; to and from JSON lines."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from foldformer.errors import InputError


@dataclass(frozen=True)
class Utterance:
    """One utterance: what it says, and what the model wrote."""

    id: str
    language: str
    reference: str
    hypothesis: str
    seconds: float = 0.0
    """Length of the recording."""
    spoken: tuple[tuple[str, float], ...] | None = None
    """Words of the recording and when each ends, in seconds, where the manifest knows it."""
    emitted: tuple[float, ...] | None = None
    """When a stream had heard enough to write each word of the hypothesis, in seconds from the
    start of the recording; None where the model heard the whole recording first."""


@dataclass(frozen=True)
class Evaluated:
    """The transcripts of a manifest.

    Attributes:
        utterances: longest first, or in the order of the file that they were read from.
        audio_seconds: of speech.
        seconds: that it took, features included; None of transcripts that were read from a file.
    """

    utterances: list[Utterance]
    audio_seconds: float
    seconds: float | None


@dataclass(frozen=True)
class Written:
    """What a line of a file of transcripts gives: the words, and when a stream had them."""

    hypothesis: str
    emitted: tuple[float, ...] | None = None


def write_utterances(path: Path, utterances: Sequence[Utterance]) -> None:
    """One JSON object a line; what is not known is left out."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for utterance in utterances:
            known = {key: value for key, value in asdict(utterance).items() if value is not None}
            file.write(f"{json.dumps(known, ensure_ascii=False)}\n")


def read_transcripts(path: Path) -> dict[str, Written]:
    """{id: transcript} of JSON lines with `id` and `hypothesis`, as `write_utterances` writes them.

    Raises:
        InputError: there is no such file, a line is no such object, or an id occurs twice.
    """
    found: dict[str, Written] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        id_, written = _transcript(line, where)
        if id_ in found:
            raise InputError(f"{where}: the utterance {id_!r} a second time; expected each id once")
        found[id_] = written
    return found


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8") as file:
            yield from file
    except (UnicodeDecodeError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise InputError(
            f"{path}: cannot be read as transcripts: {reason}; expected JSON lines with `id` and "
            "`hypothesis`"
        ) from None


def _transcript(line: str, where: str) -> tuple[str, Written]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):  # a number of thousands of digits; brackets
        raise InputError(
            f"{where}: is not JSON; expected an object with `id` and `hypothesis` on each line"
        ) from None
    data = data if isinstance(data, dict) else {}
    for key in ("id", "hypothesis"):
        if not isinstance(data.get(key), str):
            raise InputError(
                f"{where}: expected an object with the text {key!r}, as `id` and "
                "`hypothesis` of `foldformer evaluate --output`"
            )
    emitted = data.get("emitted")
    if emitted is None:
        return data["id"], Written(data["hypothesis"])
    times = emitted if isinstance(emitted, list) else []
    words = len(data["hypothesis"].split())
    numbers = tuple(time for each in times if (time := _seconds(each)) is not None)
    if not isinstance(emitted, list) or not len(numbers) == len(times) == words:
        raise InputError(
            f"{where}: expected {words} times in seconds in 'emitted', one a word of 'hypothesis'"
        )
    return data["id"], Written(data["hypothesis"], numbers)


def _seconds(time: object) -> float | None:
    """A time that JSON holds; None if it is none."""
    try:
        seconds = float(time) if isinstance(time, (int, float)) else math.nan
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None
