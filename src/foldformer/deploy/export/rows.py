"""Frames of a batch as the rows of one matrix, from one product to the next."""

import onnx_ir as ir

from foldformer.deploy.export.copies import constant

_ROWWISE = frozenset({
    "Add", "Cast", "Div", "Erf", "Gelu", "LayerNormalization", "Mul", "Neg", "Relu", "Sigmoid",
    "Sub", "Tanh",
})  # fmt: skip


def flatten_rows(graph: ir.Graph) -> None:
    """Let what works on each frame by itself take rows (B T, D) instead of (B, T, D).

    A map that adds on its way (Gemm) takes a matrix, so the frames of all utterances are its rows.
    Between two maps stand sums, norms and activations, for which the axes make no difference:
    where one of their inputs has just been given its three axes, they are computed without, and
    their result is given them instead. What is taken to rows again later needs no node any more.
    """
    flat: dict[ir.Value, ir.Node] = {}  # (B, T, D) -> the node that makes it of rows
    for node in list(graph):
        source = node.inputs[0] if node.inputs else None
        if node.op_type == "Reshape" and source is not None:
            _fix_shape(graph, node)
            output = node.outputs[0]
            if _rank(source) == 2 and _rank(output) == 3 and _same_width(source, output):
                flat[output] = node
            elif source in flat:
                if _rank(output) == 2 and _same_width(source, output):
                    output.replace_all_uses_with(_rows(flat[source]))
                elif not _copies_axes(node):
                    node.replace_input_with(0, _rows(flat[source]))
        elif node.op_type in _ROWWISE and _fits(node, flat):
            lifted = next(flat[each] for each in node.inputs if each in flat)
            made = _on_rows(graph, node, flat, lifted.inputs[1])
            flat[made.outputs[0]] = made


def _rows(reshape: ir.Node) -> ir.Value:
    rows = reshape.inputs[0]
    assert rows is not None
    return rows


def _rank(value: ir.Value) -> int | None:
    return None if value.shape is None else value.shape.rank()


def _same_width(a: ir.Value, b: ir.Value) -> bool:
    assert a.shape is not None
    assert b.shape is not None
    return isinstance(a.shape[-1], int) and a.shape[-1] == b.shape[-1]


def _copies_axes(reshape: ir.Node) -> bool:
    """Whether a 0 in the new shape stands for an axis of the input, which rows do not have."""
    shape = reshape.inputs[1]
    if reshape.attributes.get_int("allowzero", 0):
        return False
    return shape is None or shape.const_value is None or 0 in shape.const_value.numpy()


def _fits(node: ir.Node, flat: dict[ir.Value, ir.Node]) -> bool:
    """Whether some inputs are rows with axes, of the output's shape, and the others do not mind."""
    shape = node.outputs[0].shape
    if shape is None or shape.rank() != 3 or len(node.outputs) != 1:
        return False
    if node.op_type == "LayerNormalization" and node.attributes.get_int("axis", -1) not in (-1, 2):
        return False
    given = [each for each in node.inputs if each is not None]
    if any(size is None or getattr(size, "value", size) is None for size in shape):
        return False  # sizes that nobody knows may be different ones
    same = [each for each in given if each.shape == shape]
    vectors = [each for each in given if _rank(each) in (0, 1)]
    return any(each in flat for each in same) and len(same) + len(vectors) == len(given)


def _on_rows(
    graph: ir.Graph, node: ir.Node, flat: dict[ir.Value, ir.Node], shape: ir.Value | None
) -> ir.Node:
    """Compute the node on rows; returns what gives its result the axes."""
    output = node.outputs[0]
    assert output.shape is not None
    width = output.shape[-1]
    inputs: list[ir.Value | None] = []
    for each in node.inputs:
        if each in flat:
            inputs.append(_rows(flat[each]))
        elif each is None or _rank(each) != 3:
            inputs.append(each)
        else:
            inputs.append(_flattened(graph, node, each, flat))
    attributes: dict[str, ir.Attr | int] = dict(node.attributes)
    if node.op_type == "LayerNormalization":
        attributes["axis"] = -1
    rows = ir.node(node.op_type, inputs, attributes)
    made = rows.outputs[0]
    made.name = f"{output.name}_rows"
    made.type, made.shape = output.type, ir.Shape([None, width])
    axes = ir.node("Reshape", [made, shape], {"allowzero": 1})
    axes.outputs[0].type, axes.outputs[0].shape = output.type, output.shape
    name = output.name
    graph.insert_before(node, [rows, axes])
    output.replace_all_uses_with(axes.outputs[0], replace_graph_outputs=True)
    graph.remove(node, safe=True)
    axes.outputs[0].name = name
    return axes


def _fix_shape(graph: ir.Graph, reshape: ir.Node) -> None:
    """A constant as the new shape, where at most one size is not known: that is -1."""
    shape = reshape.outputs[0].shape
    if shape is None:
        return
    sizes = [size if isinstance(size, int) else -1 for size in shape]
    if sizes.count(-1) <= 1 and 0 not in sizes:
        reshape.replace_input_with(1, constant(graph, sizes))


def _flattened(
    graph: ir.Graph, before: ir.Node, value: ir.Value, flat: dict[ir.Value, ir.Node]
) -> ir.Value:
    assert value.shape is not None
    width = value.shape[-1]
    assert isinstance(width, int)
    node = ir.node("Reshape", [value, constant(graph, [-1, width])], {"allowzero": 1})
    node.outputs[0].name = f"{value.name}_to_rows"
    node.outputs[0].type, node.outputs[0].shape = value.type, ir.Shape([None, width])
    graph.insert_before(before, [node])
    return node.outputs[0]
