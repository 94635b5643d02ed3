"""What the corpus depends on."""

import re
from dataclasses import dataclass, field

from foldformer.errors import SpecError
from foldformer.spec import Spec, nearest

NAMES: dict[str, tuple[str, ...]] = {
    "path": ("path", "audio_filepath", "audio", "audio_path", "file", "file_name", "filename"),
    "text": ("text", "sentence", "transcript", "transcription"),
    "speaker": ("speaker", "speaker_id", "client_id"),
    "language": ("language", "lang", "locale"),
    "start": ("start", "offset"),
    "duration": ("duration",),
}
"""{what a column holds: what it may be called, the first that is there counts}."""

TRANSLATION = re.compile(r"translation_[a-z]{2,3}")
"""Columns that are called like the field of a supervision which they become."""


@dataclass(frozen=True, kw_only=True)
class OwnSpec(Spec):
    """What the corpus depends on."""

    source: str
    """A folder of recordings with a text beside each, or a table of them."""
    dev: int | str | None = None
    """How many utterances are taken for it, or another source; None for a tenth, 500 at most."""
    test: int | str | None = None
    """Like `dev`."""
    audio: str | None = None
    """The folder that the paths in a table start from; None for that of the table."""
    language: str | None = None
    """Code of the language where a table has no column for it."""
    columns: dict[str, str] = field(default_factory=dict)
    """{what a column holds: what it is called}, where that is not in `NAMES`."""
    words: bool = False
    """Keep the words of the texts alone, without punctuation."""
    speaker_folders: bool = False
    """The folder that a recording lies in is called like its speaker."""
    contents: str = ""
    """A digest of which recordings there are, with which texts."""

    def __post_init__(self) -> None:
        for name, count in (("dev", self.dev), ("test", self.test)):
            if isinstance(count, int) and count < 0:
                raise SpecError(f"{name}: {count} utterances; expected 0 or more")
        for what in self.columns:
            if what not in NAMES and not TRANSLATION.fullmatch(what):
                known = nearest(what, [*NAMES, "translation_XX"])
                raise SpecError(f"columns: nothing is known of {what!r}{known}")
