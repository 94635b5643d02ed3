"""How transcripts are written: text, JSON lines, SRT, WebVTT."""

import json
import math
from abc import ABC, abstractmethod
from dataclasses import asdict
from typing import ClassVar

from foldformer.decode.transcript import Segment, Transcript
from foldformer.decode.words import words_of
from foldformer.report.subtitles import cues_of, srt, vtt


class Writer(ABC):
    """Writes one recording, segment after segment: `begin`, `segment` for each, `end`.

    Attributes:
        suffix: of a file that holds what is written.
    """

    suffix: ClassVar[str]

    def begin(self) -> str:
        """What stands before the first segment."""
        return ""

    @abstractmethod
    def segment(self, segment: Segment) -> str:
        """What is written of the next segment."""

    def end(self) -> str:
        """What stands after the last segment."""
        return ""


class LiveWriter(Writer):
    """One that can write partial results, too."""

    @abstractmethod
    def partial(self, segment: Segment) -> str:
        """What is written of a segment that is not at its end yet."""


class TextWriter(LiveWriter):
    """A line for each segment in which there are words; an empty one if there are none at all.

    Partial results stand on lines of their own, behind the seconds after which they were known.

    Args:
        name: stands before each line, and a tab.
        alternatives: write every transcript of a segment, each with its score before it.
    """

    suffix = ".txt"

    def __init__(self, name: str = "", alternatives: bool = False) -> None:
        self._name = f"{name}\t" if name else ""
        self._alternatives = alternatives
        self._empty = True

    def segment(self, segment: Segment) -> str:
        """See Writer."""
        if self._alternatives:
            lines = [f"{each.score:.3f}\t{each.text}" for each in segment.transcripts]
        else:
            lines = [segment.transcripts[0].text] if segment.transcripts[0].text else []
        self._empty = self._empty and not lines
        return "".join(f"{self._name}{line}\n" for line in lines)

    def partial(self, segment: Segment) -> str:
        """See LiveWriter."""
        return f"{self._name}{segment.end:7.2f} s  {segment.transcripts[0].text}\n"

    def end(self) -> str:
        """See Writer."""
        return f"{self._name}\n" if self._empty else ""


class JsonWriter(LiveWriter):
    """A JSON object a line for each segment; partial results have `partial` in place of `text`.

    Args:
        file: what the recording is called.
        alternatives: with every transcript of a segment, not the best alone.
        ascii_only: escape all other characters.
    """

    suffix = ".jsonl"

    def __init__(self, file: str, alternatives: bool = False, ascii_only: bool = False) -> None:
        self._file = file
        self._alternatives = alternatives
        self._ascii_only = ascii_only

    def segment(self, segment: Segment) -> str:
        """See Writer."""
        end = segment.end
        found: dict[str, object] = {"file": self._file, "start": segment.start, "end": end}
        found |= _plain(segment.transcripts[0], end)
        if self._alternatives:
            found["alternatives"] = [_plain(each, end) for each in segment.transcripts]
        return json.dumps(_told(found), ensure_ascii=self._ascii_only) + "\n"

    def partial(self, segment: Segment) -> str:
        """See LiveWriter."""
        text = segment.transcripts[0].text
        found = {"file": self._file, "start": segment.start, "end": segment.end, "partial": text}
        return json.dumps(found, ensure_ascii=self._ascii_only) + "\n"


def _told(value: object) -> object:
    """JSON has no NaN: a score that is not told is null."""
    if isinstance(value, dict):
        return {key: _told(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_told(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _plain(transcript: Transcript, end: float) -> dict[str, object]:
    words = [asdict(word) for word in words_of(transcript, end)]
    return asdict(transcript) | {"words": words}


class SrtWriter(Writer):
    """Subtitles in SubRip's form."""

    suffix = ".srt"

    def __init__(self) -> None:
        self._number = 0

    def segment(self, segment: Segment) -> str:
        """See Writer."""
        words = words_of(segment.transcripts[0], segment.end)
        written = []
        for cue in cues_of(words, segment.start, segment.end):
            self._number += 1
            written.append(srt(cue, self._number))
        return "".join(written)


class VttWriter(Writer):
    """Subtitles in WebVTT's form."""

    suffix = ".vtt"

    def begin(self) -> str:
        """See Writer."""
        return "WEBVTT\n\n"

    def segment(self, segment: Segment) -> str:
        """See Writer."""
        words = words_of(segment.transcripts[0], segment.end)
        return "".join(vtt(cue) for cue in cues_of(words, segment.start, segment.end))
