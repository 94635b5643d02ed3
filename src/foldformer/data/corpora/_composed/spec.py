"""What is composed, and what it came to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random

from foldformer.data.corpora._composed.drawing import KINDS, draw_meanings
from foldformer.data.corpora._composed.grammars import Words, grammar_of, languages
from foldformer.data.corpora._composed.meanings import Meaning
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


def meanings_of(spec: ComposedSpec, language: str, split: str) -> Iterator[tuple[Meaning, Words]]:
    """The meanings of one split of one language, in order; those of train never end.

    All languages draw the same meanings in the same order, and skip what they cannot say.
    """
    random = Random(f"{spec.seed} {split} meanings")
    return draw_meanings(grammar_of(language), spec.kinds, split, random, repeat=split == "train")


def check_enough(spec: ComposedSpec) -> None:
    """Refuse a spec whose kinds have fewer meanings than it asks for, before any work is done.

    Raises:
        SpecError: a language can say too few of them, or nothing at all.
    """
    for language in spec.languages:
        for split, wanted in (("train", 1), ("dev", spec.dev), ("test", spec.test)):
            found = sum(1 for _ in islice(meanings_of(spec, language, split), wanted))
            if not found:
                raise SpecError(
                    f"languages: the recordings of {language} lack words for all of the kinds "
                    f"{', '.join(spec.kinds)}; leave {language} out or ask for more kinds"
                )
            if found < wanted:
                raise SpecError(
                    f"{split}: {language} has only {found} different {split} utterances of the "
                    f"kinds {', '.join(spec.kinds)}; ask for fewer or for more kinds"
                )


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
