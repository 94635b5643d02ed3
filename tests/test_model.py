"""The model: heads by name, weighted losses, messages."""

import re
from typing import Any

import pytest
import torch

from foldformer.errors import SpecError
from foldformer.model import Model, ModelSpec
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.heads.ctc import CtcSpec
from foldformer.nn.heads.transducer import TransducerSpec
from foldformer.nn.mixers.attention import AttentionSpec
from foldformer.nn.subsampling import SubsamplingSpec
from foldformer.spec import from_dict, to_dict

ENCODER = EncoderSpec(
    d_model=8,
    num_layers=2,
    mixer=AttentionSpec(num_heads=2),
    feed_forward=DenseFeedForwardSpec(d_ff=12),
    subsampling=SubsamplingSpec(num_mels=5, channels=6),
)
DATA = {
    "features": torch.randn(2, 32, 5),
    "lengths": torch.tensor([32, 25]),
    "targets": torch.tensor([[1, 2, 3], [4, 1, 0]]),
    "target_lengths": torch.tensor([3, 2]),
}


def built(*heads: Any) -> Model:
    torch.manual_seed(0)
    return ModelSpec(vocab_size=5, encoder=ENCODER, heads=heads).build()


def test_forward_is_the_weighted_sum_of_the_losses() -> None:
    model = built(TransducerSpec(), CtcSpec(weight=0.25))
    losses = model.losses(**DATA)
    assert list(losses) == ["transducer", "ctc"]
    torch.testing.assert_close(model(**DATA), losses["transducer"] + 0.25 * losses["ctc"])


def test_chunks_change_the_loss() -> None:
    model = built(CtcSpec())
    assert not torch.allclose(model(**DATA), model(**DATA, chunk=1))


def test_a_head_of_weight_0_is_kept_and_not_computed() -> None:
    model = built(TransducerSpec(), CtcSpec(weight=0))
    assert list(model.losses(**DATA)) == ["transducer"]
    torch.testing.assert_close(model(**DATA), model.losses(**DATA)["transducer"])
    assert model.head("ctc") is model.heads["ctc"]


def test_a_head_that_is_not_there() -> None:
    with pytest.raises(SpecError, match="head: the model has no 'ctc' head, only transducer"):
        built(TransducerSpec()).head("ctc")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vocab_size": 1}, "vocab_size: expected 2 tokens or more, got 1"),
        ({"heads": ()}, "heads: expected different kinds, at least one, got []"),
        (
            {"heads": (CtcSpec(), CtcSpec())},
            "heads: expected different kinds, at least one, got ['ctc', 'ctc']",
        ),
        ({"heads": (CtcSpec(weight=0),)}, "heads: all weights are 0"),
    ],
)
def test_models_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        ModelSpec(**{"vocab_size": 5, **settings})


def test_spec_as_plain_data() -> None:
    model = built(TransducerSpec(), CtcSpec(weight=0.25))
    assert from_dict(ModelSpec, to_dict(model.spec)) == model.spec
    short = {"vocab_size": 5, "heads": [{"kind": "ctc"}]}
    assert from_dict(ModelSpec, short) == ModelSpec(vocab_size=5)
    with pytest.raises(SpecError, match=r"encoder.mixer.num_head: unknown key; did you mean"):
        from_dict(
            ModelSpec,
            {"vocab_size": 5, "encoder": {"mixer": {"kind": "attention", "num_head": 2}}},
        )
