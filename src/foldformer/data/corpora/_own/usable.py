"""Of what is listed, what can be used: recordings are opened, and doubtful lines counted."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lhotse import Recording

from foldformer.data.corpora._choice import NO_TEXT, UNREADABLE, words_of
from foldformer.data.corpora._own.listed import Listed
from foldformer.data.corpora._speech import shown
from foldformer.data.flaws import TOLERANCE

ELSEWHERE = "in dev or test too"
MISSING = "recording missing"
OUTSIDE = "begins or ends outside its recording"
TWICE = "listed twice"
UNWRITABLE = "name that is not UTF-8"


@dataclass(frozen=True)
class Usable:
    """An utterance whose recording can be read."""

    name: str
    """No other is called so."""
    recording: Recording
    text: str
    speaker: str | None
    language: str | None
    start: float
    """Seconds into the recording."""
    duration: float
    """Seconds."""
    translations: Mapping[str, str]


@dataclass
class LeftOut:
    """What could not be used, and why."""

    names: dict[str, list[str]] = field(default_factory=dict)
    """{reason: recordings, as they are listed}."""

    def add(self, reason: str, name: str) -> None:
        """One more."""
        shown = name.encode("utf-8", "backslashreplace").decode()
        self.names.setdefault(reason, []).append(shown)

    def take(self, others: "LeftOut") -> None:
        """What could not be used elsewhere, too."""
        for reason, names in others.names.items():
            self.names.setdefault(reason, []).extend(names)

    def in_short(self) -> str:
        """How many, and why, in one line that names the first of them."""
        return "; ".join(
            f"{why}: {names[0]}" + (f" and {len(names) - 1} more" if names[1:] else "")
            for why, names in self.names.items()
        )

    def __str__(self) -> str:
        """A Markdown table; empty where nothing was left out."""
        if not self.names:
            return ""
        lines = ["| left out | recordings | the first |", "|---|---:|---|"]
        lines += [f"| {why} | {len(names)} | {names[0]} |" for why, names in self.names.items()]
        return "\n".join(lines)


def usable(
    listed: Sequence[Listed], words: bool, left_out: LeftOut, what: str, progress: bool
) -> list[Usable]:
    """The utterances that can be used, in their order.

    Args:
        listed: what there is.
        words: keep the words of texts alone.
        left_out: gets the others.
        what: for the progress bar.
        progress: whether to show it where a person watches.
    """
    found: list[Usable] = []
    opened: dict[Path, Recording | str] = {}
    names: set[str] = set()
    places: set[tuple[str, float]] = set()
    for each in shown(listed, what, progress):
        text = words_of(each.text) if words else each.text
        if not text:
            left_out.add(NO_TEXT, each.name)
            continue
        if each.path not in opened:
            opened[each.path] = _opened(each)
        recording = opened[each.path]
        if isinstance(recording, str):
            left_out.add(recording, each.name)
            continue
        start = each.start or 0.0
        duration = recording.duration - start if each.duration is None else each.duration
        inside = 0 <= start < recording.duration
        if not (inside and 0 < duration <= recording.duration - start + TOLERANCE):
            left_out.add(OUTSIDE, each.name)
            continue
        name, place = _name(each, names), (os.path.realpath(each.path), start)
        if name in names or place in places:
            left_out.add(TWICE, each.name)
            continue
        names.add(name)
        places.add(place)
        found.append(
            Usable(
                name=name,
                recording=recording,
                text=text,
                speaker=each.speaker,
                language=each.language,
                start=start,
                duration=min(duration, recording.duration - start),
                translations={
                    field: words_of(said) if words else said
                    for field, said in each.translations.items()
                    if said
                },
            )
        )
    return found


def _opened(each: Listed) -> Recording | str:
    """The recording, or why there is none."""
    try:
        str(each.path).encode()
    except UnicodeEncodeError:  # JSON could not name it
        return UNWRITABLE
    try:
        if not each.path.is_file():
            return MISSING
    except OSError:  # no name that a file can have, or a folder that nobody may look into
        return MISSING
    try:
        return Recording.from_file(each.path, recording_id=each.name)
    except Exception:  # lhotse raises what each of the libraries that it tries raises
        return UNREADABLE


def _name(each: Listed, taken: set[str]) -> str:
    """The path without its suffix, unless another one is called so; with the start."""
    stem = str(Path(each.name).with_suffix("")) if each.name else ""
    at = "" if each.start is None else f"@{each.start}"
    return stem + at if stem + at not in taken else each.name + at
