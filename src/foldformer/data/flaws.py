"""What is wrong with a cut as its manifest describes it; no audio is read."""

from collections.abc import Mapping
from itertools import pairwise

from lhotse.cut import Cut, MixedCut
from lhotse.cut.data import DataCut

TOLERANCE = 0.025
"""Seconds that a cut may end after its recording, as Lhotse allows: decoders round lengths."""

OVERLAP = 0.05
"""Seconds that supervisions of one cut may overlap: those who set their limits are not exact."""


def flaw_of(cut: Cut) -> str:
    """Why no sound can be read for a cut, as the end of "it ..."; empty if nothing is wrong."""
    if not cut.duration > 0:
        return "has no positive duration"
    if not _inside(cut):
        return "begins or ends outside its recording"
    return ""


def flaw_of_supervisions(cut: Cut) -> str:
    """Why the text of a cut is not what is said in it, as `flaw_of` puts it.

    Several supervisions may follow one another: then they are one text. Overlapping ones are more
    than one speaker, or more than one text for the same sound, and none is the right answer.
    """
    ordered = sorted(cut.supervisions, key=lambda supervision: supervision.start)
    if any(not supervision.duration > 0 for supervision in ordered):
        return "has a supervision without positive duration"
    if any(s.end <= 0 or s.start >= cut.duration for s in ordered):
        return "has a supervision outside of itself"
    if any(later.start < earlier.end - OVERLAP for earlier, later in pairwise(ordered)):
        return "has supervisions that overlap"
    return ""


def counted(reasons: Mapping[str, int]) -> str:
    """How many cuts cannot be used for each reason, behind "none of its cuts can be used: "."""
    return "; ".join(f"{number} because each {reason}" for reason, number in reasons.items())


def _inside(cut: Cut) -> bool:
    if isinstance(cut, MixedCut):
        return all(_inside(track.cut) for track in cut.tracks)
    if not isinstance(cut, DataCut) or not cut.has_recording:
        return True
    return bool(cut.start >= 0 and cut.end <= cut.recording.duration + TOLERANCE)
