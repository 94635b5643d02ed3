"""Nodes that copy for nothing: cuts and joins in a row are made one, those that cut nothing go."""

import numpy as np
import onnx_ir as ir


def remove_copies(graph: ir.Graph) -> None:
    """Merge what follows one another, and leave out what changes nothing.

    A Concat of a Concat becomes one Concat, a Slice of a Slice one Slice, a Reshape of a Reshape
    one Reshape; a Slice goes that keeps everything, or one whole part of what was joined. What is
    cut out of frames and given back flat, as states are, is made flat before the cut: a Reshape
    costs nothing but at the end.
    """
    for node in list(graph):
        if node.op_type == "Concat":
            _merge_concat(node)
        elif node.op_type == "Slice":
            _merge_slice(graph, node)
        elif node.op_type == "Reshape":
            _merge_reshape(node)
    for node in list(graph):
        if node.op_type == "Reshape" and node.outputs[0].is_graph_output():
            _cut_flat(graph, node)
    remove_dead(graph)


def remove_dead(graph: ir.Graph) -> None:
    """Remove nodes whose results nobody takes."""
    for node in reversed(graph):
        if not any(output.uses() or output.is_graph_output() for output in node.outputs):
            graph.remove(node, safe=True)


def constant(graph: ir.Graph, numbers: list[int]) -> ir.Value:
    """An initialiser of int64, one for all who want the same."""
    name = "_".join(["int", *(str(n).replace("-", "m") for n in numbers)])
    if name not in graph.initializers:
        tensor = ir.tensor(np.array(numbers, dtype=np.int64), name=name)
        graph.register_initializer(ir.val(name, const_value=tensor))
    return graph.initializers[name]


def _producer(value: ir.Value | None, op_type: str) -> ir.Node | None:
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == op_type else None


def _merge_concat(node: ir.Node) -> None:
    inputs: list[ir.Value | None] = []
    for each in node.inputs:
        inner = _producer(each, "Concat")
        inputs += [each] if inner is None or _axis(inner) != _axis(node) else inner.inputs
    node.resize_inputs(len(inputs))
    for index, each in enumerate(inputs):
        node.replace_input_with(index, each)


def _axis(node: ir.Node) -> int:
    """Counted from the front where the rank is known."""
    axis, shape = node.attributes["axis"].as_int(), node.outputs[0].shape
    return axis if axis >= 0 or shape is None else axis + shape.rank()


def _merge_reshape(node: ir.Node) -> None:
    inner, target = _producer(node.inputs[0], "Reshape"), node.inputs[1]
    if inner is None or target is None or target.const_value is None:
        return
    if 0 not in target.const_value.numpy():  # which may stand for an axis of the input
        node.replace_input_with(0, inner.inputs[0])


def _merge_slice(graph: ir.Graph, node: ir.Node) -> None:
    source, output = node.inputs[0], node.outputs[0]
    cut = _cut(node)
    if source is None or cut is None:
        return
    if cut[:2] == (0, np.iinfo(np.int64).max) and not output.is_graph_output():
        output.replace_all_uses_with(source)
        return
    inner = _producer(source, "Slice")
    before = None if inner is None else _cut(inner)
    if inner is not None and before is not None and before[2] == cut[2]:
        cut = before[0] + cut[0], min(before[1], before[0] + cut[1]), cut[2]
        node.replace_input_with(0, inner.inputs[0])
        node.replace_input_with(1, constant(graph, [cut[0]]))
        node.replace_input_with(2, constant(graph, [cut[1]]))
    joined = _producer(node.inputs[0], "Concat")
    part = None if joined is None else _part(joined, cut)
    if part is not None and not output.is_graph_output():
        output.replace_all_uses_with(part)


def _part(joined: ir.Node, cut: tuple[int, int, int]) -> ir.Value | None:
    """The one input of a Concat that the cut gives back whole."""
    start, end, axis = cut
    if _axis(joined) != axis:
        return None
    first = 0
    for index, each in enumerate(joined.inputs):
        size = None if each is None or each.shape is None else each.shape[axis]
        if not isinstance(size, int):
            return None
        is_last = index == len(joined.inputs) - 1
        if first == start and (end == first + size or (is_last and end > first + size)):
            return each
        first += size
    return None


def _cut_flat(graph: ir.Graph, node: ir.Node) -> None:
    """Reshape(Slice(x)): (N, S, D) -> (N, s, D) -> (1, N, s D) by a Slice of (1, N, S D)."""
    inner, output = _producer(node.inputs[0], "Slice"), node.outputs[0]
    cut = None if inner is None else _cut(inner)
    if inner is None or cut is None or cut[2] != 1:
        return
    source = inner.inputs[0]
    shape = None if source is None else source.shape
    if source is None or shape is None or shape.rank() != 3 or output.shape is None:
        return
    frames, width = shape[1], shape[2]
    if not isinstance(frames, int) or not isinstance(width, int):
        return
    start, end = cut[0] * width, min(cut[1], frames) * width
    if output.shape.rank() != 3 or output.shape[0] != 1 or output.shape[2] != end - start:
        return
    flat = ir.node("Reshape", [source, constant(graph, [1, -1, frames * width])])
    flat.outputs[0].name = f"{output.name}_of"
    graph.insert_before(node, [flat])
    cut_out = ir.node(
        "Slice",
        [flat.outputs[0], *(constant(graph, [n]) for n in (start, end, 2, 1))],
    )
    cut_out.outputs[0].type, cut_out.outputs[0].shape = output.type, output.shape
    graph.insert_before(node, [cut_out])
    name = output.name
    output.replace_all_uses_with(cut_out.outputs[0], replace_graph_outputs=True)
    graph.remove(node, safe=True)
    cut_out.outputs[0].name = name


def _cut(node: ir.Node) -> tuple[int, int, int] | None:
    """(start, end, axis) of a cut along one axis in steps of 1, both ends counted from 0."""
    numbers = []
    for each in node.inputs[1:]:
        if each is None or each.const_value is None or each.const_value.size != 1:
            return None
        numbers.append(int(each.const_value.numpy().item()))
    if len(numbers) != 4 or numbers[3] != 1 or min(numbers[:3]) < 0:
        return None
    return numbers[0], numbers[1], numbers[2]
