"""Turn a model into files for a runtime on a device."""

import argparse
import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from foldformer.cli._bar import tell
from foldformer.cli._foreign import is_foreign_folder
from foldformer.cli._foreign_export import run_export

if TYPE_CHECKING:
    from foldformer.checkpoint import ModelConfig
    from foldformer.data.tokens import Tokens
    from foldformer.deploy.folder import ExportSpec, StreamSpec
    from foldformer.model import Model

EXTRA = "export"

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a model folder; that of a Whisper of transformers, folded or not; a preset with "
        "--random-weights",
    )
    parser.add_argument(
        "--to",
        choices=["sherpa-onnx", "onnxruntime"],
        help="what is to run it; default: sherpa-onnx, and onnxruntime for a Whisper, whose files "
        "are the same for both",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="a new folder; default: beside the model"
    )
    parser.add_argument(
        "--head", metavar="KIND", help="ctc or transducer; default: the first of the model"
    )
    parser.add_argument(
        "--streaming", action="store_true", help="for streams; default: for whole recordings"
    )
    parser.add_argument(
        "--chunk",
        metavar="320ms",
        help="of a stream; default: the first that the model was trained with, or 320ms",
    )
    parser.add_argument(
        "--left-context",
        metavar="5.12s",
        help="that a stream remembers before its chunk; default: what the model was trained with",
    )
    parser.add_argument(
        "--precision",
        choices=["fp32", "fp16", "int8", "int4"],
        default="fp32",
        help="of the stored weights",
    )
    parser.add_argument(
        "--reduce-range",
        action="store_true",
        help="int8 weights in 7 bits, for processors that add products in 16 bits: x86 without "
        "VNNI",
    )
    parser.add_argument(
        "--states",
        choices=["fp32", "int8"],
        help="how a stream remembers its left context; default: fp32",
    )
    parser.add_argument(
        "--random-weights", action="store_true", help="of a preset, for measuring without training"
    )


def run(args: argparse.Namespace) -> int:
    """Export, check, and say what came out."""
    from foldformer.deploy.folder import HEARING
    from foldformer.deploy.processor import inexact

    card = _card(args)
    if is_foreign_folder(Path(args.model)):
        spec, folder = run_export(args, card)
        following = f"python {shlex.quote(str(folder / HEARING))} RECORDING.wav"
    else:
        spec, folder = _export(args, card)
        following = f"foldformer transcribe {shlex.quote(str(folder))} RECORDING.wav"
    total = 0
    for name in spec.files:
        size = (folder / name).stat().st_size
        total += size
        print(f"{folder / name}: {size:,} bytes")
    print(
        f"weights: {spec.source.parameters:,} numbers, each stored once, in "
        f"{spec.weight_bytes:,} bytes; all else: {total - spec.weight_bytes:,} bytes"
    )
    if spec.products is not None:
        print(
            f"products: {spec.products.integer} of {spec.products.total} in whole numbers; "
            f"{spec.products.stored} in fp32 with weights stored in int8"
        )
    print(f"largest difference to PyTorch: {spec.difference:.1e} of the largest output")
    if spec.difference_fp32 is not None:
        print(f"in the runtime, to PyTorch with the weights in fp32: {spec.difference_fp32:.1e}")
    if warning := inexact(spec):
        log.warning(warning)
    print(f"export: {folder}")
    if spec.source.trained:
        print(f"next: {following}")
    return 0


def _export(args: argparse.Namespace, card: str | None) -> tuple["ExportSpec", Path]:
    """Export a model of ours; returns what came out, and where it is."""
    from foldformer.deploy.export import make
    from foldformer.errors import SpecError

    if args.to == "onnxruntime":
        raise SpecError(
            "--to onnxruntime: is for a Whisper; foldformer's own models are exported for "
            "sherpa-onnx, which runs them in ONNX Runtime"
        )
    model, tokens, config = _source(args)
    stream = _stream(args, config)
    folder = args.output or _default_output(args, next(iter(model.heads)), stream)
    spec = make.export(
        model,
        tokens,
        config,
        folder,
        name=Path(args.model).name,
        trained=not args.random_weights,
        head=args.head,
        stream=stream,
        precision=args.precision,
        reduce_range=args.reduce_range,
        card=card,
        progress=tell,
    )
    return spec, folder


def _default_output(args: argparse.Namespace, first: str, stream: "StreamSpec | None") -> Path:
    """Beside the model, or here for a preset: what it is is in its name."""
    from foldformer.data.durations import shown

    way = "offline" if stream is None else f"streaming-{shown(stream.chunk)}"
    model = Path(args.model)
    if model.name in ("", ".."):  # the folder where we are, or one above it
        model = model.resolve()
    name = f"{model.name}-{way}-{args.head or first}-{args.precision}"
    if args.reduce_range:
        name += "-reduce-range"
    if args.left_context:
        name += f"-left-{args.left_context.strip()}"
    return model.with_name(
        name if args.states in (None, "fp32") else f"{name}-states-{args.states}"
    )


def _card(args: argparse.Namespace) -> str | None:
    """That of the model, if it has one; it goes along whatever it is written in."""
    path = Path(args.model) / "README.md"
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


def _source(args: argparse.Namespace) -> tuple["Model", "Tokens", "ModelConfig"]:
    """The model, its tokens, and what it was made for."""
    from foldformer.decode.recognizer import Recognizer
    from foldformer.deploy.folder import is_export
    from foldformer.errors import SpecError
    from foldformer.presets import PRESETS

    if args.random_weights:
        from foldformer.deploy.export.untrained import untrained

        return untrained(args.model)
    if args.model in PRESETS and not Path(args.model).exists():
        raise SpecError(
            f"{args.model} is a preset, which has no weights: --random-weights exports it for "
            "measuring"
        )
    if is_export(args.model):
        raise SpecError(
            f"{args.model} is an export; export the model that it was made of once more"
        )
    recognizer = Recognizer.load(args.model, args.head)
    return recognizer.model, recognizer.tokens, recognizer.config


def _stream(args: argparse.Namespace, config: "ModelConfig") -> "StreamSpec | None":
    """How a stream is heard; None for an offline export.

    Raises:
        SpecError: durations that are no multiple of 40 ms, or more left context than was trained.
    """
    from foldformer.cli._model_arguments import frames_of
    from foldformer.data.durations import shown
    from foldformer.deploy.folder import StreamSpec
    from foldformer.errors import SpecError

    if not args.streaming:
        for option in ("chunk", "left_context", "states"):
            if getattr(args, option) is not None:
                name = option.replace("_", "-")
                raise SpecError(f"{name}: only a stream has one; add --streaming")
        return None
    chunk = frames_of("chunk", args.chunk) if args.chunk else next(iter(config.chunks), 8)
    trained = config.model.encoder.left_context
    left_context = trained
    if args.left_context:
        left_context = frames_of("left-context", args.left_context)
    if left_context > trained:
        raise SpecError(
            f"left-context: {shown(left_context)} is more than the model was trained to "
            f"remember, {shown(trained)}"
        )
    if not args.random_weights and chunk not in config.chunks:
        known = ", ".join(map(shown, config.chunks)) or "whole recordings"
        log.warning("trained with %s, not with chunks of %s", known, shown(chunk))
    return StreamSpec(chunk=chunk, left_context=left_context, states=args.states or "fp32")
