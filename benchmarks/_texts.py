"""Texts for the benchmarks of pretrained models."""

import re
from pathlib import Path


def texts_of(path: str, longest: int = 300) -> list[str]:
    """The lines of a file, or the parts between lines of `%`, of 20 letters and up to `longest`."""
    text = Path(path).read_text(encoding="utf-8")
    parts = re.split(r"^%$", text, flags=re.MULTILINE) if "\n%\n" in text else text.splitlines()
    said = [" ".join(part.split()) for part in parts]
    return [each for each in said if 20 <= len(each) <= longest]
