"""The state of a stream in the tensors that sherpa-onnx keeps for a zipformer2.

The runtime learns from metadata how many tensors to keep between chunks and how large they are,
and what they mean is the graph's affair. For each layer that is declared it keeps

    key (left, N, key), nonlin (1, N, left, 3/4 encoder), val1 and val2 (left, N, value),
    conv1 and conv2 (N, encoder, kernel / 2)

and at the end embed (N, 128, 3, 19) and processed (N,) of int64, all zero at the start; streams of
a batch are joined along N. Declared with left = 1, encoder = 1 and kernel = 1, a layer is
three tensors of any size with the batch in front, and three empty ones. The second and third have
one size, so that three states of equal size fill a layer, and any other one has it for itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from foldformer.deploy.export.rounded import LARGEST, round_rows, row_width, rows_of
from foldformer.errors import SpecError
from foldformer.nn.encoder import Encoder
from foldformer.nn.mixers import State

_EMBED = (128, 3, 19)
_EMBED_SIZE = math.prod(_EMBED)
_PARTS = ("key", "nonlin", "val1", "val2", "conv1", "conv2")
_TOGETHER = 2
"""Rounded states in a tensor, such as keys and values. With 6, there are fewer nodes, but what is
taken apart at once is too large for the cache, and stays longer: slower, and 15 MB more."""

_STEP = 1.001 / LARGEST
"""Of the largest number of a row; a little more, since its own last digits may differ too."""

_FILLED = (0, 2, 3)
"""Those of a declared layer that hold anything."""


@dataclass(frozen=True)
class _Kept:
    """What one tensor holds: a state, or the rounded frames of states of equal shape."""

    shape: torch.Size
    """Of each state, without batch; (frames, D) where they are rounded."""
    states: int = 1
    rounded: bool = False

    @property
    def row(self) -> int:
        """Floats of a rounded frame: that of each state after the other."""
        return self.states * row_width(self.shape[1])

    @property
    def size(self) -> int:
        """Floats in all."""
        return self.shape[0] * self.row if self.rounded else self.shape.numel()

    def unpack(self, tensor: Tensor, batch: int) -> list[Tensor]:
        """The states in a tensor (1, N, size)."""
        if not self.rounded:
            return [tensor.reshape(batch, *self.shape)]
        frames, width = self.shape
        row = row_width(width)
        rows = rows_of(tensor.reshape(batch, frames, self.states, 1, row)).flatten(2)
        padding = rows.shape[2] // self.states - width
        return list(torch.split(rows, [width, padding] * self.states, dim=2)[::2])


class StateLayout:
    """Packs the state of an encoder into the runtime's tensors, and unpacks it.

    Rounded, the frames that attention remembers are in int8 with a scale for each frame and state:
    each is rounded once, after the chunk that it came in, and takes 0.34 of its bytes from then on.
    """

    def __init__(self, encoder: Encoder, left_context: int, *, rounded: bool = False) -> None:
        """Lay out the state of `encoder`, with room for `left_context` frames.

        Raises:
            SpecError: the subsampling remembers more than fits.
        """
        self.left_context = left_context
        self.rounded = rounded
        start = encoder.init_state(1, left_context)
        self._shapes = [tensor.shape[1:] for tensor in start]
        self._dtypes = [tensor.dtype for tensor in start]
        # The runtime begins with zeros: what begins with something else is kept less that.
        self._offsets = [tensor if tensor.any() else None for tensor in start]
        self._num_front = len(encoder.subsampling.init_state(1))
        front = sum(shape.numel() for shape in self._shapes[: self._num_front])
        if front > _EMBED_SIZE:
            raise SpecError(
                f"subsampling: remembers {front} numbers, and sherpa-onnx keeps {_EMBED_SIZE} for "
                "it; take a smaller kernel or fewer channels"
            )
        after = self._num_front + 1
        frames = [False] * (len(start) - after)
        if rounded and left_context:
            # Of each frame that is remembered a row, unlike what is carried from chunk to chunk.
            longer = encoder.init_state(1, left_context + 1)
            frames = [
                len(shape) == 2 and tensor.shape[1] == shape[0] + 1
                for shape, tensor in zip(self._shapes[after:], longer[after:], strict=True)
            ]
        self._kept = _grouped(self._shapes[after:], frames)
        self._layers = _in_layers(self._kept)

    @property
    def names(self) -> list[str]:
        """Of the tensors, in their order."""
        layers = [f"{part}_{i}" for i in range(len(self._layers)) for part in _PARTS]
        return [*layers, "embed_states", "processed_lens"]

    @property
    def batch_axes(self) -> list[int]:
        """Of the tensors, in their order: where the batch is."""
        return [1, 1, 1, 1, 0, 0] * len(self._layers) + [0, 0]

    def metadata(self) -> dict[str, str]:
        """What tells the runtime of these tensors: a stack of one layer for each declared layer."""
        sizes = [_sizes(layer) for layer in self._layers]
        values: dict[str, list[int]] = {
            "num_encoder_layers": [1] * len(sizes),
            "encoder_dims": [1] * len(sizes),
            "cnn_module_kernels": [1] * len(sizes),
            "left_context_len": [1] * len(sizes),
            "num_heads": [1] * len(sizes),
            "query_head_dims": [key for key, _ in sizes],
            "value_head_dims": [value for _, value in sizes],
        }
        return {key: ",".join(map(str, numbers)) for key, numbers in values.items()}

    def zeros(self, batch: int) -> list[Tensor]:
        """The tensors before the first chunk of `batch` streams, as the runtime makes them."""
        tensors: list[Tensor] = []
        for key, value in map(_sizes, self._layers):
            tensors += [torch.zeros(1, batch, key), torch.zeros(1, batch, 1, 0)]
            tensors += [torch.zeros(1, batch, value) for _ in range(2)]
            tensors += [torch.zeros(batch, 1, 0) for _ in range(2)]
        processed = torch.zeros(batch, dtype=torch.int64)
        return [*tensors, torch.zeros(batch, *_EMBED), processed]

    def unpack(self, tensors: Sequence[Tensor]) -> State:
        """The encoder's state."""
        embed, processed = tensors[-2:]
        batch = processed.shape[0]
        flat = embed.reshape(batch, _EMBED_SIZE)
        state: list[Tensor] = []
        taken = 0
        for shape in self._shapes[: self._num_front]:
            state.append(flat[:, taken : taken + shape.numel()].reshape(batch, *shape))
            taken += shape.numel()
        frames = torch.arange(self.left_context, device=processed.device)
        state.append(frames >= self.left_context - processed[:, None])
        for kept, index in zip(self._kept, self._places(), strict=True):
            state += kept.unpack(tensors[index], batch)
        return tuple(
            (tensor if offset is None else tensor + offset).to(dtype)
            for tensor, offset, dtype in zip(state, self._offsets, self._dtypes, strict=True)
        )

    def pack(self, state: State, tensors: Sequence[Tensor], frames: int) -> list[Tensor]:
        """The tensors that hold `state`, after a chunk of `frames` encoder frames.

        Args:
            state: the encoder's, after the chunk.
            tensors: those that it was unpacked from.
            frames: C.
        """
        processed = tensors[-1]
        batch = processed.shape[0]
        kept = [
            (tensor if offset is None else tensor - offset).to(torch.float32)
            for tensor, offset in zip(state, self._offsets, strict=True)
        ]
        front, others = kept[: self._num_front], kept[self._num_front + 1 :]
        flat = torch.cat([tensor.flatten(1) for tensor in front], dim=1)
        embed = F.pad(flat, (0, _EMBED_SIZE - flat.shape[1])).reshape(batch, *_EMBED)
        packed = list(tensors[:-2])
        new: dict[_Kept, list[tuple[int, list[Tensor]]]] = {}
        for each, index in zip(self._kept, self._places(), strict=True):
            states, others = others[: each.states], others[each.states :]
            if each.rounded:
                new.setdefault(each, []).append((index, states))
            else:
                packed[index] = states[0].reshape(1, batch, each.size)
        for each, found in new.items():
            rows = _rounded(each, [states for _, states in found], min(frames, each.shape[0]))
            for (index, _), row in zip(found, rows, strict=True):
                packed[index] = torch.cat([tensors[index][..., row.shape[2] :], row], dim=2)
        return [*packed, embed, (processed + frames).clamp(max=self.left_context)]

    def without_steps(
        self, tensors: Sequence[Tensor], expected: Sequence[Tensor]
    ) -> list[NDArray[np.generic]]:
        """The encoder's state in `tensors`, nearer to that in `expected` by a step of rounding.

        What is not rounded, or is nearer anyway, is not moved past it.
        """
        mine, other = self.unpack(tensors), self.unpack(expected)
        rounded = [each.rounded for each in self._kept for _ in range(each.states)]
        rounded = [False] * (self._num_front + 1) + rounded
        found = []
        for a, b, steps in zip(mine, other, rounded, strict=True):
            if steps:
                largest = b.abs().amax(dim=-1, keepdim=True)
                apart = a - b
                beyond = (apart.abs() - _STEP * largest).clamp(min=0)
                a = b + apart.sign() * beyond
            found.append(a.numpy())
        return found

    def _places(self) -> list[int]:
        """The index of each kept thing's tensor."""
        return [
            len(_PARTS) * number + place
            for number, layer in enumerate(self._layers)
            for place, _ in zip(_FILLED, layer, strict=False)
        ]


