"""The arithmetic of stored bytes against the bytes of real files."""

from pathlib import Path

import pytest
import torch
from torch import nn

from foldformer.checkpoint import ModelConfig
from foldformer.data.tokens import Tokens
from foldformer.deploy.export.make import export
from foldformer.measure.stored import Precision, matrix_bytes, other_bytes, vector_bytes
from foldformer.model import Model, ModelSpec
from foldformer.spec import from_dict

PRECISIONS: list[Precision] = ["fp16", "int4"]  # int4 stores all but full-rank weights in int8
WIDTH, HIDDEN, RANKS = 72, 104, (3, 40)  # blocks that are not full; a rank to either side of 32
ENCODER = {
    "d_model": WIDTH,
    "num_layers": 2,
    "uses": 2,
    "mixer": {"kind": "attention", "num_heads": 2},
    "feed_forward": {"kind": "dense", "d_ff": HIDDEN},
    "linear": {"kind": "residual", "rank": list(RANKS)},
    "linears": {"value": {"kind": "dense"}},
    "subsampling": {"channels": 16},
    "left_context": 8,
}


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(4)
    built = from_dict(ModelSpec, {"vocab_size": 9, "encoder": ENCODER}).build().eval()
    with torch.no_grad():
        for parameter in built.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
    return built


def residual(inputs: int, outputs: int, precision: Precision) -> int:
    size = matrix_bytes(inputs, outputs, precision, full_rank=True)
    size += 2 * vector_bytes(min(inputs, outputs))
    for rank in RANKS:
        size += matrix_bytes(inputs, rank, precision, full_rank=False)
        size += matrix_bytes(rank, outputs, precision, full_rank=False)
    return size


@pytest.mark.parametrize("precision", PRECISIONS)
def test_it_is_what_an_export_holds(model: Model, precision: Precision, tmp_path: Path) -> None:
    spec = export(
        model,
        Tokens(["<blk>", "<unk>", *"abcdefg"]),
        ModelConfig(model=model.spec),
        tmp_path / "export",
        name="model",
        precision=precision,
    )
    counted = other_bytes(model, precision)
    counted += 3 * residual(WIDTH, WIDTH, precision)
    counted += 2 * matrix_bytes(WIDTH, WIDTH, precision, full_rank=True)
    counted += residual(WIDTH, HIDDEN, precision) + residual(HIDDEN, WIDTH, precision)
    assert spec.weight_bytes == counted


def test_in_full_it_is_four_bytes_a_number(model: Model) -> None:
    counted = other_bytes(model, "fp32")
    counted += 3 * residual(WIDTH, WIDTH, "fp32")
    counted += 2 * matrix_bytes(WIDTH, WIDTH, "fp32", full_rank=True)
    counted += residual(WIDTH, HIDDEN, "fp32") + residual(HIDDEN, WIDTH, "fp32")
    assert counted == 4 * sum(tensor.numel() for tensor in model.state_dict().values())
