"""What the verbs `plan` and `compress` ask of a model of `transformers` alike."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from foldformer.errors import InputError, SpecError

if TYPE_CHECKING:
    from torch import Tensor, nn

EXTRA = "transformers"


def add_layers_argument(parser: argparse.ArgumentParser) -> None:
    """`--layers`."""
    parser.add_argument(
        "--layers",
        action="append",
        default=[],
        metavar="LIST",
        help="of a model of transformers: its list of layers, as encoder.layers, where it is not "
        "found by itself or others are to stay as they are",
    )


def is_foreign(args: argparse.Namespace) -> bool:
    """Whether the model is one of `transformers`; what only these have is refused for others."""
    if (args.model / "config.json").is_file():
        args.extra = EXTRA
        return True
    if args.layers:
        raise SpecError(f"--layers: is for models of transformers, and {args.model} is none")
    return False


def lists_in(args: argparse.Namespace, model: "nn.Module") -> list[str]:
    """The lists of layers that are named, or found; an error says of which model."""
    from foldformer.compress.foreign.originals import lists_of

    try:
        return lists_of(model, list(dict.fromkeys(args.layers)))
    except InputError as error:
        raise InputError(f"{args.model}: {error}") from None


def batches_for(
    args: argparse.Namespace, model: "nn.Module", lists: Sequence[str], paths: Sequence[str]
) -> list[dict[str, "Tensor"]]:
    """Enough of the files to calibrate these lists of layers with."""
    from foldformer.compress.foreign.originals import batches_of, widest

    return batches_of(args.model, model, paths, least=widest(model, lists))