def _rounded(kept: _Kept, layers: Sequence[Sequence[Tensor]], frames: int) -> Sequence[Tensor]:
    """The last frames of each layer's states, (1, N, frames x row): all layers in one go."""
    last = [tensor[:, kept.shape[0] - frames :] for states in layers for tensor in states]
    batch = last[0].shape[0]
    joined = torch.cat(last, dim=2)
    joined = joined.reshape(batch, frames, len(layers), kept.states, kept.shape[1])
    rows = round_rows(joined).transpose(1, 2).reshape(1, batch, -1)
    return torch.split(rows, frames * kept.row, dim=2)


def _grouped(shapes: Sequence[torch.Size], frames: Sequence[bool]) -> list[_Kept]:
    """Two states of frames that are alike share a tensor, and are taken apart together."""
    found: list[_Kept] = []
    for shape, rounded in zip(shapes, frames, strict=True):
        last = found[-1] if found else None
        alike = last is not None and last.rounded and last.shape == shape
        if last is not None and rounded and alike and last.states < _TOGETHER:
            found[-1] = replace(last, states=last.states + 1)
        else:
            found.append(_Kept(shape, rounded=rounded))
    return found


def _in_layers(kept: Sequence[_Kept]) -> list[Sequence[_Kept]]:
    """Threes of which the last two have one size, single ones elsewhere."""
    layers: list[Sequence[_Kept]] = []
    while kept:
        count = 3 if len(kept) > 2 and kept[1].size == kept[2].size else 1
        layers.append(kept[:count])
        kept = kept[count:]
    return layers


def _sizes(layer: Sequence[_Kept]) -> tuple[int, int]:
    """(key, value) of a declared layer."""
    return layer[0].size, layer[1].size if len(layer) > 1 else 0
