"""Counting parameters and the bytes they take, in full and quantised."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from foldformer.nn.linears import Linear

BLOCK = 32
"""Inputs that share a scale at 4 bits."""

_ROLES = {
    "down": "low rank",
    "up": "low rank",
    "basis": "low rank",
    "coefficients": "low rank",
    "diagonal": "diagonal",
    "bias": "other",
}


@dataclass(frozen=True, kw_only=True)
class Size:
    """Numbers, and the bytes that they take in a file.

    Quantised (`int8`, `int4`), the matrices have 8 or 4 bits an entry: those of linear maps, their
    factors among them, convolutions and embeddings. Each output channel has one fp16 scale
    at 8 bits, and one for every block of 32 inputs at 4 bits. All else has fp16: biases, norms,
    diagonals.
    """

    parameters: int = 0
    fp32: int = 0
    fp16: int = 0
    int8: int = 0
    int4: int = 0

    def __add__(self, other: "Size") -> "Size":
        return Size(
            parameters=self.parameters + other.parameters,
            fp32=self.fp32 + other.fp32,
            fp16=self.fp16 + other.fp16,
            int8=self.int8 + other.int8,
            int4=self.int4 + other.int4,
        )


def matrix_size(inputs: int, outputs: int) -> Size:
    """The size of a matrix that maps `inputs` numbers to `outputs`."""
    entries = inputs * outputs
    return Size(
        parameters=entries,
        fp32=4 * entries,
        fp16=2 * entries,
        int8=entries + 2 * outputs,
        int4=math.ceil(entries / 2) + 2 * outputs * math.ceil(inputs / BLOCK),
    )


def vector_size(entries: int) -> Size:
    """The size of numbers that are never quantised."""
    half = 2 * entries
    return Size(parameters=entries, fp32=4 * entries, fp16=half, int8=half, int4=half)


def total(sizes: Iterator[Size]) -> Size:
    """The sum, an empty one too."""
    return sum(sizes, Size())


def sizes(module: nn.Module) -> Iterator[tuple[str, Size]]:
    """(role, size) of every parameter below `module`.

    The role is `weights`, `low rank`, `diagonal` or `other` (biases) in the maps that are used K
    times, by the parameter's name; a matrix of another name counts among the weights. Elsewhere it
    is `other`.
    """
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            shape = parameter.shape
            if isinstance(part, Linear):
                role = _ROLES.get(name, "weights")
                if role in ("weights", "low rank"):  # stored (..., in, out)
                    yield role, matrix_size(shape[-2], parameter.numel() // shape[-2])
                else:
                    yield role, vector_size(parameter.numel())
            elif name == "weight" and isinstance(part, (nn.Linear, nn.Conv1d, nn.Embedding)):
                yield "other", matrix_size(parameter.numel() // shape[0], shape[0])
            else:
                yield "other", vector_size(parameter.numel())


def dense_entries(module: nn.Module) -> int:
    """Entries of the matrices below `module` if each use had one of its own."""
    return sum(
        part.uses * part.in_features * part.out_features
        for part in module.modules()
        if isinstance(part, Linear)
    )
