"""The model that the benchmarks of training share."""

import torch

from foldformer.model import Model, ModelSpec
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.linears.residual import ResidualSpec

VOCABULARY = 500


def trained_model(width: int, layers: int, uses: int) -> Model:
    """An encoder with dropout, of rank 16 where layers are shared, and a CTC head; seed 0."""
    torch.manual_seed(0)
    encoder = EncoderSpec(
        d_model=width,
        num_layers=layers,
        uses=uses,
        feed_forward=DenseFeedForwardSpec(d_ff=4 * width, dropout=0.1),
        linear=ResidualSpec(rank=16 if uses > 1 else 0),
    )
    model: Model = ModelSpec(vocab_size=VOCABULARY, encoder=encoder).build().train()
    return model
