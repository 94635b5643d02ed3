"""A model of a preset with random weights: what size and speed can be measured with."""

import torch
from torch import nn

from foldformer.checkpoint import ModelConfig
from foldformer.data.tokens import BLANK, UNKNOWN, Tokens
from foldformer.model import Model
from foldformer.presets import preset


def untrained(name: str) -> tuple[Model, Tokens, ModelConfig]:
    """The preset's model, in evaluation mode, tokens to go with it, and its configuration.

    What training begins at zero, as the residuals, is random too, so that no use equals another.

    Raises:
        SpecError: there is no such preset.
    """
    spec = preset(name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = spec.build().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if not parameter.any():
                    nn.init.normal_(parameter, std=0.02)
    assert spec.vocab_size is not None
    symbols = [BLANK, UNKNOWN, *(f"▁{i}" for i in range(2, spec.vocab_size))]
    return model, Tokens(symbols), ModelConfig(model=spec)
