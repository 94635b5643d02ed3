"""What an ONNX file says of itself, read without a runtime and without its weights.

A runtime that is handed a bad file may end the process, and a device has no ONNX package. Of the
fields (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), the few that matter here are looked
up in the mapped file.
"""

import math
import mmap
from dataclasses import dataclass
from pathlib import Path

from foldformer.deploy.protobuf import DamagedError, Message
from foldformer.errors import InputError

_MODEL_GRAPH, _MODEL_METADATA = 7, 14
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_TYPE, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_INT = 1, 3
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_VALUE_NAME, _VALUE_TYPE, _TYPE_TENSOR, _TENSOR_SHAPE, _SHAPE_DIM = 1, 2, 1, 2, 1

BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64,
        16: 16, 21: 4, 22: 4}  # fmt: skip
"""{ONNX's number of a type: bits of an element}."""


@dataclass(frozen=True)
class Tensor:
    """A tensor's name, its type (ONNX's number), and its shape, with -1 for what is not fixed."""

    name: str
    dtype: int
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of its elements."""
        return (self.elements * BITS.get(self.dtype, 8) + 7) // 8


@dataclass(frozen=True)
class Node:
    """An operation: its type, names of inputs and outputs, and attributes that are integers."""

    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, int]


@dataclass(frozen=True)
class OnnxFile:
    """A graph.

    Attributes:
        metadata: what a runtime reads, {key: value}.
        inputs: in the order in which a runtime gives them.
        outputs: the same.
        weights: {name: tensor} of its initialisers.
        nodes: in the order in which they run.
    """

    metadata: dict[str, str]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    weights: dict[str, Tensor]
    nodes: tuple[Node, ...]


def read_onnx(path: Path) -> OnnxFile:
    """Read a file.

    Raises:
        InputError: it is empty, truncated, or no ONNX.
    """
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _model(Message.of(data))
    except (DamagedError, ValueError) as error:  # not UTF-8, or an empty file, not to be mapped
        reason = str(error) if isinstance(error, DamagedError) else "its bytes make no sense"
        raise InputError(
            f"{path}: is damaged or no ONNX file ({reason}); export the model again"
        ) from None


def _model(message: Message) -> OnnxFile:
    metadata: dict[str, str] = {}
    graphs = []
    for field, value in message.messages(_MODEL_GRAPH, _MODEL_METADATA):
        if field == _MODEL_GRAPH:
            graphs.append(value)
        else:
            entry = {number: str(text) for number, text in value.messages(1, 2)}
            metadata[entry.get(1, "")] = entry.get(2, "")
    if len(graphs) != 1:
        raise DamagedError("it holds no graph")
    found: dict[int, list[Message]] = {
        field: [] for field in (_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT)
    }
    for field, value in graphs[0].messages(*found):
        found[field].append(value)
    weights = [_tensor(each) for each in found[_GRAPH_INITIALIZER]]
    return OnnxFile(
        metadata,
        tuple(_value(each) for each in found[_GRAPH_INPUT]),
        tuple(_value(each) for each in found[_GRAPH_OUTPUT]),
        {each.name: each for each in weights},
        tuple(_node(each) for each in found[_GRAPH_NODE]),
    )


def _tensor(message: Message) -> Tensor:
    """An initialiser, without its elements."""
    name, dtype, shape = "", 0, []
    raw = None
    for field, value in message.fields():
        if field == _TENSOR_DIMS:
            shape += [value] if isinstance(value, int) else list(value.integers())
        elif field == _TENSOR_TYPE and isinstance(value, int):
            dtype = value
        elif field == _TENSOR_NAME:
            name = str(value)
        elif field == _TENSOR_RAW and isinstance(value, Message):
            raw = value.size
    tensor = Tensor(name, dtype, tuple(shape))
    if dtype not in BITS:
        raise DamagedError(f"{name} has the type {dtype}")
    if raw is not None and raw != tensor.bytes:
        raise DamagedError(f"{name} has {raw} bytes and needs {tensor.bytes}")
    return tensor


def _value(message: Message) -> Tensor:
    """An input or output."""
    name, dtype, shape = "", 0, []
    for field, value in message.messages(_VALUE_NAME, _VALUE_TYPE):
        if field == _VALUE_NAME:
            name = str(value)
            continue
        for _, tensor in value.messages(_TYPE_TENSOR):
            for number, part in tensor.fields():
                if number == 1 and isinstance(part, int):
                    dtype = part
                elif number == _TENSOR_SHAPE and isinstance(part, Message):
                    for _, dim in part.messages(_SHAPE_DIM):
                        sizes = [n for key, n in dim.fields() if key == 1 and isinstance(n, int)]
                        shape.append(sizes[0] if sizes else -1)
    return Tensor(name, dtype, tuple(shape))


def _node(message: Message) -> Node:
    op_type, inputs, outputs, attributes = "", [], [], {}
    wanted = (_NODE_INPUT, _NODE_OUTPUT, _NODE_TYPE, _NODE_ATTRIBUTE)
    for field, value in message.messages(*wanted):
        if field == _NODE_INPUT:
            inputs.append(str(value))
        elif field == _NODE_OUTPUT:
            outputs.append(str(value))
        elif field == _NODE_TYPE:
            op_type = str(value)
        else:
            parts = dict(value.fields())
            number = parts.get(_ATTRIBUTE_INT)
            if isinstance(number, int):
                attributes[str(parts.get(_ATTRIBUTE_NAME, ""))] = number
    return Node(op_type, tuple(inputs), tuple(outputs), attributes)
