"""Weights as whole numbers with scales beside them, in the place of the initialisers they were."""

import numpy as np
import onnx
import onnx_ir as ir
import torch
from numpy.typing import NDArray

from foldformer.nn.quantise import quantise

Array = NDArray[np.generic]

STORED = "stored"
"""Key of a value's `meta`: what an initialiser of whole numbers stands for, in float32."""

SCALES = ".scales"
"""What the name of an initialiser with a parameter's scales ends with."""


def shape_of(value: ir.Value) -> tuple[int, ...]:
    """Of an initialiser."""
    assert value.const_value is not None
    return tuple(value.const_value.shape.numpy())


def numbers_of(value: ir.Value) -> NDArray[np.float32]:
    """The content of an initialiser."""
    assert value.const_value is not None
    return value.const_value.numpy().astype(np.float32)


def hold(
    graph: ir.Graph, weight: ir.Value, numbers: Array, scales: Array, stored: Array
) -> ir.Value:
    """Put whole numbers in the place of a weight; returns the initialiser of their scales."""
    weight.meta[STORED] = stored
    weight.const_value = ir.tensor(np.ascontiguousarray(numbers), name=weight.name)
    weight.dtype, weight.shape = weight.const_value.dtype, ir.Shape(numbers.shape)
    name = f"{weight.name}{SCALES}"
    value = ir.val(name, const_value=ir.tensor(np.ascontiguousarray(scales), name=name))
    graph.register_initializer(value)
    return value


def store(graph: ir.Graph, weight: ir.Value) -> None:
    """int8 with a scale for each row or output channel; taken back to fp32 by DequantizeLinear.

    ONNX Runtime does that in each call, for the sake of fusions that this graph has no use for,
    and keeps int8 in memory. With `session.disable_quant_qdq` it is done when the file is loaded:
    `foldformer.deploy.folder` has both.
    """
    shape = shape_of(weight)
    rows = quantise(torch.from_numpy(numbers_of(weight).reshape(shape[0], -1).T), 8)
    numbers, stored = (each.numpy().T.reshape(shape) for each in (rows.numbers, rows.dequantised()))
    scales = rows.scales.numpy().reshape(-1)
    users = [(use.node, use.idx) for use in weight.uses()]
    value = hold(graph, weight, numbers, scales, stored)
    wide = ir.node("DequantizeLinear", [weight, value], {"axis": 0})
    output = wide.outputs[0]
    output.name, output.dtype, output.shape = f"{weight.name}.fp32", ir.DataType.FLOAT, weight.shape
    # All of them first: right before the product, each would have its buffer between others that
    # go back to the system, which costs a fifth more page faults in a chunk with `small`.
    graph.insert_before(graph[0], [wide])
    for node, index in users:
        node.replace_input_with(index, output)


def _widening(numbers: ir.Value, scales: ir.Value) -> list[ir.Node]:
    """Nodes for numbers * scales in fp32."""
    cast = ir.node("Cast", [numbers], {"to": ir.DataType.FLOAT})
    wide = ir.node("Mul", [cast.outputs[0], scales])
    for node, name in ((cast, "cast"), (wide, "fp32")):
        output = node.outputs[0]
        output.name, output.dtype = f"{numbers.name}.{name}", ir.DataType.FLOAT
        output.shape = numbers.shape
    return [cast, wide]


def store_rows(graph: ir.Graph, table: ir.Value) -> None:
    """An embedding in int8, a scale for each row: the rows that are looked up are taken to fp32."""
    found = quantise(torch.from_numpy(numbers_of(table).T), 8)
    lookups = [use.node for use in table.uses()]
    stored = found.dequantised().numpy().T
    scales = hold(graph, table, found.numbers.numpy().T, found.scales.numpy().T, stored)
    for node in lookups:
        old = node.outputs[0]
        users = [(use.node, use.idx) for use in old.uses()]
        old.dtype = ir.DataType.INT8
        factors = ir.node("Gather", [scales, node.inputs[1]], dict(node.attributes))
        factors.outputs[0].name = f"{old.name}.scales"
        wide = _widening(old, factors.outputs[0])
        graph.insert_after(node, [factors, *wide])
        for user, index in users:
            user.replace_input_with(index, wide[-1].outputs[0])


def packed_sizes(graph: onnx.GraphProto) -> dict[str, int]:
    """{initialiser: numbers of the matrix} of those that hold several numbers in a byte."""
    sizes = {}
    for node in graph.node:
        if node.op_type == "MatMulNBits":
            given = {each.name: each.i for each in node.attribute}
            sizes[node.input[1]] = given["K"] * given["N"]
    return sizes
