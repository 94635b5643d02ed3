"""What a model of a given spec weighs and computes, without building it in memory."""

from dataclasses import dataclass

import torch

from foldformer.measure import operations
from foldformer.measure.size import Size, dense_entries, sizes, total
from foldformer.model import ModelSpec

CHUNK = 8
"""Encoder frames a chunk of the stream that is counted: 320 ms."""
SECONDS = 10.0
"""Length of the utterance that is counted."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """Sizes and operations of a model.

    Attributes:
        num_layers: layers in depth, L.
        uses: K of each layer that owns weights.
        d_model: width.
        vocab_size: tokens, the blank included.
        left_context: encoder frames that a stream remembers.
        parts: {name: Size}. `weights` are the full-rank matrices of the layers, which all uses
            share; `low rank` and `diagonal` their residuals; `biases and norms` what else the
            layers hold.
        layers: the four together.
        total: all parts.
        encoder_matrix_share: percent; entries of weights, low-rank factors and diagonals over
            those of the dense encoder's matrices of the same depth and width.
        dense_matrix_entries: what that is relative to.
        utterance: multiply-adds a second of audio by part, 10 s with full context.
        stream: the same in chunks of 320 ms with the encoder's left context.
        state_bytes: of one stream in fp32.
    """

    num_layers: int
    uses: tuple[int, ...]
    d_model: int
    vocab_size: int | None
    left_context: int
    parts: dict[str, Size]
    layers: Size
    total: Size
    encoder_matrix_share: float
    dense_matrix_entries: int
    utterance: dict[str, float]
    stream: dict[str, float]
    state_bytes: int


def describe(spec: ModelSpec) -> Description:
    """Sizes and operations of the model that `spec` builds; see Size for the bytes.

    Raises:
        SpecError: parts that do not fit together.
    """
    with torch.device("meta"):
        model = spec.build().eval()
    depth = list(sizes(model.encoder.depth))
    layers = {
        name: total(size for role, size in depth if role == wanted)
        for name, wanted in {
            "weights": "weights",
            "low rank": "low rank",
            "diagonal": "diagonal",
            "biases and norms": "other",
        }.items()
    }
    parts = {
        "subsampling": total(size for _, size in sizes(model.encoder.subsampling)),
        **layers,
        "final norm": total(size for _, size in sizes(model.encoder.norm)),
        **{
            f"{kind} head": total(size for _, size in sizes(head))
            for kind, head in model.heads.items()
        },
    }
    dense = dense_entries(model.encoder.depth)
    entries = sum(layers[name].parameters for name in ("weights", "low rank", "diagonal"))
    return Description(
        num_layers=spec.encoder.num_layers,
        uses=spec.encoder.uses_of_layers,
        d_model=spec.encoder.d_model,
        vocab_size=spec.vocab_size,
        left_context=spec.encoder.left_context,
        parts=parts,
        layers=total(iter(layers.values())),
        total=total(iter(parts.values())),
        encoder_matrix_share=100 * entries / dense,
        dense_matrix_entries=dense,
        utterance=operations.of_utterance(model, SECONDS),
        stream=operations.of_stream(model, CHUNK),
        state_bytes=operations.state_bytes(model),
    )
