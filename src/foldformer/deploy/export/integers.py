"""Products in whole numbers: weights in int8 or int4, what they are multiplied with in 8 bits."""

from collections.abc import Collection

import numpy as np
import onnx_ir as ir
import torch
from onnx_ir.passes import common

from foldformer.deploy.export.copies import remove_dead
from foldformer.deploy.export.stored import hold, numbers_of, shape_of, store, store_rows
from foldformer.deploy.export.views import PARAMETER, PLACES, parameters
from foldformer.deploy.folder import ProductsSpec
from foldformer.nn.quantise import THIN, quantise

DOMAIN = "com.microsoft"
"""ONNX Runtime's own operators: products of whole numbers whose result is in fp32."""

_REDUCED = 64
"""The largest int8 weight such that two of them times 255, the largest input, are a 16-bit sum."""

_ROUNDED_INPUT = 4
"""MatMulNBits' accuracy_level: what goes in is rounded to int8."""


def to_integers(
    model: ir.Model, fine: Collection[str], *, reduce_range: bool = False
) -> ProductsSpec:
    """Store the weight of every product in whole numbers, and compute with these where it pays.

    int8 has one scale for each column of a weight, int4 one for each block of a column. What a
    weight is multiplied with is rounded to 8 bits when the graph runs, by the largest and the
    smallest of its numbers (int8) or those of a block of a row (int4). Convolutions, embeddings and
    products with so few rows that rounding would take longer than it saves are computed in fp32.
    Vectors stay as they are: biases, diagonals and norms, 1 % of a model.

    A weight has its numbers and scales once, whatever the number of products it takes part in.

    Args:
        model: as `trace` gives it.
        fine: names of the parameters that become int4; all other weights become int8.
        reduce_range: int8 weights of products go from -64 to 64, and not from -127 to 127, for
            processors that add pairs of products in 16 bits: x86 without VNNI.
    """
    graph = model.graph
    model.opset_imports[DOMAIN] = 1
    rounded: dict[ir.Value, list[ir.Value]] = {}
    integer = stored = total = 0
    for weight in parameters(graph):
        users = [use.node for use in weight.uses()]
        if users and all(_takes_transposed(node, weight) for node in users):
            _transpose(weight, users)
        products = [node for node in users if _is_product(node, weight)]
        total += len(products)
        if len(products) < len(users):
            if all(_is_lookup(node, weight) for node in users):
                store_rows(graph, weight)
            elif all(_is_lookup(node, weight) or _is_output(node, weight) for node in users):
                outputs = sum(_is_output(node, weight) for node in users)
                total, stored = total + outputs, stored + outputs
                store(graph, weight)
        elif products and products[0].op_type != "Conv" and shape_of(weight)[0] >= THIN:
            integer += len(products)
            if weight.meta[PARAMETER] in fine:
                _to_int4(graph, weight, products)
            else:
                _to_int8(graph, weight, products, rounded, reduce_range=reduce_range)
        elif products:
            stored += len(products)
            store(graph, weight)
    remove_dead(graph)
    common.NameFixPass()(model)
    return ProductsSpec(integer=integer, stored=stored, total=total)


def _is_product(node: ir.Node, weight: ir.Value) -> bool:
    """Whether `weight` is the second factor, as it stands."""
    if len(node.inputs) < 2 or node.inputs[1] is not weight or node.inputs[0] is weight:
        return False
    if node.op_type == "Gemm":
        plain = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}
        return all(plain[name] == each.value for name, each in node.attributes.items())
    return node.op_type == "Conv" or (node.op_type == "MatMul" and len(shape_of(weight)) == 2)


def _takes_transposed(node: ir.Node, weight: ir.Value) -> bool:
    """Whether the node is x @ weight.T, as of a map that stores its matrix (out, in)."""
    transposed = node.op_type == "Gemm" and node.attributes.get_int("transB", 0) == 1
    return transposed and node.inputs[1] is weight and node.inputs[0] is not weight


def _transpose(weight: ir.Value, products: list[ir.Node]) -> None:
    """Store (in, out), which operators of whole numbers want."""
    weight.const_value = ir.tensor(np.ascontiguousarray(numbers_of(weight).T), name=weight.name)
    weight.shape = ir.Shape(shape_of(weight))
    weight.meta[PLACES] = weight.meta[PLACES].T
    for node in products:
        del node.attributes["transB"]


def _is_lookup(node: ir.Node, table: ir.Value) -> bool:
    """Whether rows of `table` are taken."""
    rows = node.op_type == "Gather" and node.attributes.get_int("axis", 0) == 0
    return rows and node.inputs[0] is table and len(shape_of(table)) == 2


def _is_output(node: ir.Node, table: ir.Value) -> bool:
    """Whether scores of tokens are table @ x: an embedding is the output layer too."""
    return node.op_type == "MatMul" and node.inputs[0] is table and len(shape_of(table)) == 2


