"""Counting parameters and the bytes they take, in full and quantised."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from foldformer.measure.stored import channel_bytes, matrix_bytes, vector_bytes
from foldformer.nn.linears import Linear
from foldformer.nn.linears.low_rank import LowRankLinear
from foldformer.nn.linears.residual import ResidualLinear

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
    """Numbers, and the bytes that they take in an export of that precision.

    See `foldformer.measure.stored`: at 4 bits, all matrices but the full-rank ones of the layers
    have 8; biases, norms and diagonals are in fp32 throughout.
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


def matrix_size(inputs: int, outputs: int, *, full_rank: bool = False) -> Size:
    """The size of a matrix that maps `inputs` numbers to `outputs`.

    `full_rank` says that it is the weight of a layer's map, no factor and no other matrix.
    """
    return Size(
        parameters=inputs * outputs,
        fp32=matrix_bytes(inputs, outputs, "fp32", full_rank=full_rank),
        fp16=matrix_bytes(inputs, outputs, "fp16", full_rank=full_rank),
        int8=matrix_bytes(inputs, outputs, "int8", full_rank=full_rank),
        int4=matrix_bytes(inputs, outputs, "int4", full_rank=full_rank),
    )


def channel_size(channels: int, entries: int) -> Size:
    """The size of a convolution or an embedding, with a scale for each channel."""
    return Size(
        parameters=entries,
        fp32=channel_bytes(channels, entries, "fp32"),
        fp16=channel_bytes(channels, entries, "fp16"),
        int8=channel_bytes(channels, entries, "int8"),
        int4=channel_bytes(channels, entries, "int4"),
    )


def vector_size(entries: int) -> Size:
    """The size of numbers that are never quantised."""
    size = vector_bytes(entries)
    return Size(parameters=entries, fp32=size, fp16=size, int8=size, int4=size)


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
            if isinstance(part, Linear):
                role = _ROLES.get(name, "weights")
                if role in ("weights", "low rank"):
                    full_rank = role == "weights"
                    yield (
                        role,
                        total(
                            matrix_size(rows, columns, full_rank=full_rank)
                            for rows, columns in _matrices(part, name, parameter)
                        ),
                    )
                else:
                    yield role, vector_size(parameter.numel())
            elif name == "weight" and isinstance(part, nn.Linear):
                yield "other", matrix_size(part.in_features, part.out_features)
            elif name == "weight" and isinstance(part, (nn.Conv1d, nn.Embedding)):
                yield "other", channel_size(parameter.shape[0], parameter.numel())
            else:
                yield "other", vector_size(parameter.numel())


def _matrices(part: Linear, name: str, parameter: nn.Parameter) -> list[tuple[int, int]]:
    """(in, out) of the matrices that an export makes of a parameter (..., in, out)."""
    rows, columns = parameter.shape[-2:]
    if isinstance(part, (ResidualLinear, LowRankLinear)) and name in ("down", "up"):
        ranks = [rank for rank in part.ranks if rank]
        return [(rows, rank) if name == "down" else (rank, columns) for rank in ranks]
    return [(rows, columns)] * (parameter.numel() // (rows * columns))


def dense_entries(module: nn.Module) -> int:
    """Entries of the matrices below `module` if each use had one of its own."""
    return sum(
        part.uses * part.in_features * part.out_features
        for part in module.modules()
        if isinstance(part, Linear)
    )
