"""One command's work: from a model to a checked export folder."""

import copy
import itertools
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import Tensor

from foldformer.checkpoint import ModelConfig
from foldformer.data.features import NUM_MELS
from foldformer.data.tokens import Tokens
from foldformer.deploy.export.card import export_card
from foldformer.deploy.export.compared import compared, rounded, shortened
from foldformer.deploy.export.encoders import OfflineEncoder, StreamingEncoder
from foldformer.deploy.export.heads import check_head, further_parts
from foldformer.deploy.export.part import Part
from foldformer.deploy.export.place import check_new, new_export
from foldformer.deploy.export.precision import check_range, in_precision
from foldformer.deploy.export.provider import OLDEST, provider_options, write_provider
from foldformer.deploy.export.sharing import check_files, stored_state
from foldformer.deploy.folder import (
    CARD,
    DESCRIPTION,
    MODEL,
    MODEL_CARD,
    MODEL_TYPES,
    TOKENS,
    ExportSpec,
    Precision,
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
    reduce_range: bool = False,
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
        reduce_range: int8 weights of products have 7 bits, for x86 without VNNI.
        card: that of the model, in Markdown, which goes along: licences bind what is made of it.
        progress: called with what is done next, in a few words.

    Raises:
        SpecError: the model has no such head, the runtime has no place for the model, there is no
            range to reduce, or the files are not what they have to be.
        InputError: the folder is not empty, or cannot be written, or a weight is not finite.
    """
    check_new(folder)
    check_range(precision, reduce_range=reduce_range)
    head = head or kind_of(model.spec.heads[0])
    check_head(model.head(head))
    if model.encoder.subsampling.mean.numel() != NUM_MELS:
        raise SpecError(
            f"subsampling.num_mels: sherpa-onnx makes {NUM_MELS} features, and the model takes "
            f"{model.encoder.subsampling.mean.numel()}"
        )
    state = _weights(model, head)
    check_finite(state)
    parts = _parts(model, head, stream)
    graphs = {}
    for file, part in parts.items():
        progress(f"{file}: making the graph")
        graphs[file] = part.graph()
    products = in_precision(
        graphs.values(), precision, shared_weights(model), reduce_range=reduce_range
    )
    stored = stored_state([graph.graph for graph in graphs.values()], state)
    references = _parts(_with_state(model, stored), head, stream)
    with new_export(folder) as beside:
        for file, graph in graphs.items():
            save(graph, beside / file)
        paths = [beside / file for file in graphs]
        weight_bytes = check_files(paths, state)
        progress("comparing with PyTorch")
        difference = max(
            compared(references[path.name].difference, path, precision) for path in paths
        )
        in_runtime = None
        if precision != "fp32":
            in_runtime = max(rounded(parts[path.name].difference, path) for path in paths)
        tokens.save(beside)
        kind: Any = f"{'offline' if stream is None else 'streaming'}-{head}"
        spec = ExportSpec(
            kind=kind,
            precision=precision,
            reduce_range=reduce_range,
            model_type=MODEL_TYPES[kind],
            vocab_size=tokens.vocab_size,
            stream=stream,
            provider=provider_options(products),
            onnxruntime=OLDEST[precision],
            weight_bytes=weight_bytes,
            products=products,
            checksums={path.name: checksum(path) for path in [*paths, beside / TOKENS]},
            difference=shortened(difference),
            difference_fp32=None if in_runtime is None else shortened(in_runtime),
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


def _weights(model: Model, head: str) -> dict[str, Tensor]:
    """The parameters and buffers that the files have to hold: not those of other heads."""
    ours = ("encoder.", f"heads.{head}.")
    return {name: t for name, t in model.state_dict().items() if name.startswith(ours)}


def check_finite(state: Mapping[str, Tensor]) -> None:
    """Check weights: what was damaged in training would be found by nobody but the listener.

    Raises:
        InputError: one is not finite.
    """
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


def _write_rest(
    folder: Path, spec: ExportSpec, tokens: Tokens, config: ModelConfig, card: str | None
) -> None:
    """Everything but the ONNX files and the tokens."""
    if spec.head == "transducer":
        write_vocabulary(folder, tokens)
    write_yaml(folder / DESCRIPTION, spec)
    write_yaml(folder / MODEL, config)
    write_provider(folder, spec.provider)
    if card is not None:
        (folder / MODEL_CARD).write_text(card, encoding="utf-8")
    sizes = {file: (folder / file).stat().st_size for file in spec.files}
    (folder / CARD).write_text(export_card(spec, sizes, config, card is not None), encoding="utf-8")
