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
    int64[1] l9 = {{9}}, int64[1] last = {{ {LAST} }}, int64[1] back = {{-1}},
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
    "shapes": ("{ c = Reshape (a, rows) y = Reshape (c, other) }", ["Reshape"]),
    "shapes with a kept axis": (
        "{ c = Reshape (a, rows) y = Reshape (c, kept) }",
        ["Reshape", "Reshape"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_one_takes_the_place_of_two(case: str) -> None:
    body, kinds = CASES[case]
    model = ir.from_onnx_text(HEAD + body)
    before = ir.to_proto(model).SerializeToString()
    remove_copies(model.graph)
    assert [node.op_type for node in model.graph] == kinds
    after = ir.to_proto(model).SerializeToString()
    rng = np.random.default_rng(0)
    inputs = {"a": rng.random((2, 3, 4), np.float32), "b": rng.random((2, 5, 4), np.float32)}
    results = []
    for each in (before, after):
        session = onnxruntime.InferenceSession(each)
        results.append(session.run(None, {i.name: inputs[i.name] for i in session.get_inputs()}))
    np.testing.assert_array_equal(results[0][0], results[1][0])
