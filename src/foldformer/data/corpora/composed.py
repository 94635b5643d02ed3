"""Utterances composed from recorded words: numbers, digits, dates, times, spelled letters.

A telephone exchange speaks a number by playing recordings of its words one after the other; so does
this corpus, with the prompts of Asterisk: real speech of one professional speaker a language, in
en, es, fr, it and ru, but *composed*, without the melody and the blurred word borders of
free speech, from about 130 recordings a language that are the same in train, dev and test. What is
held out are the word sequences. An error rate on it tells whether a recogniser learns, and how two
models compare on it; it is no error rate of speech in the open.

Each utterance stands for a *meaning* (`date:sat,1984-03-03`), which every language's grammar turns
into words; hence the exact transcript, and an exact translation into each language that can
say it. All details are in `foldformer.data.corpora._composed`.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from foldformer.errors import SpecError
from foldformer.spec import Spec, nearest

LANGUAGES = ("en", "es", "fr", "it", "ru")
KINDS = ("numbers", "digits", "dates", "times", "letters")


@dataclass(frozen=True, kw_only=True)
class ComposedSpec(Spec):
    """What is composed; the same spec gives the same samples and manifests everywhere."""

    languages: tuple[str, ...] = LANGUAGES
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
        _check_names("languages", self.languages, LANGUAGES)
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
    """What a split of one language came to."""

    language: str
    split: str
    utterances: int
    transcripts: int
    """Different ones."""
    minutes: float
    words: int
    """Different ones."""


def compose(
    out: str | os.PathLike[str],
    *,
    languages: Sequence[str] = LANGUAGES,
    hours: float = 1.0,
    dev: int = 200,
    test: int = 500,
    kinds: Sequence[str] = KINDS,
    seed: int = 0,
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> list[SplitSize] | None:
    """Write the corpus to the folder `out`; None where it already lies there, composed alike.

    The folder gets `train.jsonl.gz`, `dev.jsonl.gz` and `test.jsonl.gz` (Lhotse cuts of all
    languages), `audio/`, `README.md` and `composed.yaml`, and its name last of all: it exists whole or
    not at all.

    Args:
        out: the folder; its parents are made where they are missing.
        languages, hours, dev, test, kinds, seed: see `ComposedSpec`.
        overwrite: replace a corpus composed with other arguments.
        progress: called with a line of text now and then.

    Raises:
        SpecError: an argument is impossible, or the kinds have too few meanings for it.
        InputError: `out` cannot be written, or holds something else.
    """
    from foldformer.data.corpora._composed.folder import write_corpus

    spec = ComposedSpec(
        languages=tuple(languages), hours=hours, dev=dev, test=test, kinds=tuple(kinds), seed=seed
    )
    return write_corpus(Path(out), spec, overwrite, progress or (lambda line: None))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `foldformer corpus composed`."""
    default = ComposedSpec()
    parser.add_argument("out", type=Path, metavar="OUT_DIR", help="folder to write")
    parser.add_argument(
        "--languages", default=",".join(LANGUAGES), help="spoken languages (default %(default)s)"
    )
    parser.add_argument(
        "--hours",
        type=float,
        default=default.hours,
        help="hours of training speech for each language (default %(default)s)",
    )
    for split in ("dev", "test"):
        parser.add_argument(
            f"--{split}",
            type=int,
            default=getattr(default, split),
            metavar="N",
            help=f"{split} utterances for each language (default %(default)s)",
        )
    parser.add_argument(
        "--kinds", default=",".join(KINDS), help="what is said (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=default.seed, help="default %(default)s")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a corpus composed with other arguments"
    )


def run(args: argparse.Namespace) -> None:
    """Compose; show progress where a person watches, a table at the end."""
    watched = sys.stderr.isatty()
    sizes = compose(
        args.out,
        languages=_names(args.languages),
        hours=args.hours,
        dev=args.dev,
        test=args.test,
        kinds=_names(args.kinds),
        seed=args.seed,
        overwrite=args.overwrite,
        progress=_show if watched else None,
    )
    if watched:
        _show("")
    if sizes is None:
        print(f"{args.out}: is already there, composed with the same arguments")
        return
    print(table(sizes))
    print(f"{args.out}: composed speech; see {args.out / 'README.md'}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _show(line: str) -> None:
    sys.stderr.write(f"\r\x1b[K{line}")
    sys.stderr.flush()


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
