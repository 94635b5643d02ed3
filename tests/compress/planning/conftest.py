from collections.abc import Callable

import pytest
import torch

from foldformer.model import Model, ModelSpec
from foldformer.spec import from_dict

ENCODER = {
    "d_model": 24,
    "num_layers": 4,
    "uses": 1,
    "mixer": {"kind": "attention", "num_heads": 2},
    "feed_forward": {"kind": "dense", "d_ff": 40},
    "subsampling": {"channels": 16},
    "left_context": 8,
}


@pytest.fixture
def build() -> Callable[..., Model]:
    """A dense model of 4 layers with biases that are not zero; `encoder` changes its spec."""

    def built(**encoder: object) -> Model:
        torch.manual_seed(5)
        spec = {"vocab_size": 7, "encoder": {**ENCODER, **encoder}}
        model = from_dict(ModelSpec, spec).build().eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith("bias"):
                    parameter.normal_(std=0.1)
        return model

    return built
