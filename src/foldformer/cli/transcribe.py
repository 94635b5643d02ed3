"""Write down what recordings say, or its translation."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from foldformer.errors import InputError


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
        "--json", action="store_true", help="a JSON object a line, with the times of the tokens"
    )


def run(args: argparse.Namespace) -> int:
    """Transcribe each file; a bad one is reported, and the rest go on."""
    from foldformer.data.durations import encoder_frames
    from foldformer.decode.recognizer import Recognizer

    chunk = None if args.chunk is None else encoder_frames(args.chunk)
    recognizer = Recognizer.load(args.model, args.head, args.beam)
    code = 0
    for file in args.files:
        try:
            transcript = recognizer.transcribe(file, chunk=chunk)
        except InputError as error:
            print(f"foldformer: error: {error}", file=sys.stderr)
            code = 2
            continue
        if args.json:
            print(json.dumps({"file": file, **asdict(transcript)}, ensure_ascii=False), flush=True)
        elif len(args.files) > 1:
            print(f"{file}\t{transcript.text}", flush=True)
        else:
            print(transcript.text, flush=True)
    return code
