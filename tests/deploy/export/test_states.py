"""The encoder's state in the runtime's tensors."""

import copy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from foldformer.deploy.export.encoders import StreamingEncoder
from foldformer.deploy.export.states import StateLayout
from foldformer.errors import SpecError
from foldformer.model import Model
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.mask import Mask
from foldformer.nn.mixers import State
from foldformer.nn.mixers.attention import Attention, AttentionSpec
from foldformer.nn.subsampling import SubsamplingSpec


def chunks(model: Model, batch: int) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(batch, 16, model.encoder.subsampling.mean.numel()) for _ in range(5)]


@torch.inference_mode()
@pytest.mark.parametrize("left_context", [10, 7, 0])
def test_chunks_are_those_of_the_encoder(model: Model, left_context: int) -> None:
    part = StreamingEncoder(model, "ctc", 4, left_context)
    tensors = part.layout.zeros(3)
    shapes = [(tensor.shape, tensor.dtype) for tensor in tensors]
    state = model.encoder.init_state(3, left_context)
    for x in chunks(model, 3):
        y, *tensors = part(x, *tensors)
        expected, state = model.encoder.step(x, state)
        torch.testing.assert_close(y, model.head("ctc").log_probs(expected))
        assert [(tensor.shape, tensor.dtype) for tensor in tensors] == shapes
    assert int(tensors[-1].max()) == left_context  # it stops counting


def in_float64(layout: StateLayout, batch: int) -> list[Tensor]:
    return [t.double() if t.is_floating_point() else t for t in layout.zeros(batch)]


@torch.inference_mode()
@pytest.mark.parametrize("left_context", [10, 7, 3, 0])  # 3: a chunk is more than is remembered
def test_rounded_states_are_those_of_the_encoder_rounded(model: Model, left_context: int) -> None:
    """Against keys and values of PyTorch, rounded here, each frame by its largest number."""
    part = StreamingEncoder(model, "ctc", 4, left_context, rounded=True)
    tensors = part.layout.zeros(3)
    shapes = [(tensor.shape, tensor.dtype) for tensor in tensors]
    state = list(model.encoder.init_state(3, left_context))
    frames = [i for i, tensor in enumerate(state) if tensor.shape[1:] == (left_context, 16)]
    assert len(frames) == 4  # keys and values of two uses
    for x in chunks(model, 3):
        y, *tensors = part(x, *tensors)
        expected, after = model.encoder.step(x, tuple(state))
        torch.testing.assert_close(y, model.head("ctc").log_probs(expected))
        state = list(after)
        for i in frames:
            steps = state[i].abs().amax(dim=2, keepdim=True) / 127
            state[i] = torch.where(steps > 0, (state[i] / steps).round() * steps, state[i])
        for found, wanted in zip(part.layout.unpack(tensors), state, strict=True):
            torch.testing.assert_close(found, wanted)
        assert [(tensor.shape, tensor.dtype) for tensor in tensors] == shapes


@torch.inference_mode()
@pytest.mark.parametrize(("steps", "same"), [(1, True), (-1, True), (2, False)])
def test_a_step_of_rounding_is_no_difference_and_two_are(
    model: Model, steps: int, same: bool
) -> None:
    part = StreamingEncoder(model, "ctc", 4, 10, rounded=True)
    tensors = part.layout.zeros(1)
    for x in chunks(model, 1):
        _, *tensors = part(x, *tensors)
    other = [tensor.clone() for tensor in tensors]
    row = other[0].view(10, 2, -1)[4, 1]  # values of the fifth frame
    numbers = row[:-1].to(torch.int32) & 255
    place = int(((numbers - 128).abs() < 100).nonzero()[0])  # far from the ends of a byte
    row[place] += steps
    found = part.layout.without_steps(other, tensors)
    expected = part.layout.unpack(tensors)
    agree = [bool(np.allclose(a, b, atol=1e-6)) for a, b in zip(found, expected, strict=True)]
    assert agree.count(False) == (0 if same else 1)


def test_rounded_states_take_a_third() -> None:
    encoder = EncoderSpec(d_model=512, num_layers=6, uses=6).build()
    sizes = []
    for rounded in (False, True):
        tensors = StateLayout(encoder, 128, rounded=rounded).zeros(1)
        sizes.append(sum(tensor.numel() for tensor in tensors[:-2]))
    assert sizes == [6 * 2 * 128 * 512, 6 * 2 * 128 * 172]


