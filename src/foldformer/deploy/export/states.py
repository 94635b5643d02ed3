"""The state of a stream in the tensors that sherpa-onnx keeps for a zipformer2.

The runtime learns from metadata how many tensors to keep between chunks and how large they are,
and what they mean is the graph's affair. For each layer that is declared it keeps

    key (left, N, key), nonlin (1, N, left, 3/4 encoder), val1 and val2 (left, N, value),
    conv1 and conv2 (N, encoder, kernel / 2)

and at the end embed (N, 128, 3, 19) and processed (N,) of int64, all zero at the start; streams of
a batch are joined along N. Declared with left = 1, encoder = 1 and kernel = 1, a layer is
three tensors of any size with the batch in front, and three empty ones. Two states of equal
size, such as keys and values, fill one layer: the second is halved in time, which costs
nothing, because both halves are joined with the new frames anyway.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from foldformer.errors import SpecError
from foldformer.nn.encoder import Encoder
from foldformer.nn.mixers import State

_EMBED = (128, 3, 19)
_EMBED_SIZE = math.prod(_EMBED)


@dataclass(frozen=True)
class _Layer:
    """What one declared layer holds: the shapes (without batch) of its one or two states."""

    shapes: tuple[torch.Size, ...]

    @property
    def key(self) -> int:
        """Numbers in the first state."""
        return self.shapes[0].numel()

    @property
    def value(self) -> int:
        """Numbers in half of the second, 0 where there is none."""
        return self.shapes[1].numel() // 2 if len(self.shapes) > 1 else 0


class StateLayout:
    """Packs the state of an encoder into the runtime's tensors, and unpacks it."""

    def __init__(self, encoder: Encoder, left_context: int) -> None:
        """Lay out the state of `encoder`, with room for `left_context` frames.

        Raises:
            SpecError: the subsampling remembers more than fits.
        """
        self.left_context = left_context
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
        self._layers = _in_layers(self._shapes[self._num_front + 1 :])

    @property
    def names(self) -> list[str]:
        """Of the tensors, in their order."""
        parts = ("key", "nonlin", "val1", "val2", "conv1", "conv2")
        layers = [f"{part}_{i}" for i in range(len(self._layers)) for part in parts]
        return [*layers, "embed_states", "processed_lens"]

    @property
    def batch_axes(self) -> list[int]:
        """Of the tensors, in their order: where the batch is."""
        return [1, 1, 1, 1, 0, 0] * len(self._layers) + [0, 0]

    def metadata(self) -> dict[str, str]:
        """What tells the runtime of these tensors: a stack of one layer for each declared layer."""
        values: dict[str, list[int]] = {
            "num_encoder_layers": [1] * len(self._layers),
            "encoder_dims": [1] * len(self._layers),
            "cnn_module_kernels": [1] * len(self._layers),
            "left_context_len": [1] * len(self._layers),
            "num_heads": [1] * len(self._layers),
            "query_head_dims": [layer.key for layer in self._layers],
            "value_head_dims": [layer.value for layer in self._layers],
        }
        return {key: ",".join(map(str, numbers)) for key, numbers in values.items()}

    def zeros(self, batch: int) -> list[Tensor]:
        """The tensors before the first chunk of `batch` streams, as the runtime makes them."""
        tensors: list[Tensor] = []
        for layer in self._layers:
            tensors += [torch.zeros(1, batch, layer.key), torch.zeros(1, batch, 1, 0)]
            tensors += [torch.zeros(1, batch, layer.value) for _ in range(2)]
            tensors += [torch.zeros(batch, 1, 0) for _ in range(2)]
        processed = torch.zeros(batch, dtype=torch.int64)
        return [*tensors, torch.zeros(batch, *_EMBED), processed]

    def unpack(self, tensors: Sequence[Tensor]) -> State:
        """The encoder's state."""
        *layers, embed, processed = tensors
        batch = processed.shape[0]
        flat = embed.reshape(batch, _EMBED_SIZE)
        state: list[Tensor] = []
        taken = 0
        for shape in self._shapes[: self._num_front]:
            state.append(flat[:, taken : taken + shape.numel()].reshape(batch, *shape))
            taken += shape.numel()
        frames = torch.arange(self.left_context, device=processed.device)
        state.append(frames >= self.left_context - processed[:, None])
        for index, layer in enumerate(self._layers):
            key, _, first, second, _, _ = layers[6 * index : 6 * index + 6]
            state.append(key.reshape(batch, *layer.shapes[0]))
            if len(layer.shapes) > 1:
                time, *rest = layer.shapes[1]
                halves = [half.reshape(batch, time // 2, *rest) for half in (first, second)]
                state.append(torch.cat(halves, dim=1))
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
        packed: list[Tensor] = []
        for index, layer in enumerate(self._layers):
            _, nonlin, first, second, *convs = tensors[6 * index : 6 * index + 6]
            packed += [others.pop(0).reshape(1, batch, layer.key), nonlin]
            if len(layer.shapes) > 1:
                value, half = others.pop(0), layer.shapes[1][0] // 2
                first = value[:, :half].reshape(1, batch, layer.value)
                second = value[:, half:].reshape(1, batch, layer.value)
            packed += [first, second, *convs]
        return [*packed, embed, (processed + frames).clamp(max=self.left_context)]


def _in_layers(shapes: Sequence[torch.Size]) -> list[_Layer]:
    """Pairs of equal states where the second can be halved, single ones elsewhere."""
    layers: list[_Layer] = []
    waiting = list(shapes)
    while waiting:
        first = waiting.pop(0)
        if waiting and waiting[0] == first and len(first) > 1 and first[0] % 2 == 0:
            layers.append(_Layer((first, waiting.pop(0))))
        else:
            layers.append(_Layer((first,)))
    return layers
