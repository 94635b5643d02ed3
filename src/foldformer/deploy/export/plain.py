"""A quantised file with its products in fp32 again, by the weights and scales that stand in it."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[Any]


def plain_form(model: onnx.ModelProto) -> onnx.ModelProto:
    """What the file computes if nothing is rounded on the way.

    This can be compared with PyTorch to the last digits, as the file itself cannot: that rounds
    its inputs to 8 bits before each product.
    """
    graph = model.graph
    held = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    sources: dict[str, str] = {}
    made: dict[str, Array] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type == "DynamicQuantizeLinear":
            sources[node.output[0]] = node.input[0]
        elif node.op_type == "MatMulIntegerToFloat":
            x, weight, _, scales, *_ = node.input
            made.setdefault(weight, held[weight] * held[scales])
            nodes += _product(sources[x], f"{weight}.plain", node, bias=6)
        elif node.op_type == "MatMulNBits":
            x, weight, scales, *_ = node.input
            made.setdefault(weight, _unpacked(held[weight], held[scales], _rows(node)))
            nodes += _product(x, f"{weight}.plain", node, bias=5)
        else:
            nodes.append(node)
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    del plain.graph.node[:]
    plain.graph.node.extend(nodes)
    plain.graph.initializer.extend(
        numpy_helper.from_array(matrix.astype(np.float32), f"{name}.plain")
        for name, matrix in made.items()
    )
    return plain


def _product(x: str, weight: str, node: onnx.NodeProto, bias: int) -> list[onnx.NodeProto]:
    """x @ weight + the input at `bias`, if there is one."""
    output = node.output[0]
    if len(node.input) <= bias or not node.input[bias]:
        return [helper.make_node("MatMul", [x, weight], [output])]
    return [
        helper.make_node("MatMul", [x, weight], [f"{output}.plain"]),
        helper.make_node("Add", [f"{output}.plain", node.input[bias]], [output]),
    ]


def _rows(node: onnx.NodeProto) -> int:
    return int(next(each.i for each in node.attribute if each.name == "K"))


def _unpacked(pairs: Array, scales: Array, rows: int) -> Array:
    """(in, out) of two numbers a byte, (out, blocks, block / 2), the lower bits first."""
    numbers = np.stack([pairs & 15, pairs >> 4], axis=-1).astype(np.float32) - 8
    blocks = numbers.reshape(*scales.shape, -1) * scales[..., None]
    unpacked: Array = blocks.reshape(len(scales), -1)[:, :rows].T
    return unpacked