@torch.inference_mode()
@pytest.mark.parametrize("rounded", [False, True])
def test_streams_are_joined_along_the_axes_that_the_runtime_joins(
    model: Model, rounded: bool
) -> None:
    # In float64: products of two streams are rounded in another way than those of one.
    part = StreamingEncoder(copy.deepcopy(model).double(), "ctc", 4, 10, rounded=rounded)
    together, alone = in_float64(part.layout, 2), [in_float64(part.layout, 1) for _ in range(2)]
    for x in chunks(model, 2):
        x = x.double()
        y, *together = part(x, *together)
        for stream in range(2):
            z, *alone[stream] = part(x[stream : stream + 1], *alone[stream])
            torch.testing.assert_close(y[stream], z[0])
    for axis, whole, *parts in zip(part.layout.batch_axes, together, *alone, strict=True):
        torch.testing.assert_close(torch.cat(parts, dim=axis), whole)


@pytest.mark.parametrize("rounded", [False, True])
def test_what_the_runtime_makes_of_the_metadata(model: Model, rounded: bool) -> None:
    """Its rule for a zipformer2, written out: six tensors a layer from the vectors."""
    layout = StateLayout(model.encoder, 10, rounded=rounded)
    data = {key: [int(n) for n in text.split(",")] for key, text in layout.metadata().items()}
    shapes = []
    for i, layers in enumerate(data["num_encoder_layers"]):
        left, heads = data["left_context_len"][i], data["num_heads"][i]
        key, value = data["query_head_dims"][i] * heads, data["value_head_dims"][i] * heads
        width, pad = data["encoder_dims"][i], data["cnn_module_kernels"][i] // 2
        for _ in range(layers):
            shapes += [(left, 1, key), (1, 1, left, width * 3 // 4)]
            shapes += [(left, 1, value)] * 2 + [(1, width, pad)] * 2
    shapes += [(1, 128, 3, ((80 - 1) // 2 - 1) // 2), (1,)]
    assert [tuple(tensor.shape) for tensor in layout.zeros(1)] == shapes
    assert len(layout.names) == len(layout.batch_axes) == len(shapes)


def test_a_subsampling_that_remembers_too_much() -> None:
    spec = EncoderSpec(
        d_model=8,
        num_layers=1,
        mixer=AttentionSpec(num_heads=2),
        subsampling=SubsamplingSpec(channels=128, kernel=40),
    )
    with pytest.raises(SpecError, match="remembers 7904 numbers, and sherpa-onnx keeps 7296"):
        StateLayout(spec.build(), 10)


class Restless(Attention):
    """Its state begins with ones, and holds whole numbers besides."""

    def init_state(self, batch: int, left_context: int) -> State:
        """See Mixer."""
        keys, values = super().init_state(batch, left_context)
        return keys + 1, values, torch.zeros(batch, 3, dtype=torch.int64)

    def step(self, x: Tensor, use: int, state: State, mask: Mask) -> tuple[Tensor, State]:
        """See Mixer."""
        y, (keys, values) = super().step(x, use, state[:2], mask)
        return y + state[0].mean() + state[2].sum(), (keys, values, state[2] + 1)


@dataclass(frozen=True, kw_only=True)
class RestlessSpec(AttentionSpec):
    def build(self, d_model: int, linear) -> Restless:
        return Restless(d_model, self.num_heads, self.rotary_base, linear)


@torch.inference_mode()
def test_states_of_other_kinds() -> None:
    spec = EncoderSpec(d_model=8, num_layers=2, uses=2, mixer=RestlessSpec(num_heads=2))
    encoder = spec.build().eval()
    layout = StateLayout(encoder, 6)
    tensors, state = layout.zeros(2), encoder.init_state(2, 6)
    for _ in range(3):
        x = torch.randn(2, 16, 80)
        unpacked = layout.unpack(tensors)
        assert [t.dtype for t in unpacked] == [t.dtype for t in state]
        y, after = encoder.step(x, unpacked)
        tensors = layout.pack(after, tensors, 4)
        expected, state = encoder.step(x, state)
        torch.testing.assert_close(y, expected)
