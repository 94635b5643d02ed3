"""Print what a model weighs and computes: parameters, bytes, multiply-adds, by part."""

import argparse
import json
import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from foldformer.cli._foreign import refuse_foreign

if TYPE_CHECKING:
    from foldformer.deploy.folder import ExportSpec
    from foldformer.model import ModelSpec

_VOCAB_SIZE = 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    parser.add_argument(
        "model",
        metavar="CONFIG_OR_PRESET",
        help="a YAML file with a `model:` mapping, a model folder, an export, or a "
        "preset such as paper-k3-r16",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print JSON: encoder_matrix_share is a percentage, sizes are bytes",
    )


def run(args: argparse.Namespace) -> int:
    """Print the description."""
    from foldformer.measure.describe import describe
    from foldformer.report.size_table import size_table
    from foldformer.spec import to_dict

    export = _export(args.model)
    if export is not None and export.is_whisper:
        _describe_whisper(args, export)
        return 0
    spec, assumed = _read(args.model)
    description = describe(spec)
    if args.json:
        found = {"model": args.model, "assumed": assumed} | asdict(description)
        if export is not None:
            found["export"] = to_dict(export)
            if export.stream is not None:
                found["export_state_bytes"] = _state_bytes(export, Path(args.model))
        print(json.dumps(found, indent=2))
        return 0
    print(args.model)
    if export is not None:
        _say_export(args.model, export)
        print("below: the model that it was made of, all heads")
    for key, value in assumed.items():
        print(f"assumed: {key} = {value}, which the configuration does not say")
    print(f"\n{size_table(description)}")
    return 0


def _describe_whisper(args: argparse.Namespace, export: "ExportSpec") -> None:
    """What the export of a Whisper weighs; the model that it was made of is not ours."""
    from foldformer.spec import to_dict

    if args.json:
        print(json.dumps({"model": args.model, "export": to_dict(export)}, indent=2))
        return
    print(args.model)
    _say_export(args.model, export)
    print(
        f"weights: {export.source.parameters:,} numbers, each stored once, in "
        f"{export.weight_bytes:,} bytes"
    )


def _export(name: str) -> "ExportSpec | None":
    """What an export is, if it is one, after a look into its files."""
    from foldformer.deploy.folder import DESCRIPTION

    if not (Path(name) / DESCRIPTION).is_file():
        return None
    from foldformer.deploy.check import check_any

    return check_any(name)


def _say_export(model: str, export: "ExportSpec") -> None:
    """Print kind, precision, how it hears, bytes."""
    what = f"export: {_what(export, Path(model))}"
    print(textwrap.fill(what, 80, subsequent_indent="  ", break_on_hyphens=False))


def _what(export: "ExportSpec", folder: Path) -> str:
    from foldformer.data.durations import shown

    said = [f"{export.kind} for {export.runtime}", export.stored]
    if export.stream is not None:
        said.append(
            f"chunks of {shown(export.stream.chunk)}, remembering "
            f"{shown(export.stream.left_context)} in {export.stream.states}, a state of "
            f"{_state_bytes(export, folder) / 1e6:.2f} MB"
        )
    size = sum((folder / file).stat().st_size for file in export.files)
    return f"{', '.join(said)}; ONNX files {size / 1e6:.2f} MB"


def _state_bytes(export: "ExportSpec", folder: Path) -> int:
    """What the runtime keeps of a stream between chunks: all that the graph takes but features."""
    from foldformer.deploy.onnx_file import read_onnx

    states = read_onnx(folder / export.files[0]).inputs[1:]
    return sum(abs(each.bytes) for each in states)  # any number of streams is -1: here one


def _read(name: str) -> tuple["ModelSpec", dict[str, int]]:
    """The spec, and what had to be assumed."""
    from foldformer.checkpoint import CONFIG
    from foldformer.data.tokens import TokensSpec
    from foldformer.deploy.folder import DESCRIPTION, MODEL
    from foldformer.errors import SpecError
    from foldformer.model import ModelSpec
    from foldformer.presets import PRESETS, preset
    from foldformer.spec import from_dict, nearest, read_yaml

    path = Path(name)
    if name in PRESETS:
        return preset(name), {}
    if not (path.exists() or path.suffix or len(path.parts) > 1):
        raise SpecError(f"{name}: no such file or folder, and no preset{nearest(name, PRESETS)}")
    refuse_foreign(path)
    if path.is_dir():  # of a model, or an export
        path /= MODEL if (path / DESCRIPTION).exists() else CONFIG
    data = read_yaml(path)
    described = data.get("model")
    if not isinstance(described, Mapping):
        raise SpecError(f"{path}: expected a mapping under `model`, which describes the model")
    model = dict(described)
    assumed: dict[str, int] = {}
    try:
        if "vocab_size" not in model:
            tokens = data.get("tokens")
            wanted = tokens.get("vocab_size") if isinstance(tokens, Mapping) else None
            if wanted is None:
                wanted = assumed["vocab_size"] = _VOCAB_SIZE
            model["vocab_size"] = from_dict(TokensSpec, {"vocab_size": wanted}, "tokens").vocab_size
        return from_dict(ModelSpec, model, "model"), assumed
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None
