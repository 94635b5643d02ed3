"""Every kind of every family has an ONNX graph, which computes the same from the same numbers."""

from collections.abc import Callable
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import nn

from foldformer.deploy.export.encoders import OfflineEncoder, StreamingEncoder
from foldformer.deploy.export.heads import further_parts
from foldformer.deploy.export.make import save
from foldformer.deploy.export.parity import session
from foldformer.deploy.export.part import Part
from foldformer.deploy.export.sharing import check_files, stored_state
from foldformer.model import Model, ModelSpec
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.heads import HeadSpec
from foldformer.nn.heads.ctc import CtcSpec
from foldformer.spec import Spec, kind_of

EncoderSpecs = Callable[..., EncoderSpec]


def built(encoder: EncoderSpec, head: HeadSpec) -> Model:
    """A model in which no parameter is zero, and no two uses are alike."""
    torch.manual_seed(1)
    model = ModelSpec(vocab_size=7, encoder=encoder, heads=(head,)).build().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def assert_exported(parts: dict[str, Part], model: Model, folder: Path) -> None:
    graphs = {name: part.graph() for name, part in parts.items()}
    for name, graph in graphs.items():
        save(graph, folder / name)
    state = model.state_dict()
    stored = stored_state([graph.graph for graph in graphs.values()], state)
    for name, tensor in state.items():
        torch.testing.assert_close(torch.from_numpy(stored[name]), tensor, rtol=0, atol=0)
    check_files([folder / name for name in graphs], state)
    # The sum of the numbers in the files is that of the parameters, but for small constants.
    numbers = 0
    for name in graphs:
        for tensor in onnx.load(folder / name).graph.initializer:
            numbers += numpy_helper.to_array(tensor).size if "." in tensor.name else 0
    assert numbers == sum(tensor.numel() for tensor in state.values())
    with torch.inference_mode():
        for name, part in parts.items():
            assert part.difference(session(folder / name)) < 1e-4, name


def test_kind_streams_in_onnx(
    encoder_spec: EncoderSpecs, kind: tuple[str, Spec], tmp_path: Path
) -> None:
    field, spec = kind
    encoder = encoder_spec(**{"num_layers": 2, field: spec})
    model = built(encoder, CtcSpec())
    assert_exported({"model.onnx": StreamingEncoder(model, "ctc", 3, 4)}, model, tmp_path)


def test_head_in_onnx(
    encoder_spec: EncoderSpecs, head: tuple[str, HeadSpec], tmp_path: Path
) -> None:
    model = built(encoder_spec(num_layers=1, uses=1), head[1])
    name = kind_of(head[1])
    parts = {"encoder.onnx": OfflineEncoder(model, name), **further_parts(model, name)}
    assert_exported(parts, model, tmp_path)
