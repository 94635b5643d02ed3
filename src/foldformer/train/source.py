"""What a manifest tells about its recordings: how many, how long, under which licence."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from foldformer.data.cuts import read_cuts

_MOST = 200_000  # characters of a file that are searched for the name of a licence
_FILES = ("licen[cs]e", "copying", "credits", "readme")  # the first that says something counts
_CREATIVE_COMMONS = re.compile(
    r"creativecommons\.org/licenses/(?P<link>by[a-z-]*)/(?P<link_version>\d\.\d)"
    r"|\bCC[- ](?P<short>BY(?:[- ](?:SA|NC|ND))*)[- ]v?(?P<short_version>\d\.\d)",
    re.IGNORECASE,
)
_OTHERS = {
    "CC0-1.0": r"\bCC0\b|creativecommons\.org/publicdomain/zero",
    "Apache-2.0": r"Apache License,?\s+Version 2\.0|\bApache-2\.0\b",
    "MIT": r"\bMIT License\b|Permission is hereby granted, free of charge",
    "GPL": r"\bGNU General\s+Public\s+License\b|\bGPL-[23]",
    "public domain": r"\bpublic domain\b",
}


@dataclass(frozen=True)
class Source:
    """A manifest.

    Attributes:
        manifest: its path.
        utterances: cuts in it.
        hours: of recordings.
        licence: what a file beside it names, and that file; or "not stated".
        composed: whether it is composed speech, see docs/reference/corpora.md.
    """

    manifest: str
    utterances: int
    hours: float
    licence: str
    composed: bool


@cache  # a training writes its card more than once
def source_of(manifest: str) -> Source:
    """What the manifest and the files beside it say.

    Raises:
        InputError: the manifest cannot be read.
    """
    count, seconds = 0, 0.0
    for cut in read_cuts(manifest):
        count, seconds = count + 1, seconds + cut.duration
    path = Path(manifest)
    folder = path if path.is_dir() else path.parent
    composed = (folder / "composed.yaml").is_file()
    return Source(manifest, count, seconds / 3600, _licence(folder), composed)


def _licence(folder: Path) -> str:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for pattern in _FILES:
        for path in files:
            if re.match(pattern, path.name, re.IGNORECASE):
                names = licences_in(path.read_text(encoding="utf-8", errors="replace")[:_MOST])
                if names:
                    return f"{', '.join(names)}: see {path}"
                if pattern != "readme":
                    return f"see {path}"
    return "not stated"


def licences_in(text: str) -> list[str]:
    """The licences that a text names, by their SPDX names where they have one, in its order."""
    found: dict[str, int] = {}
    for match in _CREATIVE_COMMONS.finditer(text):
        name = (match["link"] or match["short"]).upper().replace(" ", "-")
        number = match["link_version"] or match["short_version"]
        found.setdefault(f"CC-{name}-{number}", match.start())
    for name, pattern in _OTHERS.items():
        if match_ := re.search(pattern, text, re.IGNORECASE):
            found.setdefault(name, match_.start())
    return sorted(found, key=lambda name: found[name])
