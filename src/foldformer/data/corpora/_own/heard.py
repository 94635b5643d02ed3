"""What of recordings is heard in one split, so that no other one gets it."""

import math
import os
from bisect import bisect_left
from collections.abc import Iterable

from foldformer.data.corpora._own.listed import Listed
from foldformer.data.flaws import TOLERANCE


class Heard:
    """Parts of recordings."""

    def __init__(self) -> None:
        self._parts: dict[str, list[tuple[float, float]]] = {}
        """{file: where parts begin and end, in seconds}: in their order, none meets another."""

    def overlaps(self, each: Listed) -> bool:
        """Whether more than an instant of an utterance is heard already, or the same beginning."""
        file, start, end = _part(each)
        parts = self._parts.get(file, [])
        place = bisect_left(parts, (start, -math.inf))
        later = place < len(parts) and (
            parts[place][0] == start or parts[place][0] < end - TOLERANCE
        )
        return later or (place > 0 and parts[place - 1][1] > start + TOLERANCE)

    def take(self, utterances: Iterable[Listed]) -> None:
        """Add what these hear."""
        for each in utterances:
            file, start, end = _part(each)
            if start < end:  # what is no number, or ends before it begins, nobody hears
                self._parts.setdefault(file, []).append((start, end))
        for file, parts in self._parts.items():
            joined: list[tuple[float, float]] = []
            for start, end in sorted(parts):
                if joined and start <= joined[-1][1]:
                    joined[-1] = joined[-1][0], max(joined[-1][1], end)
                else:
                    joined.append((start, end))
            self._parts[file] = joined


def _part(each: Listed) -> tuple[str, float, float]:
    """The file of an utterance, where it begins, and where it ends."""
    start = each.start or 0.0
    end = math.inf if each.duration is None else start + each.duration
    return os.path.realpath(each.path), start, end
