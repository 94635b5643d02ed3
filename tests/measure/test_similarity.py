"""Cosines of layers: what is shared is alike, what began at random is not."""

from pathlib import Path

import numpy as np
import pytest
import torch

from foldformer.checkpoint import ModelConfig, save_model
from foldformer.measure.similarity import similarity_of
from foldformer.model import ModelSpec
from foldformer.nn.depth.sequential import SequentialSpec
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.nn.mixers.attention import AttentionSpec


def cosines(folder: Path, uses: int, order: str) -> np.ndarray:
    torch.manual_seed(0)
    spec = ModelSpec(
        vocab_size=5,
        encoder=EncoderSpec(
            d_model=16,
            num_layers=4,
            uses=uses,
            mixer=AttentionSpec(num_heads=2),
            feed_forward=DenseFeedForwardSpec(d_ff=32),
            linear=ResidualSpec(rank=1),
            depth=SequentialSpec(order=order),
        ),
    )
    save_model(folder, spec.build(), ModelConfig(model=spec))
    found = similarity_of(folder)
    assert found.model == str(folder)
    return np.array(found.cosines)


@pytest.mark.parametrize(
    ("uses", "order", "layers"),
    [(1, "adjacent", [0, 1, 2, 3]), (2, "adjacent", [0, 0, 1, 1]), (2, "cycle", [0, 1, 0, 1])],
)
def test_uses_of_one_layer_begin_alike(
    tmp_path: Path, uses: int, order: str, layers: list[int]
) -> None:
    """Low-rank and diagonal parts start at zero."""
    found = cosines(tmp_path, uses, order)
    same = np.equal.outer(layers, layers)
    np.testing.assert_allclose(found[same], 1, atol=1e-3)
    assert np.abs(found[~same]).max(initial=0) < 0.2
    np.testing.assert_allclose(found, found.T)