def _to_int8(
    graph: ir.Graph,
    weight: ir.Value,
    products: list[ir.Node],
    rounded: dict[ir.Value, list[ir.Value]],
    *,
    reduce_range: bool,
) -> None:
    """MatMulIntegerToFloat: x in uint8, rounded once for all that it is multiplied with."""
    matrix = torch.from_numpy(numbers_of(weight))
    found = quantise(matrix, 8, _REDUCED) if reduce_range else quantise(matrix, 8)
    stored = found.dequantised().numpy()
    scales = hold(graph, weight, found.numbers.numpy(), found.scales[0].numpy(), stored)
    for node in products:
        x = node.inputs[0]
        assert x is not None
        if x not in rounded:
            rounded[x] = _rounding(graph, x)
        numbers, scale, zero = rounded[x]
        inputs = [numbers, weight, scale, scales, zero, None]
        _replace(graph, node, "MatMulIntegerToFloat", inputs, {})


def _rounding(graph: ir.Graph, x: ir.Value) -> list[ir.Value]:
    """Numbers, scale and zero of x, right after it has been computed."""
    node = ir.node("DynamicQuantizeLinear", [x], num_outputs=3)
    for output, what in zip(node.outputs, ("uint8", "scale", "zero"), strict=True):
        output.name = f"{x.name}.{what}"
    producer = x.producer()
    if producer is None:
        graph.insert_before(graph[0], node)
    else:
        graph.insert_after(producer, node)
    return list(node.outputs)


def _to_int4(graph: ir.Graph, weight: ir.Value, products: list[ir.Node]) -> None:
    """MatMulNBits: blocks of a column lie beside one another, two numbers in a byte."""
    found = quantise(torch.from_numpy(numbers_of(weight)), 4)
    rows, columns = shape_of(weight)
    blocks = found.scales.shape[0]
    padding = ((0, blocks * found.block - rows), (0, 0))
    shifted = np.pad(found.numbers.numpy() + 8, padding, constant_values=8).astype(np.uint8)
    pairs = shifted.T.reshape(columns, blocks, found.block // 2, 2)
    packed = pairs[..., 0] | pairs[..., 1] << 4
    stored = found.dequantised().numpy()
    scales = hold(graph, weight, packed, found.scales.numpy().T, stored)
    attributes = {
        "K": rows,
        "N": columns,
        "bits": 4,
        "block_size": found.block,
        "accuracy_level": _ROUNDED_INPUT,
    }
    for node in products:
        inputs = [node.inputs[0], weight, scales, None, None]
        _replace(graph, node, "MatMulNBits", inputs, attributes)


def _replace(
    graph: ir.Graph,
    node: ir.Node,
    op_type: str,
    inputs: list[ir.Value | None],
    attributes: dict[str, int],
) -> None:
    """The product by another operator, which adds a bias; what else was added is added after it.

    Where that ends with a product of its own (Gemm), as a low-rank residual does, this one comes
    last and adds the rest: one sum less, and the runtime can join an activation to it.
    """
    bias, rest = _split(node.inputs[2]) if len(node.inputs) > 2 else (None, None)
    inputs = inputs if bias is None else [*inputs, bias]
    made = [ir.node(op_type, inputs, attributes, domain=DOMAIN)]
    last = rest.producer() if rest is not None and len(rest.uses()) == 1 else None
    last = last if last is not None and last.op_type == "Gemm" else None
    if last is not None:
        rest = last.inputs[2] if len(last.inputs) > 2 else None
    if rest is not None:
        made.append(ir.node("Add", [made[-1].outputs[0], rest]))
    if last is not None:
        factors = [*last.inputs[:2], made[-1].outputs[0]]
        made.append(ir.node("Gemm", factors, dict(last.attributes)))
    old, new = node.outputs[0], made[-1].outputs[0]
    for step in made[:-1]:
        step.outputs[0].name = f"{old.name}.{step.op_type}"
    new.type, new.shape = old.type, old.shape
    name = old.name
    graph.insert_before(node, made)
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    if last is not None:
        graph.remove(last, safe=True)
    new.name = name


def _split(added: ir.Value | None) -> tuple[ir.Value | None, ir.Value | None]:
    """(bias, rest) of what a product adds: operators of whole numbers add vectors alone."""
    if added is None or _is_vector(added):
        return added, None
    node = added.producer()
    if node is not None and len(added.uses()) == 1:
        if node.op_type == "Add":
            for bias, rest in (node.inputs, node.inputs[::-1]):
                if bias is not None and rest is not None and _is_vector(bias):
                    added.replace_all_uses_with(rest)
                    return bias, rest
        if node.op_type == "Gemm" and len(node.inputs) == 3:
            bias, rest = _split(node.inputs[2])
            if rest is None:
                node.resize_inputs(2)
            return bias, added
    return None, added


def _is_vector(value: ir.Value) -> bool:
    return value.const_value is not None and len(shape_of(value)) == 1
