"""Times: the few that all agree on, and as people write them: `320ms`, `5.12s`."""

import math
import re

from foldformer.errors import SpecError

ENCODER_FRAME_MS = 40
"""Milliseconds an encoder frame: 4 feature frames of 10 ms."""

SAMPLING_RATE = 16000
"""Samples per second that the features, and with them every model, are made for."""

LONGEST = 30.0
"""Seconds of a segment at most, unless asked otherwise."""

_UNITS = {"ms": 1.0, "s": 1000.0}


def encoder_frames(text: str) -> int:
    """The number of encoder frames in a duration.

    >>> encoder_frames("320ms"), encoder_frames("5.12s")
    (8, 128)

    Raises:
        SpecError: not a duration, or no positive multiple of 40 ms.
    """
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*(ms|s)", text.strip())
    if match is None:
        raise SpecError(f"{text!r} is not a duration; write it like 320ms or 1.28s")
    milliseconds = float(match[1]) * _UNITS[match[2]]
    if not math.isfinite(milliseconds):
        raise SpecError(f"a duration of {len(match[1])} digits is too long")
    frames = round(milliseconds / ENCODER_FRAME_MS)
    if frames < 1 or abs(frames * ENCODER_FRAME_MS - milliseconds) > 1e-6:
        raise SpecError(f"{text!r} is no positive multiple of {ENCODER_FRAME_MS} ms")
    return frames


def shown(frames: int) -> str:
    """The duration of encoder frames, in milliseconds: 8 -> `320ms`."""
    return f"{frames * ENCODER_FRAME_MS}ms"
