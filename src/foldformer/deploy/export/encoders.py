"""The encoder with its head's output, as the runtimes call it: whole utterances, or a chunk."""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional as F

from foldformer.deploy.export import attention as attention
from foldformer.deploy.export import linears as linears
from foldformer.deploy.export.forms import with_export_forms
from foldformer.deploy.export.heads import encoder_output
from foldformer.deploy.export.parity import Arrays, Run, call_difference, difference
from foldformer.deploy.export.part import Axes, Part, random_features
from foldformer.deploy.export.states import StateLayout
from foldformer.deploy.export.trace import trace
from foldformer.model import Model
from foldformer.nn.heads.ctc import CtcHead
from foldformer.nn.subsampling import FACTOR

_LENGTHS = ((1,), (3,), (4,), (61,), (250, 97), (40, 5, 173))
"""Feature frames of the utterances of each batch that is compared."""

_STREAMS = (1, 3)
"""Streams at once."""


class OfflineEncoder(Part):
    """Whole utterances: x (N, T, F), lengths (N,) -> (N, T', V or J), lengths (N,)."""

    def __init__(self, model: Model, head: str) -> None:
        super().__init__(model, head)
        self.encoder = model.encoder

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode with full context; T' = T // 4 + 1, lengths are divided by 4 and rounded down.

        The frame too many lets a recording that is shorter than one frame pass as an empty one.
        """
        y, lengths = self.encoder(F.pad(x, (0, 0, 0, FACTOR)), lengths)
        return encoder_output(self.head, y), lengths

    def graph(self) -> ir.Model:
        """See Part; the layout has no metadata."""
        batch, frames = torch.export.Dim("N"), torch.export.Dim("T", min=FACTOR)
        x = random_features(self.encoder.subsampling, 2, 10 * FACTOR + 3)
        inputs = {"x": x, "x_lens": torch.tensor([x.shape[1], x.shape[1] // 2])}
        axes: Axes = {"x": {0: batch, 1: frames}, "x_lens": {0: batch}}
        name = _output_name(self)
        return trace(with_export_forms(self), inputs, [name, f"{name}_lens"], axes)

    def difference(self, run: Run) -> float:
        """See Part: batches of one and more, and lengths from 1 frame on."""
        worst = 0.0
        for lengths in _LENGTHS:
            x = random_features(self.encoder.subsampling, len(lengths), max(lengths))
            worst = max(worst, call_difference(self, run, [x, torch.tensor(lengths)]))
        return worst


class StreamingEncoder(Part):
    """A chunk of streams: x (N, 4 C, F), their states -> (N, C, V or J), the next states."""

    def __init__(
        self, model: Model, head: str, chunk: int, left_context: int, *, rounded: bool = False
    ) -> None:
        super().__init__(model, head)
        self.encoder = model.encoder
        self.chunk = chunk
        self.layout = StateLayout(model.encoder, left_context, rounded=rounded)

    def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Encode the next chunk."""
        y, state = self.encoder.step(x, self.layout.unpack(states))
        return encoder_output(self.head, y), *self.layout.pack(state, states, self.chunk)

    def graph(self) -> ir.Model:
        """See Part."""
        batch = torch.export.Dim("N")
        x = random_features(self.encoder.subsampling, 2, FACTOR * self.chunk)
        names = self.layout.names
        inputs = {"x": x, **dict(zip(names, self.layout.zeros(2), strict=True))}
        axes: Axes = {"x": {0: batch}}
        for name, axis in zip(names, self.layout.batch_axes, strict=True):
            axes[name] = {axis: batch}
        outputs = [_output_name(self), *(f"new_{name}" for name in names)]
        model = trace(with_export_forms(self), inputs, outputs, axes)
        frames = str(FACTOR * self.chunk)
        model.metadata_props.update(
            model_type="zipformer2", version="1", T=frames, decode_chunk_len=frames
        )
        model.metadata_props.update(self.layout.metadata())
        return model

    def difference(self, run: Run) -> float:
        """See Part: each side goes on from its own states until the first chunk is forgotten.

        Where states are rounded, PyTorch goes on from those of the file: a number near a half can
        fall to either side, which later chunks would make more of. Such a step is no difference.
        """
        return max(self._stream_difference(run, batch) for batch in _STREAMS)

    def _stream_difference(self, run: Run, batch: int) -> float:
        expected: Sequence[Tensor] = self.layout.zeros(batch)
        found: Arrays = [np.asarray(each) for each in expected]
        worst = 0.0
        for _ in range(self.layout.left_context // self.chunk + 2):
            x = random_features(self.encoder.subsampling, batch, FACTOR * self.chunk)
            y, *expected = self(x, *expected)
            output, *found = run([x.numpy(), *found])
            if self.layout.rounded:
                states = [torch.from_numpy(np.asarray(each)) for each in found]
                found_state = self.layout.without_steps(states, expected)
                pairs = [output, *found_state], [y, *self.layout.unpack(expected)]
                worst, expected = max(worst, difference(*pairs)), states
            else:
                worst = max(worst, difference([output, *found], [y, *expected]))
        return worst


def _output_name(part: Part) -> str:
    return "log_probs" if isinstance(part.head, CtcHead) else "encoder_out"
