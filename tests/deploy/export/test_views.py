"""Cutting parameters beforehand, every element once."""

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch

from foldformer.deploy.export.sharing import stored_state
from foldformer.deploy.export.views import fold_views, mark_parameter, parameters
from foldformer.errors import SpecError

W = np.arange(24, dtype=np.float32).reshape(4, 6)
HEAD = f"""<ir_version: 9, opset_import: ["" : 20]>
g (float[N,2] a, float[N,4] b, float[N,6] c) => (float[N,M] y) <
    float[4,6] w = {{ {", ".join(map(str, W.reshape(-1)))} }}, int64 i1 = {{1}}, int64 i3 = {{3}},
    int64[1] l0 = {{0}}, int64[1] l1 = {{1}}, int64[1] l2 = {{2}}, int64[1] l6 = {{6}}>
"""
TWO_CUTS = """{
    first = Slice (w, l0, l2, l0, l1)
    again = Slice (w, l0, l2, l0, l1)
    second = Slice (w, l2, l6, l0, l1)
    ya = MatMul (a, first)
    yb = MatMul (a, again)
    yc = MatMul (a, second)
    yab = Add (ya, yb)
    y = Add (yab, yc)
}"""
AS_IT_IS_AND_TURNED = """{
    turned = Transpose <perm = [1, 0]> (w)
    z = MatMul (b, w)
    y = MatMul (z, turned)
}"""
TURNED_TWICE = """{
    turned = Transpose <perm = [1, 0]> (w)
    back = Transpose <perm = [1, 0]> (turned)
    y = MatMul (b, back)
}"""
TWO_ROWS = """{
    scale = Gather <axis = 0> (w, i3)
    shift = Gather <axis = 0> (w, i1)
    z = Mul (c, scale)
    y = Add (z, shift)
}"""


def model_of(body: str) -> ir.Model:
    model = ir.from_onnx_text(HEAD + body)
    mark_parameter(model.graph.initializers["w"])
    return model


def outputs(model: ir.Model) -> np.ndarray:
    rng = np.random.default_rng(0)
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    inputs = {
        name: rng.random((3, n), np.float32) for name, n in zip("abc", (2, 4, 6), strict=True)
    }
    wanted = {each.name for each in session.get_inputs()}
    return session.run(None, {name: x for name, x in inputs.items() if name in wanted})[0]


def state(model: ir.Model) -> dict[str, np.ndarray]:
    return stored_state([model.graph], {"w": torch.from_numpy(W)})


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (TWO_CUTS, {"w.0": W[:2], "w.1": W[2:]}),
        (AS_IT_IS_AND_TURNED, {"w": W}),  # both would be twice the matrix
        (TURNED_TWICE, {"w": W}),
    ],
)
def test_parts_take_the_place_of_the_nodes(body: str, parts: dict[str, np.ndarray]) -> None:
    model = model_of(body)
    expected = outputs(model)
    fold_views(model.graph, 20)
    found = {str(value.name): value.const_value.numpy() for value in parameters(model.graph)}
    assert found.keys() == parts.keys()
    for name, part in parts.items():
        np.testing.assert_array_equal(found[name], part)
    np.testing.assert_array_equal(outputs(model), expected)
    np.testing.assert_array_equal(state(model)["w"], W)
    nodes = [node.op_type for node in model.graph]
    assert "Slice" not in nodes
    assert nodes.count("Transpose") == (body is AS_IT_IS_AND_TURNED)


def test_what_is_never_used_is_missing() -> None:
    model = model_of(TWO_ROWS)
    expected = outputs(model)
    fold_views(model.graph, 20)
    np.testing.assert_array_equal(outputs(model), expected)
    assert [node.op_type for node in model.graph] == ["Mul", "Add"]
    with pytest.raises(SpecError, match="numbers of w are not all there in the graph"):
        state(model)


def test_what_is_there_twice_is_found() -> None:
    model = model_of(TWO_CUTS)
    with pytest.raises(SpecError, match="numbers of w are there more than once"):
        stored_state([model.graph, model.graph], {"w": torch.from_numpy(W)})
