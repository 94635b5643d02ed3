"""Which utterances of a manifest a training can use, and why it leaves out the others."""

import logging
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

from lhotse.cut import Cut

from foldformer.data.audio import SHORTEST
from foldformer.data.cuts import check_cut, read_cuts, text_of
from foldformer.data.durations import ENCODER_FRAME_MS
from foldformer.data.flaws import counted, flaw_of, flaw_of_supervisions
from foldformer.data.tokens import UNKNOWN_ID, Tokens
from foldformer.errors import InputError

log = logging.getLogger(__name__)

MOST_UNKNOWN = 0.2
"""Share of the utterances that may hold characters without a token before this is refused."""

_UNKNOWN = "has characters that no token stands for"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What an utterance must be to be trained on."""

    tokens: Tokens
    """What texts are cut into."""

    text: str
    """Field of the supervisions to learn."""

    shortest: float
    """Seconds."""

    longest: float
    """Seconds."""

    speed: float
    """The highest factor of speed that it may be heard at."""

    def reason(self, cut: Cut) -> str:
        """Why the utterance is left out, as the end of "it ..."; empty if it is used.

        Raises:
            InputError: it has no text at all, or its recording is missing: see `check_cut`.
        """
        if reason := flaw_of(cut) or flaw_of_supervisions(cut):
            return reason
        if cut.duration < self.shortest:
            return f"lasts less than {self.shortest:g} s"
        if cut.duration > self.longest:
            return f"lasts more than {self.longest:g} s"
        check_cut(cut, self.text)
        ids = self.tokens.encode(text_of(cut, self.text))
        if not ids:
            return "has an empty text"
        if UNKNOWN_ID in ids:
            return _UNKNOWN
        # CTC writes a frame for each token, and one between two equal ones.
        frames = int(cut.duration / self.speed * 1000 / ENCODER_FRAME_MS)
        if len(ids) + sum(a == b for a, b in pairwise(ids)) > frames:
            return (
                f"has more tokens in its text than frames of {ENCODER_FRAME_MS} ms at the highest "
                "speed"
            )
        return ""

    def survey(self, path: str) -> "Survey":
        """The survey of a manifest, before its first cut."""
        return Survey(path)

    def judge(self, cut: Cut, found: "Survey") -> None:
        """Add the next cut of a manifest to its survey; raises as `reason` does."""
        reason = self.reason(cut)
        found.add(cut, reason)
        if reason == _UNKNOWN:
            found.unknown += self.tokens.count_unknown([text_of(cut, self.text)])


def selection(
    tokens: Tokens, text: str, least: float, most: float, speeds: tuple[float, ...]
) -> Selection:
    """The selection of a training that hears utterances at these speeds."""
    return Selection(
        tokens=tokens, text=text, shortest=max(least, SHORTEST), longest=most, speed=max(speeds)
    )


@dataclass
class LeftOut:
    """Utterances of one reason."""

    ids: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def named(self) -> str:
        """The first few ids."""
        return ", ".join(self.ids[:5]) + (", ..." if len(self.ids) > 5 else "")


@dataclass
class Survey:
    """What became of the utterances of a manifest."""

    path: str
    remedy: str = "change min_utterance and max_utterance, or take other tokens"
    """What else can be done where nothing can be used."""
    used: bytearray = field(default_factory=bytearray)
    """One for each cut that is used, 0 for each other, in the order of the manifest."""
    seconds: float = 0.0
    """Of those that are used."""
    left_out: dict[str, LeftOut] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)
    """Characters without a token, and how often they occur."""

    @property
    def num_used(self) -> int:
        """Cuts that training uses."""
        return sum(self.used)

    def add(self, cut: Cut, reason: str) -> None:
        """Note the next cut of the manifest, and why it is left out if it is."""
        self.used.append(not reason)
        if not reason:
            self.seconds += cut.duration
            return
        left_out = self.left_out.setdefault(reason, LeftOut())
        left_out.ids.append(cut.id)
        left_out.seconds += max(cut.duration, 0.0)

    @property
    def problem(self) -> str:
        """Why no training is possible with what is left; empty if one is."""
        total, unknown = len(self.used), self.left_out.get(_UNKNOWN, LeftOut())
        if not any(self.used):
            why = counted({reason: len(left.ids) for reason, left in self.left_out.items()})
            return (
                f"{self.path}: none of its {total} cuts can be used: {why}; "
                "cut long recordings at their supervisions (`lhotse cut trim-to-supervisions`), "
                f"or {self.remedy}"
            )
        if len(unknown.ids) > MOST_UNKNOWN * total:
            return (
                f"{self.path}: {len(unknown.ids)} of {total} cuts hold characters that no token "
                f"stands for: {shown(self.unknown)}; raise tokens.vocab_size, or take other data"
            )
        return ""

    def warn(self) -> None:
        """Log what is left out."""
        for reason, left in self.left_out.items():
            characters = f" ({shown(self.unknown)})" if reason == _UNKNOWN else ""
            log.warning(
                "%s: left out %d of %d cuts: each %s%s: %s",
                self.path,
                len(left.ids),
                len(self.used),
                reason,
                characters,
                left.named,
            )


def shown(characters: Counter[str]) -> str:
    """The most frequent characters with their counts, as `x 12, y 3, ...`."""
    first = ", ".join(f"{character} {count}" for character, count in characters.most_common(8))
    return first + (", ..." if len(characters) > 8 else "")


def survey(path: str, choice: Selection) -> Survey:
    """Judge every cut of a manifest, without reading audio, and log what is left out.

    Raises:
        InputError: the manifest is missing, foreign or empty; an utterance has no text field or
            no recording; or too little is left to train on.
    """
    found = choice.survey(path)
    for cut in read_cuts(path):
        choice.judge(cut, found)
    if found.problem:
        raise InputError(found.problem)
    found.warn()
    return found
