"""The verb `export` for models of `transformers`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldformer.cli._bar import tell
from foldformer.cli._foreign import EXTRA
from foldformer.errors import InputError, SpecError

if TYPE_CHECKING:
    from foldformer.deploy.folder import ExportSpec

_WHISPER = "WhisperForConditionalGeneration"


def run_export(args: argparse.Namespace, card: str | None) -> tuple["ExportSpec", Path]:
    """Export a Whisper, folded or not; returns what came out, and where it is.

    Args:
        args: of the verb.
        card: of the model, if it has one.

    Raises:
        InputError: the model is another one, or its folder is damaged.
        SpecError: an option is for our own models.
    """
    from foldformer.deploy.export.place import check_new

    args.extra = EXTRA
    _check(args)
    source = Path(args.model).resolve()
    name = f"{source.name}-offline-whisper-{args.precision}"
    folder = args.output or source.with_name(name + "-reduce-range" * args.reduce_range)
    check_new(folder)
    model, tokenizer = _load(Path(args.model))
    from foldformer.deploy.export.whisper import export_whisper

    spec = export_whisper(
        model,
        tokenizer,
        folder,
        name=source.name,
        precision=args.precision,
        reduce_range=args.reduce_range,
        runtime=args.to or "onnxruntime",
        card=card,
        progress=tell,
    )
    return spec, folder


def _check(args: argparse.Namespace) -> None:
    """Refuse what is for our own models."""
    for option in ("head", "streaming", "chunk", "left_context", "states", "random_weights"):
        if getattr(args, option):
            raise SpecError(
                f"--{option.replace('_', '-')}: is for foldformer's own models, and {args.model} "
                "is one of transformers"
            )


def _load(folder: Path) -> tuple[Any, Any]:
    """The model, which is a Whisper, and its tokenizer."""
    from foldformer.compress import foreign
    from foldformer.compress.foreign.files import PLAN, kind_and_config
    from foldformer.compress.foreign.originals import load_original, load_tokenizer

    kind = kind_and_config(folder)[0].__name__
    if kind != _WHISPER:
        raise InputError(
            f"{folder}: is a {kind}; of the models of transformers, Whisper alone is exported "
            f"({_WHISPER})"
        )
    model = foreign.load(folder) if (folder / PLAN).is_file() else load_original(folder)
    return model, load_tokenizer(folder, "to say what its numbers mean with")
