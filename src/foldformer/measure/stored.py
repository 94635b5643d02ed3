"""The bytes that a model's numbers take in a file: of a model folder, or of an export."""

import math
from typing import Literal

from torch import nn

from foldformer.nn.linears import Linear
from foldformer.nn.quantise import BLOCK, THIN

Precision = Literal["fp32", "fp16", "int8", "int4"]

_VECTOR = 4  # bytes of each of a vector's numbers, which no precision touches
_SCALE = 4  # bytes of a scale


def matrix_bytes(inputs: int, outputs: int, precision: Precision, *, full_rank: bool) -> int:
    """A matrix (in, out) and its scales, as `foldformer export` stores it.

    int8 has one scale a column; where there are fewer rows than whole numbers pay for, one a row.
    int4 is for the full-rank matrices of layers; all others are then in int8.

    >>> matrix_bytes(64, 10, "int8", full_rank=True), matrix_bytes(8, 64, "int8", full_rank=False)
    (680, 544)

    Args:
        inputs: rows.
        outputs: columns.
        precision: of the stored weights.
        full_rank: whether it is the weight of a layer's map, no factor and no other matrix.
    """
    entries = inputs * outputs
    if precision == "fp32":
        return 4 * entries
    if precision == "fp16":
        return 2 * entries
    if inputs < THIN:
        return entries + _SCALE * inputs
    if precision == "int4" and full_rank:
        blocks = math.ceil(inputs / BLOCK)
        return outputs * blocks * (BLOCK // 2 + _SCALE)
    return entries + _SCALE * outputs


def vector_bytes(entries: int) -> int:
    """Biases, norms, diagonals: fp32, whatever the precision."""
    return _VECTOR * entries


def other_bytes(module: nn.Module, precision: Precision) -> int:
    """All that is below `module` but for the matrices of maps that are used in depth.

    That is what no sharing makes smaller: the biases of these maps, norms, subsampling, heads.
    """
    size = sum(vector_bytes(buffer.numel()) for buffer in module.buffers())
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            entries = parameter.numel()
            if name == "weight" and isinstance(part, nn.Linear):
                rows, columns = part.in_features, part.out_features
                size += matrix_bytes(rows, columns, precision, full_rank=False)
            elif name == "weight" and isinstance(part, (nn.Conv1d, nn.Embedding)):
                size += channel_bytes(parameter.shape[0], entries, precision)
            elif name == "bias" or not isinstance(part, Linear):
                size += vector_bytes(entries)
    return size


def channel_bytes(channels: int, entries: int, precision: Precision) -> int:
    """A convolution or an embedding, whose first axis has the scales; never less than int8."""
    if precision in ("int8", "int4"):
        return entries + _SCALE * channels
    return entries * (2 if precision == "fp16" else 4)
