"""One command's work: from a model to a checked export folder."""

import copy
import itertools
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import Tensor

from foldformer.checkpoint import ModelConfig, complete_files, remove_incomplete
from foldformer.data.features import NUM_MELS
from foldformer.data.tokens import Tokens
from foldformer.deploy.export.card import export_card
from foldformer.deploy.export.encoders import OfflineEncoder, StreamingEncoder
from foldformer.deploy.export.heads import check_head, further_parts
from foldformer.deploy.export.integers import to_integers
from foldformer.deploy.export.parity import session
from foldformer.deploy.export.part import Part
from foldformer.deploy.export.plain import plain_form
from foldformer.deploy.export.precision import to_fp16
from foldformer.deploy.export.sharing import check_files, stored_state
from foldformer.deploy.folder import (
    CARD,
    DESCRIPTION,
    MODEL,
    MODEL_CARD,
    MODEL_TYPES,
    PROVIDER,
    SMALL_PROVIDER,
    TOKENS,
    ExportSpec,
    Precision,
    ProductsSpec,
    SourceSpec,
    StreamSpec,
    checksum,
)
from foldformer.deploy.pieces import write_vocabulary
from foldformer.errors import InputError, SpecError
from foldformer.model import Model
from foldformer.nn.quantise import shared_weights
from foldformer.spec import kind_of, write_yaml

_IR_VERSION = 9

_PARTIAL = ".partial-"
"""How the folder of a call begins that was killed, see `foldformer.files`: it is no export."""

TOLERANCE = 1e-3
"""The largest difference to PyTorch, as a share of the largest output."""


_ONNXRUNTIME: dict[Precision, str] = {
    "fp32": "1.21",
    "fp16": "1.21",
    "int8": "1.21",
    "int4": "1.28",
}
"""The oldest versions that pack the weights of such products once for all of them."""

_PROVIDER = {"EnableCpuMemArena": "0", "EnableMemPattern": "0"}
"""Without its arena, ONNX Runtime gives memory back after each chunk: 20 MB at 18 x 512."""

_WIDENED_AT_ONCE = {"SessionConfig.session.disable_quant_qdq": "1"}
"""What is stored in int8 and multiplied in fp32 is taken to fp32 when it is loaded: 5 MB more at
18 x 512, and a chunk of 320 ms 1 to 5 % faster. sherpa-onnx takes such keys since after 1.13.4."""


def export(
    model: Model,
    tokens: Tokens,
    config: ModelConfig,
    folder: Path,
    *,
    name: str,
    trained: bool = True,
    head: str | None = None,
    stream: StreamSpec | None = None,
    precision: Precision = "fp32",
    card: str | None = None,
    progress: Callable[[str], None] = lambda what: None,
) -> ExportSpec:
    """Write an export into a folder that is empty or does not exist.

    Args:
        model: in evaluation mode.
        tokens: what its outputs mean.
        config: what it was made for.
        folder: where to.
        name: what the card calls the model.
        trained: whether its weights are more than random.
        head: the kind of head; the first unless given.
        stream: chunk and left context of a streaming export; None for an offline one.
        precision: how weights are stored.
        card: that of the model, in Markdown, which goes along: licences bind what is made of it.
        progress: called with what is done next, in a few words.

    Raises:
        SpecError: the model has no such head, the runtime has no place for the model, or the
            files are not what they have to be.
        InputError: the folder is not empty, or cannot be written, or a weight is not finite.
    """
    if folder.is_dir() and any(not each.name.startswith(_PARTIAL) for each in folder.iterdir()):
        raise InputError(f"{folder}: is not empty; choose a new folder with --output")
    head = head or kind_of(model.spec.heads[0])
    check_head(model.head(head))
    if model.encoder.subsampling.mean.numel() != NUM_MELS:
        raise SpecError(
            f"subsampling.num_mels: sherpa-onnx makes {NUM_MELS} features, and the model takes "
            f"{model.encoder.subsampling.mean.numel()}"
        )
    state = _weights(model, head)
    _check_finite(state)
    parts = _parts(model, head, stream)
    graphs = {}
    for file, part in parts.items():
        progress(f"{file}: making the graph")
        graphs[file] = part.graph()
    products = _in_precision(graphs.values(), precision, shared_weights(model))
    stored = stored_state([graph.graph for graph in graphs.values()], state)
    references = _parts(_with_state(model, stored), head, stream)
    fresh = not folder.exists()
    try:
        with complete_files(folder) as beside:
            for file, graph in graphs.items():
                save(graph, beside / file)
            paths = [beside / file for file in graphs]
            weight_bytes = check_files(paths, state)
            progress("comparing with PyTorch")
            difference = max(_compared(references[path.name], path, precision) for path in paths)
            rounded = None
            if precision != "fp32":
                rounded = max(_rounded(parts[path.name], path) for path in paths)
            tokens.save(beside)
            kind: Any = f"{'offline' if stream is None else 'streaming'}-{head}"
            spec = ExportSpec(
                kind=kind,
                precision=precision,
                model_type=MODEL_TYPES[kind],
                vocab_size=tokens.vocab_size,
                stream=stream,
                provider=_PROVIDER if products is None else _PROVIDER | _WIDENED_AT_ONCE,
                onnxruntime=_ONNXRUNTIME[precision],
                weight_bytes=weight_bytes,
                products=products,
                checksums={path.name: checksum(path) for path in [*paths, beside / TOKENS]},
                difference=float(f"{difference:.1e}"),
                difference_fp32=None if rounded is None else float(f"{rounded:.1e}"),
                source=SourceSpec(
                    name=name,
                    trained=trained,
                    text=config.text,
                    languages=config.languages,
                    parameters=sum(tensor.numel() for tensor in state.values()),
                    foldformer=version("foldformer"),
                ),
            )
            _write_rest(beside, spec, tokens, config, card)
        # Of an earlier call that was killed; one at work now is too late.
        remove_incomplete(folder)
    except BaseException:
        if fresh and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        raise
    return spec


