"""Write down what recordings say, or its translation."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from foldformer.errors import InputError

if TYPE_CHECKING:
    from foldformer.decode.recognizer import Transcript


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model folder")
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="recordings, of any format and rate"
    )
    parser.add_argument(
        "--chunk", metavar="320ms", help="encode as a stream of such chunks; default: whole files"
    )
    parser.add_argument("--head", metavar="KIND", help="the head to decode: ctc or transducer")
    parser.add_argument(
        "--beam", type=int, default=1, metavar="N", help="hypotheses kept; default 1: greedy"
    )
    parser.add_argument(
        "--num-best",
        type=int,
        metavar="N",
        help="write the N best hypotheses with their scores, of at least as large a beam",
    )
    parser.add_argument(
        "--json", action="store_true", help="a JSON object a line, with the times of the tokens"
    )


def run(args: argparse.Namespace) -> int:
    """Transcribe each file; a bad one is reported, and the rest go on."""
    from foldformer.data.durations import encoder_frames
    from foldformer.decode.recognizer import Recognizer

    chunk = None if args.chunk is None else encoder_frames(args.chunk)
    recognizer = Recognizer.load(args.model, args.head, args.beam, args.num_best or 1)
    code = 0
    for file in args.files:
        try:
            found = recognizer.alternatives(file, chunk=chunk)
        except InputError as error:
            print(f"foldformer: error: {error}", file=sys.stderr)
            code = 2
            continue
        for line in _lines(file, found, args):
            print(line, flush=True)
    return code


def _lines(file: str, found: list["Transcript"], args: argparse.Namespace) -> list[str]:
    """What is printed of one file."""
    if args.json:
        best: dict[str, object] = {"file": file, **asdict(found[0])}
        if args.num_best:
            best["alternatives"] = [asdict(transcript) for transcript in found]
        return [json.dumps(best, ensure_ascii=False)]
    name = f"{file}\t" if len(args.files) > 1 else ""
    if args.num_best:
        return [f"{name}{transcript.score:.3f}\t{transcript.text}" for transcript in found]
    return [name + found[0].text]
