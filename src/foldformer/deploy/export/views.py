"""Parts of parameters that a graph cuts out when it runs, cut out beforehand and accounted for."""

import numpy as np
import onnx.reference.ops as reference
import onnx_ir as ir
from numpy.typing import NDArray

from foldformer.deploy.export.copies import remove_dead

PARAMETER = "parameter"
"""Key of a value's `meta`: the name of the parameter that an initialiser holds, or a part of."""

PLACES = "places"
"""Key of a value's `meta`: where in that parameter its elements stand, in the value's shape."""

Places = NDArray[np.int64]

_VIEWS = frozenset({
    "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze",
})  # fmt: skip


def mark_parameter(value: ir.Value) -> None:
    """Note that an initialiser is the whole parameter of its name."""
    assert value.const_value is not None
    size, shape = value.const_value.size, value.const_value.shape.numpy()
    value.meta[PARAMETER] = value.name
    value.meta[PLACES] = np.arange(size, dtype=np.int64).reshape(shape)


def parameters(graph: ir.Graph) -> list[ir.Value]:
    """The initialisers that are parameters, or parts of them."""
    return [value for value in graph.initializers.values() if PARAMETER in value.meta]


def fold_views(graph: ir.Graph, opset: int) -> None:
    """Replace nodes that only cut or turn a parameter by initialisers that hold the result.

    Equal parts become one initialiser. Where the different parts of a parameter would together be
    larger than it, as those of a matrix that is used as it is and transposed, it stays whole and
    is cut at run time: no element is stored twice.
    """
    for parameter in parameters(graph):
        views = {parameter: parameter.meta[PLACES]}
        _follow(parameter, views, opset)
        inner = {view.producer() for view in views}
        ends = [v for v in views if v.is_graph_output() or set(v.consumers()) - inner]
        parts = {_key(views[view]): views[view] for view in ends}
        if sum(places.size for places in parts.values()) <= parameter.meta[PLACES].size:
            _store(graph, parameter, {view: views[view] for view in ends})
    remove_dead(graph)


def _follow(value: ir.Value, views: dict[ir.Value, Places], opset: int) -> None:
    """Add the views of `value`, and their views."""
    for node in value.consumers():
        fixed = all(each is None or each.const_value is not None for each in node.inputs[1:])
        if node.op_type in _VIEWS and node.inputs[0] is value and fixed:
            for output, places in zip(
                node.outputs, _evaluated(node, views[value], opset), strict=True
            ):
                views[output] = places
                _follow(output, views, opset)


def _evaluated(node: ir.Node, places: Places, opset: int) -> tuple[Places, ...]:
    """What the node makes of the places, by ONNX's own reference."""
    others = [
        None if each is None or each.const_value is None else each.const_value.numpy()
        for each in node.inputs[1:]
    ]
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    result = reference.load_op("", node.op_type, opset).eval(places, *others, **attributes)
    return result if isinstance(result, tuple) else (result,)


def _store(graph: ir.Graph, parameter: ir.Value, ends: dict[ir.Value, Places]) -> None:
    """Give each different part an initialiser, which takes the place of the views."""
    assert parameter.const_value is not None
    elements = parameter.const_value.numpy().reshape(-1)
    stored: dict[bytes, ir.Value] = {}
    for view, places in ends.items():
        if view is parameter:
            stored[_key(places)] = parameter
    # In the order of the parameter, so that names count the uses.
    for view, places in sorted(ends.items(), key=lambda item: int(item[1].min(initial=0))):
        key = _key(places)
        if key not in stored:
            name = f"{parameter.name}.{len(stored)}" if len(ends) > 1 else str(parameter.name)
            tensor = ir.tensor(np.ascontiguousarray(elements[places]), name=name)
            part = ir.val(name, const_value=tensor)
            part.meta.update({PARAMETER: parameter.meta[PARAMETER], PLACES: places})
            stored[key] = part
        if view is not parameter:
            view.replace_all_uses_with(stored[key], replace_graph_outputs=True)
    if parameter not in stored.values():
        del graph.initializers[str(parameter.name)]
    for part in stored.values():
        if part is not parameter:
            graph.register_initializer(part)


def _key(places: Places) -> bytes:
    return repr(places.shape).encode() + places.tobytes()
