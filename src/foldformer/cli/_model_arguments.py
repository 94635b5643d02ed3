"""The arguments of the verbs that decode: the model, its head, its search, chunk and segment."""

import argparse
from pathlib import Path

from foldformer.errors import SpecError

SEGMENT = "30s"


def add_model_arguments(parser: argparse.ArgumentParser, what: str = "a model folder") -> None:
    """MODEL, which is `what`, `--chunk`, `--segment`, `--head` and `--beam`."""
    parser.add_argument("model", type=Path, metavar="MODEL", help=what)
    parser.add_argument(
        "--chunk",
        metavar="320ms",
        help="encode as a stream of such chunks would; default: each frame sees all others",
    )
    parser.add_argument(
        "--segment",
        default=SEGMENT,
        metavar=SEGMENT,
        help="the longest part to hear at once; what is longer is cut where it is quiet",
    )
    parser.add_argument("--head", metavar="KIND", help="the head to decode: ctc or transducer")
    parser.add_argument(
        "--beam", type=int, default=1, metavar="N", help="hypotheses kept; default 1: greedy"
    )


def segment_of(args: argparse.Namespace) -> float:
    """`--segment` in seconds.

    Raises:
        SpecError: it is no duration of a second or more.
    """
    from foldformer.data.durations import ENCODER_FRAME_MS, encoder_frames

    seconds = encoder_frames(args.segment) * ENCODER_FRAME_MS / 1000
    if seconds < 1:
        raise SpecError(f"segment: expected 1s or more, got {args.segment!r}")
    return seconds


def chunk_of(args: argparse.Namespace) -> int | None:
    """`--chunk` in encoder frames; None where it is not given.

    Raises:
        SpecError: it is no positive multiple of 40 ms.
    """
    from foldformer.data.durations import encoder_frames

    return None if args.chunk is None else encoder_frames(args.chunk)
