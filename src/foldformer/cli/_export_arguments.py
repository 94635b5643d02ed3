"""The arguments of `transcribe` that concern exports, and those that an export cannot honour."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from foldformer.cli._model_arguments import SEGMENT, chunk_of, seconds_of
from foldformer.errors import SpecError

if TYPE_CHECKING:
    from foldformer.deploy.recognizer import ExportRecognizer

ENDPOINT = "1.2s"
"""Silence after words that ends a segment from the microphone, unless told otherwise."""


_OF_EXPORTS = (
    "endpoint", "partial", "hotwords", "hotwords_score", "threads", "memory", "microphone",
    "microphone_device",
)  # fmt: skip


class _Microphone(argparse.Action):
    """Listening takes the place of recordings."""

    def __init__(
        self, option_strings: Sequence[str], dest: str, recordings: argparse.Action, help: str
    ) -> None:
        super().__init__(option_strings, dest, nargs=0, default=False, help=help)
        self._recordings = recordings

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """`--microphone` was given."""
        setattr(namespace, self.dest, True)
        self._recordings.required = False


def add_export_arguments(parser: argparse.ArgumentParser, recordings: argparse.Action) -> None:
    """Endpoints, hotwords, threads, and the microphone, which takes the place of `recordings`."""
    group = parser.add_argument_group("exports", "for MODEL that `foldformer export` has made")
    group.add_argument(
        "--endpoint",
        metavar="1.2s",
        help="hear a recording as one stream; so much silence after words ends a segment",
    )
    group.add_argument(
        "--partial",
        action="store_true",
        help="hear a recording as one stream, and write what is known of it as it grows, each time "
        "after how many seconds",
    )
    group.add_argument(
        "--hotwords",
        type=Path,
        metavar="FILE",
        help="a phrase a line that a transducer is to prefer, with --beam; `phrase :2.5` has a "
        "score of its own",
    )
    group.add_argument(
        "--hotwords-score",
        type=float,
        metavar="X",
        help="how much each token of a phrase is raised, in nats (default 1.5)",
    )
    group.add_argument("--threads", type=int, metavar="N", help="of the runtime (default 1)")
    group.add_argument(
        "--memory",
        choices=["quick", "small"],
        help="small: the buffers of a chunk are given back after it, and weights that are "
        "multiplied in fp32 stay in whole numbers, which takes time with large models; quick "
        "(default): they are kept, in fp32",
    )
    group.add_argument(
        "--microphone",
        action=_Microphone,
        recordings=recordings,
        help="listen until Ctrl-C instead of reading AUDIO",
    )
    group.add_argument(
        "--microphone-device",
        metavar="NAME",
        help="of --microphone: its number, or a part of its name; default: the system's choice",
    )


def check_model_options(args: argparse.Namespace) -> None:
    """Refuse for a model what only an export does.

    Raises:
        SpecError: there is such an option.
    """
    for option in _OF_EXPORTS:
        if getattr(args, option) not in (None, False):
            raise SpecError(
                f"{option.replace('_', '-')}: only an export has that, and {args.model} is none; "
                "`foldformer export` makes one"
            )


def open_export(args: argparse.Namespace, longest: float) -> "ExportRecognizer":
    """The export, for the options of the command.

    Raises:
        SpecError: it cannot honour one of them.
    """
    from foldformer.deploy.folder import read_export
    from foldformer.deploy.hotwords import SCORE, read_hotwords
    from foldformer.deploy.recognizer import check_chunk, check_head, load

    if args.num_best:
        raise SpecError("num-best: sherpa-onnx tells the best hypothesis alone; leave it out")
    if args.microphone and args.recordings:
        raise SpecError("microphone: listens instead of reading files; leave out one of the two")
    if args.microphone_device is not None and not args.microphone:
        raise SpecError("microphone-device: is that of --microphone; add it")
    if args.hotwords_score is not None and args.hotwords is None:
        raise SpecError("hotwords-score: is that of the phrases in --hotwords FILE; add it")
    if args.partial and (args.output is not None or args.format in ("srt", "vtt")):
        raise SpecError(
            "partial: what is known so far is written as it comes, in text and JSON; leave out "
            "--output, srt and vtt"
        )
    if args.partial and args.endpoint is None and args.segment != SEGMENT:
        raise SpecError(
            "segment: with --partial a recording is one stream, which nothing cuts; add --endpoint"
        )
    spec = read_export(args.model)
    if args.partial and not spec.streams:
        raise SpecError(
            "partial: wants an export for streams, and this one hears whole recordings; export "
            "the model with --streaming"
        )
    if args.microphone and not spec.streams:
        raise SpecError(
            "microphone: wants an export for streams, and this one hears whole recordings; export "
            "the model with --streaming"
        )
    check_chunk(spec, chunk_of(args))
    check_head(spec, args.head)
    endpoint = args.endpoint or (ENDPOINT if args.microphone else None)
    score = SCORE if args.hotwords_score is None else args.hotwords_score
    return load(
        args.model,
        beam=args.beam,
        hotwords=args.hotwords and read_hotwords(args.hotwords, score),
        endpoint=None if endpoint is None else seconds_of("endpoint", endpoint),
        longest=longest,
        threads=1 if args.threads is None else args.threads,
        memory=args.memory or "quick",
    )
