"""What the verbs `plan` and `compress` ask of a model of `transformers` alike."""

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from foldformer.errors import InputError, SpecError

if TYPE_CHECKING:
    from torch import Tensor, nn

EXTRA = "transformers"

_SHOWN = 3
"""Names of maps that one reason is given for; the others are counted."""


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


def is_foreign_folder(model: Path) -> bool:
    """Whether a folder holds a model of `transformers`, folded or not."""
    # Our own have both where they come from the hub, whose client looks for a config.json.
    return (model / "config.json").is_file() and not (model / "config.yaml").is_file()


def is_foreign(args: argparse.Namespace) -> bool:
    """Whether the model is one of `transformers`; what only these have is refused for others.

    Raises:
        InputError: there is no such folder.
        SpecError: `--layers` with one of foldformer's own models.
    """
    if not args.model.is_dir():
        what = "is not a folder" if args.model.exists() else "no such folder"
        raise InputError(
            f"{args.model}: {what}; expected a model folder of foldformer (config.yaml, "
            "model.safetensors) or of transformers (config.json, safetensors)"
        )
    if is_foreign_folder(args.model):
        args.extra = EXTRA
        return True
    if args.layers:
        raise SpecError(f"--layers: is for models of transformers, and {args.model} is none")
    return False


def refuse_foreign(model: Path) -> None:
    """Say of a folder with a model of `transformers` what it is, where only our own will do.

    Raises:
        InputError: it is one.
    """
    if not is_foreign_folder(model):
        return
    if not (model / "foldformer.yaml").is_file():
        raise InputError(
            f"{model}: is a model of transformers; foldformer plan and compress take such models, "
            "and this command foldformer's own"
        )
    raise InputError(
        f"{model}: is a model of transformers that foldformer compress has folded; in Python, "
        f"foldformer.compress.foreign.load({str(model)!r}) gives it, and foldformer export "
        "exports a Whisper; this command takes foldformer's own models"
    )


def lists_in(args: argparse.Namespace, model: "nn.Module") -> list[str]:
    """The lists of layers that are named, or found; an error says of which model."""
    from foldformer.compress.foreign.originals import lists_of

    try:
        return lists_of(model, list(dict.fromkeys(args.layers)))
    except InputError as error:
        raise InputError(f"{args.model}: {error}") from None


def kept_lines(model: "nn.Module", lists: Sequence[str]) -> list[str]:
    """What of a model stays as it is, and why, 80 columns wide."""
    from foldformer.compress.foreign.stacks import find_stack, left_out

    said = [f"all outside of {', '.join(lists)}; norms and biases"]
    said += [f"{name}: {why}" for name, why in left_out(model, lists).items()]
    for name in lists:
        reasons: dict[str, list[str]] = {}
        for part, why in find_stack(model, name).kept.items():
            reasons.setdefault(why, []).append(part)
        for why, parts in reasons.items():
            more = f" and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else ""
            said.append(f"in {name}, {', '.join(parts[:_SHOWN])}{more}: {why}")
    return [textwrap.fill(f"stays as it is: {each}", 80, subsequent_indent="  ") for each in said]


def batches_for(
    args: argparse.Namespace,
    model: "nn.Module",
    lists: Sequence[str],
    paths: Sequence[str],
    *,
    field: str = "text",
    valid_share: float = 0.0,
) -> "Sequence[dict[str, Tensor]]":
    """Enough of the files to calibrate these lists of layers with; see `batches_of`."""
    from foldformer.compress.foreign.originals import batches_of, widest

    least = widest(model, lists)
    return batches_of(args.model, model, paths, least=least, field=field, valid_share=valid_share)
