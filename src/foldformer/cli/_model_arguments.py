"""The arguments of the verbs that decode: the model, its head, its search, chunk and segment."""

import argparse
import math
import re
from pathlib import Path

from foldformer.errors import SpecError

SEGMENT = "30s"

_SECONDS = {"ms": 1e-3, "s": 1.0}

MOST_HYPOTHESES = 1000
"""Of a search; it takes time in proportion to them, and no more of them are of any use."""


def add_model_arguments(parser: argparse.ArgumentParser, what: str = "a model folder") -> None:
    """MODEL, which is `what`, `--chunk`, `--segment`, `--head` and `--beam`."""
    parser.add_argument("model", type=Path, metavar="MODEL", help=what)
    parser.add_argument(
        "--chunk",
        metavar="320ms",
        help="encode as a stream of such chunks would; default: each frame sees all others; an "
        "export hears its own",
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
    seconds = seconds_of("segment", args.segment)
    if seconds < 1:
        raise SpecError(f"segment: expected 1s or more, got {args.segment!r}")
    return seconds


def chunk_of(args: argparse.Namespace) -> int | None:
    """`--chunk` in encoder frames; None where it is not given.

    Raises:
        SpecError: it is no positive multiple of 40 ms.
    """
    return None if args.chunk is None else frames_of("chunk", args.chunk)


def check_beam(args: argparse.Namespace) -> None:
    """Refuse a `--beam` that no search could keep.

    Raises:
        SpecError: it is larger than `MOST_HYPOTHESES`.
    """
    if args.beam > MOST_HYPOTHESES:
        raise SpecError(f"beam: expected {MOST_HYPOTHESES} at most, got {args.beam}")


def frames_of(option: str, text: str) -> int:
    """The duration that an option says, in encoder frames.

    Raises:
        SpecError: it is no positive multiple of 40 ms; the message names the option.
    """
    from foldformer.data.durations import encoder_frames

    try:
        return encoder_frames(text)
    except SpecError as error:
        raise SpecError(f"{option}: {error}") from None
    except OverflowError:
        raise SpecError(f"{option}: is no number of seconds that a recording could last") from None


def seconds_of(option: str, text: str) -> float:
    """The duration that an option says, in seconds: any, since no frame has to end with it.

    Raises:
        SpecError: it is no positive duration; the message names the option.
    """
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*(ms|s)", text.strip())
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if not 0 < seconds < math.inf:
        raise SpecError(f"{option}: {text!r} is no positive duration; write it like 800ms or 1.2s")
    return round(seconds, 6)
