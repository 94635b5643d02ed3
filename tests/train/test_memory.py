import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from foldformer.model import Model, ModelSpec
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.heads import HeadSpec
from foldformer.nn.heads.ctc import CtcSpec
from foldformer.nn.heads.transducer import TransducerSpec
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.nn.quantise import shared_weights
from foldformer.train.config import QuantizationNoiseSpec, TrainingSpec
from foldformer.train.memory import Shape, activation_bytes, memory_of

HEADS: dict[str, tuple[HeadSpec, ...]] = {
    "ctc": (CtcSpec(),),
    "transducer": (TransducerSpec(predictor_dim=16, joiner_dim=16), CtcSpec(weight=0.1)),
}


def model_of(heads: tuple[HeadSpec, ...]) -> Model:
    torch.manual_seed(0)
    encoder = EncoderSpec(
        d_model=32,
        num_layers=4,
        uses=2,
        feed_forward=DenseFeedForwardSpec(d_ff=64),
        linear=ResidualSpec(rank=2),
    )
    return ModelSpec(vocab_size=40, encoder=encoder, heads=heads).build()


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("chunk", [None, 8])
def test_what_a_forward_pass_keeps_is_what_the_allocator_says(
    heads: str, chunk: int | None
) -> None:
    model = model_of(HEADS[heads]).train()
    shape = Shape(batch=5, frames=300, tokens=12)
    features = torch.zeros(shape.batch, shape.frames, 80)
    targets = 2 + torch.arange(shape.tokens).expand(shape.batch, -1).contiguous()
    lengths = torch.full((shape.batch,), shape.frames)
    target_lengths = torch.full((shape.batch,), shape.tokens)
    model(features, lengths, targets, target_lengths, chunk)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        losses = model(features, lengths, targets, target_lengths, chunk)
    kept = sum(event.self_cpu_memory_usage for event in profiled.key_averages())
    assert losses.requires_grad  # and with it, all that its backward pass needs
    assert activation_bytes(model, shape, chunk, "32") == pytest.approx(kept, rel=0.01)


def test_half_precision_keeps_less() -> None:
    model, shape = model_of(HEADS["ctc"]), Shape(batch=3, frames=300, tokens=5)
    half = activation_bytes(model, shape, None, "bf16-mixed")
    assert half < 0.9 * activation_bytes(model, shape, None, "32")


def test_the_largest_batch_is_found() -> None:
    model = model_of(HEADS["ctc"])
    small, large = Shape(8, 100, 5), Shape(8, 400, 5)
    found = memory_of(model, TrainingSpec(ema=0.9), [small, large, small], cache=1000)
    assert found.largest == large
    numbers = sum(p.numel() for p in model.parameters())
    assert found.weights == found.gradients == found.average == 4 * numbers
    assert found.optimiser == 8 * numbers
    assert found.total == 20 * numbers + found.activations + 1000


def test_rounded_weights_stand_beside_the_exact_ones() -> None:
    model, shape = model_of(HEADS["ctc"]), Shape(2, 100, 5)
    spec = TrainingSpec(quantization_noise=QuantizationNoiseSpec())
    found, plain = (memory_of(model, each, [shape], cache=0) for each in (spec, TrainingSpec()))
    assert found.total - plain.total == found.exact
    assert found.exact == 4 * sum(p.numel() for p in shared_weights(model).values()) > 0
