import math

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from foldformer.model import Model, ModelSpec
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.heads import HeadSpec
from foldformer.nn.heads.ctc import CtcSpec
from foldformer.nn.heads.transducer import TransducerSpec
from foldformer.nn.layer import Layer
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.nn.quantise import shared_weights
from foldformer.train.config import QuantizationNoiseSpec, TrainingSpec
from foldformer.train.memory import Shape, Split, activation_bytes, memory_of
from foldformer.train.recompute import recompute

HEADS: dict[str, tuple[HeadSpec, ...]] = {
    "ctc": (CtcSpec(),),
    "transducer": (TransducerSpec(predictor_dim=16, joiner_dim=16), CtcSpec(weight=0.1)),
}


def model_of(heads: tuple[HeadSpec, ...], num_layers: int = 4, uses: int = 2) -> Model:
    torch.manual_seed(0)
    encoder = EncoderSpec(
        d_model=32,
        num_layers=num_layers,
        uses=uses,
        feed_forward=DenseFeedForwardSpec(d_ff=64),
        linear=ResidualSpec(rank=2),
    )
    return ModelSpec(vocab_size=40, encoder=encoder, heads=heads).build()


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize(("chunk", "again"), [(None, False), (8, False), (None, True)])
def test_what_a_forward_pass_keeps_is_what_the_allocator_says(
    heads: str, chunk: int | None, again: bool
) -> None:
    model = model_of(HEADS[heads]).train()
    if again:
        recompute(model)
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
    # Left out are 5 kB of random states a branch, and the mask: something in a model this small.
    apart = 0.04 if again else 0.01
    assert activation_bytes(model, shape, chunk, "32") == pytest.approx(kept, rel=apart)


def test_half_precision_keeps_less() -> None:
    model, shape = model_of(HEADS["ctc"]), Shape(batch=3, frames=300, tokens=5)
    half = activation_bytes(model, shape, None, "bf16-mixed")
    assert half < 0.9 * activation_bytes(model, shape, None, "32")


def test_what_is_computed_again_is_not_kept() -> None:
    model, shapes = model_of(HEADS["ctc"]), [Shape(8, 400, 5)]
    spec = TrainingSpec(activation_checkpointing=True)
    plain, again = (
        memory_of(model, each, shapes, 0).activations for each in (TrainingSpec(), spec)
    )
    recompute(model)
    kept = activation_bytes(model, shapes[0], None, "32")
    assert again == kept + (plain - kept) // 4  # uses
    assert kept < again < plain


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


def test_devices_hold_copies_or_shares() -> None:
    """Copies send their gradients in buffers; shares are put together layer by layer."""
    model = model_of(HEADS["ctc"])
    whole = 4 * sum(p.numel() for p in model.parameters())
    spec, shapes = TrainingSpec(ema=0.9), [Shape(8, 400, 5)]
    alone = memory_of(model, spec, shapes, cache=1000)
    copies = memory_of(model, spec, shapes, 1000, Split(4))
    assert copies.total == alone.total + whole
    shares = memory_of(model, spec, shapes, 1000, Split(4, sharded=True))
    kept = 5 * math.ceil(whole / 4)
    layers = [module for module in model.modules() if isinstance(module, Layer)]
    layer, other = (4 * sum(p.numel() for p in each.parameters()) for each in layers)
    assert layer == other
    rest = whole - 2 * layer
    assert shares.total == kept + alone.activations + 2 * rest + 3 * layer + 1000


def test_a_validation_may_take_more_than_a_step() -> None:
    """Of a deep model whose batches are short: it puts all shares together."""
    model = model_of(HEADS["ctc"], num_layers=24, uses=1)
    whole = 4 * sum(p.numel() for p in model.parameters())
    spec, shapes = TrainingSpec(), [Shape(1, 16, 1)]
    activations = memory_of(model, spec, shapes, 1000).activations
    shares = memory_of(model, spec, shapes, 1000, Split(4, sharded=True))
    assert shares.activations == activations < whole
    assert shares.total == 4 * math.ceil(whole / 4) + whole + 1000
