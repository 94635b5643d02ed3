"""The full scale of samples, without numpy: a device does without where nothing is converted."""

import math

from foldformer.errors import InputError

_LOUDEST = 100.0  # no decoder overshoots full scale (1.0) that far; 16-bit numbers as floats do


def check_scale(peak: float, name: str) -> None:
    """Refuse samples that were never divided by their full scale.

    Args:
        peak: the largest of them, without its sign; what is not finite is another mistake, and
            passes.
        name: what to call them in the error.

    Raises:
        InputError: they are not of full scale 1.0.
    """
    if _LOUDEST < peak < math.inf:
        raise InputError(
            f"{name}: samples reach {peak:.0f}; expected a full scale of 1.0: "
            f"divide 16-bit numbers by 32768"
        )