def save(graph: ir.Model, path: Path) -> None:
    """Write a graph as one file that ONNX Runtime reads since 1.17."""
    graph.ir_version = _IR_VERSION
    graph.producer_name, graph.producer_version = "foldformer", version("foldformer")
    _shorten_names(graph.graph)
    proto = ir.to_proto(graph)
    proto.graph.ClearField("value_info")  # shapes on the way, which runtimes infer themselves
    onnx.save(proto, path)


def _shorten_names(graph: ir.Graph) -> None:
    """The runtime keeps every name of the thousands on the way: 0.35 MB at 18 x 512.

    Weights, inputs and outputs keep theirs, by which others find them.
    """
    kept = {*graph.inputs, *graph.outputs, *graph.initializers.values()}
    taken = {value.name for value in kept}
    names = (name for each in itertools.count() if (name := f"v{each}") not in taken)
    for node in graph.all_nodes():
        node.name = None
        for value in node.outputs:
            if value.name and value not in kept:  # without a name: an output that nobody takes
                value.name = next(names)


def _parts(model: Model, head: str, stream: StreamSpec | None) -> dict[str, Part]:
    """{file: what it computes}, the encoder first."""
    further = further_parts(model, head)
    encoder: Part
    if stream is None:
        encoder = OfflineEncoder(model, head)
    else:
        rounded = stream.states == "int8"
        encoder = StreamingEncoder(model, head, stream.chunk, stream.left_context, rounded=rounded)
    return {"encoder.onnx" if further else "model.onnx": encoder, **further}


def _in_precision(
    graphs: Iterable[ir.Model], precision: Precision, shared: Collection[str]
) -> ProductsSpec | None:
    """Store the weights so; returns what became of the products."""
    if precision == "fp16":
        for model in graphs:
            to_fp16(model.graph)
    if precision not in ("int8", "int4"):
        return None
    found = [to_integers(model, shared if precision == "int4" else ()) for model in graphs]
    return ProductsSpec(
        integer=sum(each.integer for each in found),
        stored=sum(each.stored for each in found),
        total=sum(each.total for each in found),
    )


def _weights(model: Model, head: str) -> dict[str, Tensor]:
    """The parameters and buffers that the files have to hold: not those of other heads."""
    ours = ("encoder.", f"heads.{head}.")
    return {name: t for name, t in model.state_dict().items() if name.startswith(ours)}


def _check_finite(state: Mapping[str, Tensor]) -> None:
    """What was damaged in training would be found by nobody but the listener."""
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise InputError(
                f"{name}: has numbers that are not finite; the model is damaged: take a checkpoint "
                "from before, or train it again"
            )


def _with_state(model: Model, state: Mapping[str, NDArray[np.float32]]) -> Model:
    """A copy of the model with other numbers in some of its parameters."""
    copied = copy.deepcopy(model)
    copied.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=False)
    return copied


def _compared(part: Part, path: Path, precision: Precision) -> float:
    """The difference between a part and its file, whose products are in fp32 for that.

    Raises:
        SpecError: it is more than `TOLERANCE`.
    """
    file: Path | bytes = path
    if precision in ("int8", "int4"):
        file = plain_form(onnx.load(path)).SerializeToString()
    found = _difference(part, file)
    if not found <= TOLERANCE:
        raise SpecError(
            f"export: {path.name} differs from PyTorch by {found:.1e} of its largest output; "
            f"expected at most {TOLERANCE:.0e}"
        )
    return found


def _rounded(part: Part, path: Path) -> float:
    """The difference between a file as it is and the part before its weights were rounded.

    Raises:
        SpecError: there is no number for it.
    """
    found = _difference(part, path)
    if not math.isfinite(found):
        raise SpecError(f"export: {path.name} gives numbers that are not finite in the runtime")
    return found


def _difference(part: Part, file: Path | bytes) -> float:
    with torch.inference_mode(), torch.random.fork_rng():
        torch.manual_seed(0)
        return part.difference(session(file))


def _write_rest(
    folder: Path, spec: ExportSpec, tokens: Tokens, config: ModelConfig, card: str | None
) -> None:
    """Everything but the ONNX files and the tokens."""
    if spec.head == "transducer":
        write_vocabulary(folder, tokens)
    write_yaml(folder / DESCRIPTION, spec)
    write_yaml(folder / MODEL, config)
    _write_provider(folder / PROVIDER, spec.provider)
    if spec.provider != _PROVIDER:
        _write_provider(folder / SMALL_PROVIDER, _PROVIDER)
    if card is not None:
        (folder / MODEL_CARD).write_text(card, encoding="utf-8")
    sizes = {file: (folder / file).stat().st_size for file in spec.files}
    (folder / CARD).write_text(export_card(spec, sizes, config, card is not None), encoding="utf-8")


def _write_provider(path: Path, options: Mapping[str, str]) -> None:
    lines = [f"{key}={value}\n" for key, value in options.items()]
    path.write_text("".join(lines), encoding="utf-8")
