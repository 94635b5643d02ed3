"""What is composed, and what it came to."""

from collections.abc import Sequence
from dataclasses import dataclass

from foldformer.data.corpora._composed.drawing import KINDS
from foldformer.data.corpora._composed.grammars import languages
from foldformer.errors import SpecError
from foldformer.spec import Spec, nearest


@dataclass(frozen=True, kw_only=True)
class ComposedSpec(Spec):
    """What is composed; the same spec gives the same samples and manifests everywhere."""

    languages: tuple[str, ...] = languages()
    """Languages that are spoken; translations are given into all that exist."""
    hours: float = 1.0
    """Hours of training speech for each language."""
    dev: int = 200
    """Utterances to develop on, for each language."""
    test: int = 500
    """Utterances to test on, for each language."""
    kinds: tuple[str, ...] = KINDS
    """Kinds of meanings; each is drawn equally often."""
    seed: int = 0
    """Start of the random choices."""
    edition: int = 1
    """Of the way to compose; it rises when the same spec comes to give other samples."""

    def __post_init__(self) -> None:
        _check_names("languages", self.languages, languages())
        _check_names("kinds", self.kinds, KINDS)
        if not 0 < self.hours <= 1000:
            raise SpecError(f"hours: {self.hours:g} hours; expected more than 0, at most 1000")
        for name, value in (("dev", self.dev), ("test", self.test)):
            if value < 1:
                raise SpecError(f"{name}: {value} utterances; expected at least 1")


def _check_names(field: str, names: Sequence[str], known: Sequence[str]) -> None:
    if not names:
        raise SpecError(f"{field}: none given; expected some of {', '.join(known)}")
    for name in names:
        if name not in known:
            raise SpecError(f"{field}: unknown {name!r}{nearest(name, known)}")
    if len(set(names)) < len(names):
        raise SpecError(f"{field}: {', '.join(names)}: one is named twice")


@dataclass(frozen=True, kw_only=True)
class SplitSize:
    """What one split of one language came to."""

    language: str
    split: str
    utterances: int
    transcripts: int
    """Different ones."""
    minutes: float
    words: int
    """Different ones."""


def table(sizes: Sequence[SplitSize]) -> str:
    """The sizes as a Markdown table."""
    lines = [
        "| language | split | utterances | different transcripts | minutes | different words |",
        "|---|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {size.language} | {size.split} | {size.utterances} | {size.transcripts} "
        f"| {size.minutes:.1f} | {size.words} |"
        for size in sizes
    ]
    return "\n".join(lines)
