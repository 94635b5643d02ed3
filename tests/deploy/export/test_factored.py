"""Factored maps in whole numbers: both products of each use, each number once."""

from collections import Counter

import onnx_ir as ir
import torch
from torch import nn

from foldformer.deploy.export.encoders import StreamingEncoder
from foldformer.deploy.export.integers import to_integers
from foldformer.deploy.export.sharing import stored_state
from foldformer.deploy.export.stored import STORED
from foldformer.deploy.export.views import parameters
from foldformer.model import ModelSpec
from foldformer.spec import from_dict

RANK, MATRICES, USES = 40, 6, 2
SPEC = {
    "vocab_size": 9,
    "encoder": {
        "d_model": 48,
        "num_layers": USES,
        "uses": USES,
        "mixer": {"kind": "attention", "num_heads": 2},
        "feed_forward": {"kind": "dense", "d_ff": 72},
        "linear": {"kind": "low_rank", "rank": RANK},
        "linears": {name: {"kind": "basis", "rank": RANK} for name in ("value", "expand")},
        "subsampling": {"channels": 8},
        "left_context": 8,
    },
}


def test_every_product_is_in_whole_numbers() -> None:
    torch.manual_seed(0)
    model = from_dict(ModelSpec, SPEC).build().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    graph: ir.Model = StreamingEncoder(model, "ctc", 4, 8).graph()
    found = to_integers(graph, ())
    # Two products of each map and use, and the head; the convolutions are stored alone.
    assert (found.integer, found.stored) == (2 * MATRICES * USES + 1, 2)
    kinds = Counter(node.op_type for node in graph.graph)
    assert kinds["MatMulIntegerToFloat"] == found.integer
    state = model.state_dict()
    stored = stored_state([graph.graph], state)
    for value in parameters(graph.graph):
        assert (STORED in value.meta) == (value.const_value.numpy().ndim > 1), value.name
    for name, tensor in state.items():
        step = tensor.abs().max() / 127
        assert (torch.from_numpy(stored[name]) - tensor).abs().max() <= 0.51 * step, name
