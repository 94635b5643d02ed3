"""Cuts and joins in a row become one."""

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from foldformer.deploy.export.copies import remove_copies

LAST = np.iinfo(np.int64).max
HEAD = f"""<ir_version: 9, opset_import: ["" : 20]>
g (float[N,3,4] a, float[N,5,4] b) => (float[N,T,D] y) <
    int64[1] l0 = {{0}}, int64[1] l1 = {{1}}, int64[1] l2 = {{2}}, int64[1] l3 = {{3}},
    int64[1] l5 = {{5}}, int64[1] l9 = {{9}}, int64[1] last = {{ {LAST} }}, int64[1] back = {{-1}},
    int64[2] rows = {{-1, 4}}, int64[3] other = {{-1, 1, 4}}, int64[3] kept = {{0, -1, 2}}>
"""
CASES = {
    "joins": ("{ c = Concat <axis = 1> (a, b) y = Concat <axis = 1> (c, a) }", ["Concat"]),
    "joins of other axes": (
        "{ c = Concat <axis = 0> (a, a) d = Concat <axis = 1> (b, b) e = Concat <axis = 0> (d, d)"
        " y = Concat <axis = 1> (c, e) }",
        ["Concat"] * 4,
    ),
    "cuts": ("{ c = Slice (b, l1, l9, l1, l1) y = Slice (c, l1, l3, l1, l1) }", ["Slice"]),
    "cuts of other axes": (
        "{ c = Slice (b, l1, l9, l1, l1) y = Slice (c, l1, l3, l2, l1) }",
        ["Slice", "Slice"],
    ),
    "cuts from behind": (
        "{ c = Slice (b, back, last, l1, l1) y = Slice (c, l0, l1, l1, l1) }",
        ["Slice", "Slice"],
    ),
    "a cut of nothing": ("{ c = Slice (a, l0, last, l1, l1) y = Relu (c) }", ["Relu"]),
    "a cut of what was joined": (
        "{ c = Concat <axis = 1> (a, b) d = Slice (c, l3, last, l1, l1) y = Relu (d) }",
        ["Relu"],
    ),
    "a cut of what was joined, to an end": (
        "{ c = Concat <axis = 1> (b, a) d = Slice (c, l0, l5, l1, l1) y = Relu (d) }",
        ["Relu"],
    ),
    "a cut of a cut of what was joined": (
        "{ c = Concat <axis = 1> (a, b) d = Slice (c, l1, last, l1, l1)"
        " e = Slice (d, l2, l9, l1, l1) y = Relu (e) }",
        ["Relu"],
    ),
    "a cut of a part of what was joined": (
        "{ c = Concat <axis = 1> (a, b) d = Slice (c, l3, l5, l1, l1) y = Relu (d) }",
        ["Concat", "Slice", "Relu"],
    ),
    "a cut across what was joined": (
        "{ c = Concat <axis = 1> (a, b) d = Slice (c, l2, last, l1, l1) y = Relu (d) }",
        ["Concat", "Slice", "Relu"],
    ),
    "a cut of another axis than what was joined": (
        "{ c = Concat <axis = 1> (b, b) d = Slice (c, l0, l3, l2, l1) y = Relu (d) }",
        ["Concat", "Slice", "Relu"],
    ),
    "shapes": ("{ c = Reshape (a, rows) y = Reshape (c, other) }", ["Reshape"]),
    "shapes with a kept axis": (
        "{ c = Reshape (a, rows) y = Reshape (c, kept) }",
        ["Reshape", "Reshape"],
    ),
}


def outputs(model: ir.Model) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    inputs = {"a": rng.random((2, 3, 4), np.float32), "b": rng.random((2, 5, 4), np.float32)}
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    return session.run(None, {each.name: inputs[each.name] for each in session.get_inputs()})


@pytest.mark.parametrize("case", CASES)
def test_one_takes_the_place_of_two(case: str) -> None:
    body, kinds = CASES[case]
    model = ir.from_onnx_text(HEAD + body)
    before = outputs(model)
    remove_copies(model.graph)
    assert [node.op_type for node in model.graph] == kinds
    np.testing.assert_array_equal(outputs(model)[0], before[0])


def test_a_state_is_made_flat_before_it_is_cut_out() -> None:
    text = """<ir_version: 9, opset_import: ["" : 20]>
    g (float[N,3,4] a, float[N,5,4] b) => (float[1,N,12] y, float[1,N,8] z) <
        int64[1] l0 = {0}, int64[1] l1 = {1}, int64[1] l2 = {2}, int64[1] l5 = {5},
        int64[1] l99 = {99}, int64[3] twelve = {1, -1, 12}, int64[3] eight = {1, -1, 8}>
    {
        c = Concat <axis = 1> (a, b)
        d = Slice (c, l5, l99, l1, l1)
        y = Reshape (d, twelve)
        e = Slice (c, l0, l2, l1, l1)
        z = Reshape (e, eight)
    }"""
    model = ir.from_onnx_text(text)
    joined = next(iter(model.graph)).outputs[0]
    joined.shape = ir.Shape(["N", 8, 4])
    before = outputs(model)
    remove_copies(model.graph)
    for output in model.graph.outputs:
        assert output.producer().op_type == "Slice"
    assert [value.name for value in model.graph.outputs] == ["y", "z"]
    for found, expected in zip(outputs(model), before, strict=True):
        np.testing.assert_array_equal(found, expected)
