"""Recordings of your own: a folder with a text beside each, or a table of them.

The recordings stay where they are; the corpus is their manifests. A folder holds `a.wav` with
`a.txt`, or LibriSpeech's `*.trans.txt`; a table is a `.tsv` or `.csv` with a line of names, as
Common Voice and Hugging Face have them, or JSON lines, as NVIDIA's NeMo has them.
"""

import argparse
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from foldformer.data.corpora._own.spec import NAMES, OwnSpec

if TYPE_CHECKING:  # it needs lhotse, which help can do without
    from foldformer.data.corpora._own.build import Made


def prepare(
    out: str | os.PathLike[str],
    source: str | os.PathLike[str],
    *,
    dev: int | str | os.PathLike[str] | None = None,
    test: int | str | os.PathLike[str] | None = None,
    audio: str | os.PathLike[str] | None = None,
    language: str | None = None,
    columns: Mapping[str, str] | None = None,
    words: bool = False,
    speaker_folders: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> "Made | None":
    """Write the manifests to the folder `out`; None where they already lie there, made alike.

    The folder gets `train`, `dev` and `test` (`.jsonl.gz`, Lhotse cuts), `README.md`, `own.yaml`
    and the licence that lies beside the recordings, and its name last of all: it exists whole or
    not at all. What cannot be used is left out and counted.

    Args:
        out: the folder; its parents are made where they are missing.
        source: a folder, or a table `.tsv`, `.csv`, `.jsonl` or `.json`.
        dev: utterances to take for it, or another source; None takes a tenth, 500 at most.
            With ten speakers and more, whole speakers are taken, otherwise whole texts.
        test: like `dev`.
        audio: the folder that the paths in tables start from; None for that of each table, or
            `clips` there.
        language: code of the language, where a table has no column for it.
        columns: {what a column holds: what it is called}: `path`, `text`, `speaker`, `language`,
            `start` and `duration` (seconds), `translation_XX`.
        words: keep the words of the texts alone, without punctuation.
        speaker_folders: the folder that a recording lies in is called like its speaker.
        overwrite: replace a corpus made with other arguments or recordings.
        progress: whether to show bars on stderr where it is a terminal.

    Raises:
        SpecError: a column is of something that is unknown, or a number is below 0.
        InputError: a source is missing, empty or damaged, nothing is left to train on, or `out`
            cannot be written or holds something else.
    """
    from foldformer.data.corpora._folder import write_whole
    from foldformer.data.corpora._own.build import build, digest, everything

    spec = OwnSpec(
        source=os.fspath(source),
        dev=dev if dev is None or isinstance(dev, int) else os.fspath(dev),
        test=test if test is None or isinstance(test, int) else os.fspath(test),
        audio=None if audio is None else os.fspath(audio),
        language=language,
        columns=dict(columns or {}),
        words=words,
        speaker_folders=speaker_folders,
    )
    found = everything(spec)
    return write_whole(
        Path(out),
        "own",
        replace(spec, contents=digest(found)),
        overwrite,
        lambda folder, _: build(folder, Path(out), spec, found, progress),
        made_of="arguments or recordings",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `foldformer corpus own`."""
    parser.add_argument("out", type=Path, metavar="OUT_DIR", help="folder to write")
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="folder of recordings with a text beside each, or a table of them: .tsv, .csv, .jsonl",
    )
    parser.add_argument("--language", metavar="XX", help="its code, where a table does not say it")
    parser.add_argument(
        "--dev",
        type=_count_or_source,
        metavar="N|SOURCE",
        help="so many utterances: of speakers that no other split hears where there are ten or "
        "more, else of texts that none has; or another source (default: a tenth, 500 at most)",
    )
    parser.add_argument("--test", type=_count_or_source, metavar="N|SOURCE", help="like --dev")
    parser.add_argument(
        "--audio",
        metavar="DIR",
        help="folder that the paths in a table start from (default: that of the table, or clips "
        "there)",
    )
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        type=_column,
        metavar="WHAT=NAME",
        help=f"what a column of a table is called; WHAT is one of {', '.join(NAMES)}, "
        f"translation_XX; may be repeated (default: the usual names)",
    )
    parser.add_argument(
        "--words", action="store_true", help="keep the words of texts alone, without punctuation"
    )
    parser.add_argument(
        "--speaker-folders",
        action="store_true",
        help="the folder that a recording lies in is called like its speaker",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace a corpus made with other arguments or recordings",
    )


def _count_or_source(text: str) -> int | str:
    return int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else text


def _column(text: str) -> tuple[str, str]:
    what, sign, name = text.partition("=")
    if not (what and sign and name):
        raise argparse.ArgumentTypeError(f"{text!r} is not WHAT=NAME, such as text=sentence")
    return what, name


def run(args: argparse.Namespace) -> None:
    """Make the corpus; print its counts."""
    made = prepare(
        args.out,
        args.source,
        dev=args.dev,
        test=args.test,
        audio=args.audio,
        language=args.language,
        columns=dict(args.column),
        words=args.words,
        speaker_folders=args.speaker_folders,
        overwrite=args.overwrite,
        progress=True,
    )
    if made is None:
        print(f"{args.out}: is already there, made with the same arguments")
        return
    print(made)
    print(f"\n{args.out}: see {args.out / 'README.md'}")
