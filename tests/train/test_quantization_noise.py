"""Quantisation noise: rounded weights in the forward and backward pass, exact ones elsewhere."""

import copy

import pytest
import torch
from torch import Tensor

from foldformer.errors import SpecError
from foldformer.model import Model, ModelSpec
from foldformer.nn.quantise import quantise, shared_weights
from foldformer.spec import from_dict
from foldformer.train.config import QuantizationNoiseSpec, TrainConfig, TrainingSpec
from foldformer.train.quantization_noise import QuantizationNoise
from foldformer.train.recompute import recompute
from foldformer.train.run import train

ENCODER = {
    "d_model": 16,
    "num_layers": 4,
    "uses": 2,
    "mixer": {"kind": "attention", "num_heads": 2},
    "feed_forward": {"kind": "dense", "d_ff": 96},
    "linear": {"kind": "residual", "rank": 3},
    "subsampling": {"channels": 6},
}


def build() -> Model:
    torch.manual_seed(1)
    return from_dict(ModelSpec, {"vocab_size": 9, "encoder": ENCODER}).build().train()


def noise(bits: int = 8, probability: float = 0.5, seed: int = 3) -> QuantizationNoise:
    spec = from_dict(QuantizationNoiseSpec, {"bits": bits, "probability": probability})
    return QuantizationNoise(spec, seed)


def loss(model: Model) -> Tensor:
    features = torch.randn(2, 80, 80, generator=torch.Generator().manual_seed(2))
    lengths = torch.tensor([80, 70])
    targets, target_lengths = torch.tensor([[1, 2, 3], [4, 5, 0]]), torch.tensor([3, 2])
    total: Tensor = model(features, lengths, targets, target_lengths).sum()
    return total


def weights(model: Model) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in shared_weights(model).items()}


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("bits", [8, 4])
def test_the_gradient_passes_straight_through(bits: int, checkpointing: bool) -> None:
    """It is that of a model with the rounded weights, and the weights themselves do not move."""
    model = build()
    exact = weights(model)
    adding = noise(bits)
    adding.add(model, step=5)
    rounded = copy.deepcopy(model)
    adding.remove()
    assert any(not torch.equal(rounded.get_parameter(name), exact[name]) for name in exact)
    if checkpointing:
        recompute(model)
    adding.add(model, step=5)
    loss(model).backward()
    adding.remove()
    wanted = loss(rounded)
    wanted.backward()
    for name, weight in weights(model).items():
        assert torch.equal(weight, exact[name])
    for (name, parameter), other in zip(
        model.named_parameters(), rounded.parameters(), strict=True
    ):
        assert parameter.grad is not None
        assert other.grad is not None
        assert torch.equal(parameter.grad, other.grad), name


def drawn(seed: int, step: int, bits: int = 8) -> dict[str, Tensor]:
    model, adding = build(), noise(bits, seed=seed)
    torch.rand(step + seed)  # what others draw makes no difference
    adding.add(model, step)
    return weights(model)


def test_seed_and_step_alone_decide() -> None:
    first = drawn(3, 5)
    assert all(torch.equal(first[name], again) for name, again in drawn(3, 5).items())
    for other in (drawn(4, 5), drawn(3, 6)):
        assert any(not torch.equal(first[name], other[name]) for name in first)


def test_it_leaves_the_random_numbers_of_others_alone() -> None:
    model = build()
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    noise().add(model, 1)
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize("bits", [8, 4])
def test_whole_columns_or_blocks_are_rounded_as_an_export_rounds_them(bits: int) -> None:
    exact = weights(build())
    found = drawn(3, 5, bits)
    chosen = total = 0
    for name, weight in exact.items():
        quantised = quantise(weight, 8 if bits == 8 else 4)
        block = quantised.block
        for start in range(0, len(weight), block):
            rows = slice(start, start + block)
            whole = (found[name][rows] == quantised.dequantised()[rows]).all(0)
            none = (found[name][rows] == weight[rows]).all(0)
            assert (whole | none).all()
            chosen, total = chosen + int(whole.sum()), total + weight.shape[1]
    assert 0.4 < chosen / total < 0.6


def test_all_of_them_with_probability_1() -> None:
    model = build()
    exact = weights(model)
    noise(4, 1.0).add(model, 0)
    for name, weight in weights(model).items():
        assert torch.equal(weight, quantise(exact[name], 4).dequantised())


def test_training_stays_finite_and_learns() -> None:
    """Though all is always rounded to four bits."""
    model, adding = build(), noise(4, 1.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for step in range(30):
        adding.add(model, step)
        value = loss(model)
        optimizer.zero_grad()
        value.backward()
        adding.remove()
        optimizer.step()
        losses.append(float(value.detach()))
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert losses[-1] < losses[0] / 2


def test_what_a_specification_may_say() -> None:
    spec = from_dict(TrainingSpec, {"quantization_noise": {"bits": 4, "probability": 1}})
    assert spec.quantization_noise == QuantizationNoiseSpec(bits=4, probability=1.0)
    assert TrainingSpec().quantization_noise is None
    for data, message in (
        ({"bits": 6}, "quantization_noise.bits: 6 is none of 4, 8"),
        ({"probability": 0}, "quantization_noise: probability: expected more than 0"),
        ({"probability": 1.5}, "quantization_noise: probability: expected more than 0"),
        ({"bit": 8}, "quantization_noise.bit: unknown key; did you mean 'bits'"),
    ):
        with pytest.raises(SpecError, match=message):
            from_dict(TrainingSpec, {"quantization_noise": data})


def test_shards_are_refused() -> None:
    config = {"output": "out", "data": {"train": "a.jsonl", "valid": "b.jsonl"}}
    config["training"] = {"quantization_noise": {"bits": 8}}
    with pytest.raises(SpecError, match=r"quantization_noise: .*; take --strategy ddp"):
        train(from_dict(TrainConfig, config), strategy="fsdp")
