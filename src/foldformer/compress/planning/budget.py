"""Sizes as people write them: `12MB`, 10^6 bytes each."""

import re

from foldformer.errors import SpecError

_UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9}

_LARGEST = 1e18  # more than any disk holds


def bytes_of(text: str) -> int:
    """The bytes of a size.

    >>> bytes_of("12MB"), bytes_of("1.5 GB")
    (12000000, 1500000000)

    Raises:
        SpecError: it is no size, or nothing.
    """
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*(kB|MB|GB)", text.strip())
    size = 0.0 if match is None else float(match[1]) * _UNITS[match[2]]
    if match is None or not 1 <= size <= _LARGEST:
        raise SpecError(f"{text!r} is not a size; write it like 12MB or 800kB (MB: 10^6 bytes)")
    return round(size)
