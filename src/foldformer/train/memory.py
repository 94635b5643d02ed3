"""How much memory a training takes: counted for the weights, measured for the activations."""

import copy
import math
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from foldformer.data.batches import Batch
from foldformer.data.features import NUM_MELS
from foldformer.model import Model, ModelSpec
from foldformer.nn.layer import Layer
from foldformer.nn.quantise import shared_weights
from foldformer.train.config import TrainingSpec
from foldformer.train.distillation import Distillation, losses_of
from foldformer.train.recompute import recompute


@dataclass(frozen=True)
class Shape:
    """The size of a batch: utterances, feature frames, tokens."""

    batch: int
    frames: int
    tokens: int


TIMES_WEIGHTS = 4
"""Weights, their gradients, and the two moments of the optimiser."""


def weight_bytes(spec: ModelSpec) -> int:
    """Bytes of a model's weights, which are not made for it."""
    with torch.device("meta"):
        model = spec.build()
    return sum(p.numel() * p.element_size() for p in model.parameters())


@dataclass(frozen=True)
class Split:
    """How the devices of a training hold the model: each a copy, or each a share of it."""

    devices: int = 1
    """Of all machines."""
    sharded: bool = False


_ALONE = Split()


@dataclass(frozen=True)
class Memory:
    """Bytes that a training takes at least on each device; Python and its libraries come on top."""

    weights: int
    gradients: int
    optimiser: int
    average: int
    """The moving average of the weights."""
    buffers: int
    """Gradients once more, where copies of the model send each other theirs."""
    gathered: int
    """What devices with shares put together at a time: what is no layer with its gradient, two
    layers and a gradient of one; or all weights in a validation, which keeps no activations,
    where that is more."""
    exact: int
    """The exact weights, while rounded ones stand in their places (`quantization_noise`)."""
    teacher: int
    """The teacher's weights (`distillation`)."""
    activations: int
    """What the forward pass of the largest batch keeps for the backward pass."""
    largest: Shape
    """That batch."""
    cache: int
    """Features that are kept between epochs."""

    @property
    def total(self) -> int:
        """All together."""
        kept = (
            self.weights,
            self.gradients,
            self.optimiser,
            self.average,
            self.exact,
            self.teacher,
        )
        passing = (self.buffers, self.gathered, self.activations)
        return sum(kept) + sum(passing) + self.cache


def memory_of(
    model: Model,
    spec: TrainingSpec,
    shapes: Iterable[Shape],
    cache: int,
    split: Split = _ALONE,
    teaching: Distillation | None = None,
) -> Memory:
    """The memory that a training on batches of these shapes takes on each of its devices.

    Only the shapes that are largest in some way are measured, each with one and with two
    utterances: activations grow by the same for each utterance more.
    """
    shapes = list(shapes)
    largest = {
        max(shapes, key=lambda s: s.batch * s.frames),
        max(shapes, key=lambda s: s.batch * s.frames**2),
        max(shapes, key=lambda s: s.batch * s.frames * s.tokens),
    }
    chunks = (None, *spec.chunk_frames)
    measured = [
        (activation_bytes(model, shape, chunk, spec.precision, teaching), shape, chunk)
        for shape in sorted(largest, key=lambda s: (s.batch, s.frames, s.tokens))
        for chunk in (chunks if len(chunks) < 3 else (None, min(spec.chunk_frames)))
    ]
    activations, shape, chunk = max(measured, key=lambda found: found[0])
    if spec.activation_checkpointing:
        again = copy.deepcopy(model)
        recompute(again)
        kept = activation_bytes(again, shape, chunk, spec.precision, teaching)
        # And one use of a layer at a time, when it is computed again.
        activations = kept + (activations - kept) // model.spec.encoder.num_layers
    whole = _bytes(model.parameters())
    weights = math.ceil(whole / split.devices) if split.sharded else whole
    rounded = shared_weights(model) if spec.quantization_noise is not None else {}
    return Memory(
        weights=weights,
        gradients=weights,
        optimiser=2 * weights,
        average=weights if spec.ema else 0,
        buffers=weights if split.devices > 1 and not split.sharded else 0,
        gathered=max(_gathered(model), whole - activations) if split.sharded else 0,
        exact=_bytes(rounded.values()),
        teacher=0 if teaching is None else _bytes(teaching.teacher.parameters()),
        activations=activations,
        largest=shape,
        cache=cache,
    )


def _gathered(model: Model) -> int:
    """Bytes of shards that are whole at a time in a step; see `foldformer.train.shards`."""
    layers = [_bytes(m.parameters()) for m in model.modules() if isinstance(m, Layer)]
    return 2 * (_bytes(model.parameters()) - sum(layers)) + 3 * max(layers)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def activation_bytes(
    model: Model,
    shape: Shape,
    chunk: int | None,
    precision: str,
    teaching: Distillation | None = None,
) -> int:
    """Bytes that the forward pass of a batch keeps for the backward pass, the weights left out."""
    one = _kept(model, 1, shape, chunk, precision, teaching)
    if shape.batch == 1:
        return one
    two = _kept(model, 2, shape, chunk, precision, teaching)
    return one + (shape.batch - 1) * (two - one)


def _kept(
    model: Model,
    size: int,
    shape: Shape,
    chunk: int | None,
    precision: str,
    teaching: Distillation | None,
) -> int:
    """The bytes of all tensors that autograd saves, each storage once."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    saved: dict[int, Tensor] = {}

    def save(tensor: Tensor) -> Tensor:
        # Kept until the end, so that no later tensor takes the same place.
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    targets = 2 + torch.arange(shape.tokens).remainder(_tokens(model) - 2).expand(size, -1)
    batch = Batch(
        features=torch.zeros(size, shape.frames, NUM_MELS),
        feature_lengths=torch.full((size,), shape.frames),
        targets=targets.contiguous(),
        target_lengths=torch.full((size,), shape.tokens),
        ids=[],
        texts=[],
        languages=[],
    )
    model.train()
    with (
        torch.random.fork_rng(devices=[]),
        torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor),
        _autocast(precision),
    ):
        losses_of(model, batch, chunk, teaching)
    return sum(
        tensor.untyped_storage().nbytes() for place, tensor in saved.items() if place not in own
    )


def _tokens(model: Model) -> int:
    assert model.spec.vocab_size is not None
    return max(model.spec.vocab_size, 3)


def _autocast(precision: str) -> AbstractContextManager[object]:
    """What Lightning does for half precision; both kinds of it take as much memory."""
    return nullcontext() if precision == "32" else torch.autocast("cpu", torch.bfloat16)
