"""Measure what an export costs: files, memory, time; beside another one with --against."""

import argparse
import json
import re
from pathlib import Path

from foldformer.cli._bar import tell
from foldformer.cli._foreign import refuse_foreign
from foldformer.errors import SpecError

_LARGEST = 1e12  # of any unit: no cache, and no overflow

_UNITS = {"kB": 1e3, "MB": 1e6, "KiB": 2**10, "MiB": 2**20}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "export", type=Path, metavar="EXPORT", help="a folder that `foldformer export` has made"
    )
    parser.add_argument(
        "--against", type=Path, metavar="OTHER", help="measure this one too, taking turns"
    )
    parser.add_argument(
        "--runtime",
        choices=["sherpa-onnx", "onnxruntime"],
        help="the whole in sherpa-onnx, or the encoder alone in onnxruntime; default: both",
    )
    parser.add_argument(
        "--audio",
        nargs="+",
        default=[],
        metavar="FILE",
        help="recordings to hear; default: composed speech",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=20.0,
        metavar="S",
        help="of audio in each process, which hears it again if it is shorter (default 20)",
    )
    parser.add_argument(
        "--runs", type=int, default=5, metavar="N", help="processes of each kind (default 5)"
    )
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="of the runtime (default 1)"
    )
    parser.add_argument(
        "--memory",
        choices=["quick", "small", "system"],
        default="quick",
        help="as of `transcribe`; system: nothing is done about memory",
    )
    parser.add_argument(
        "--cache",
        default="4MB",
        metavar="4MB",
        help="of the cache that weights are counted to be fetched into (default 4MB)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with every run")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from foldformer.measure.exports import measure
    from foldformer.measure.figures import RUNTIMES, Settings
    from foldformer.report.export_table import export_table

    settings = Settings(
        runtimes=(args.runtime,) if args.runtime else tuple(RUNTIMES),
        runs=args.runs,
        seconds=args.seconds,
        threads=args.threads,
        memory=args.memory,
        cache=_bytes(args.cache),
        audio=tuple(args.audio),
    )
    folders = [args.export] + ([args.against] if args.against is not None else [])
    for folder in folders:
        refuse_foreign(folder)
    comparison = measure(folders, settings, tell)
    print(json.dumps(comparison.plain(), indent=2) if args.json else export_table(comparison))
    return 0


def _bytes(text: str) -> int:
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*(kB|MB|KiB|MiB)", text.strip())
    if match is None or float(match[1]) > _LARGEST:
        raise SpecError(f"cache: {text!r} is no size; write it like 512kB or 4MB")
    return round(float(match[1]) * _UNITS[match[2]])
