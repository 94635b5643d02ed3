"""Frames as rows between two products."""

import numpy as np
import onnx_ir as ir
import onnxruntime

from foldformer.deploy.export.copies import remove_copies
from foldformer.deploy.export.rows import flatten_rows

# A residual stream between two maps of rows, and a head that takes (B, T, D) apart.
TEXT = """<ir_version: 9, opset_import: ["" : 20]>
g (float[B,5,4] x) => (float[B,5,2,2] heads, float[B,5,4] y) <
    float[4,4] w = {1,2,3,4,5,6,7,8,1,0,1,0,2,2,1,1}, float[4] b = {1,2,3,4}, float two = {2},
    int64[2] rows = {-1, 4}, int64[3] frames = {-1, 5, 4}, int64[4] split = {-1, 5, 2, 2}>
{
    x_rows = Reshape (x, rows)
    a_rows = Gemm (x_rows, w, b)
    a = Reshape (a_rows, frames)
    s = Add (x, a)
    n = LayerNormalization <axis = -1> (s, b, b)
    m = Mul (two, n)
    n_rows = Reshape (m, rows)
    c_rows = Gemm (n_rows, w, b)
    c = Reshape (c_rows, frames)
    heads = Reshape (c, split)
    y = Add (s, c)
}"""


def test_what_lies_between_maps_takes_rows() -> None:
    model = ir.from_onnx_text(TEXT)
    for value in (output for node in model.graph for output in node.outputs):
        value.dtype = ir.DataType.FLOAT
        if value.name != "heads":
            value.shape = ir.Shape(["R", 4] if str(value.name).endswith("_rows") else ["B", 5, 4])
    before = ir.to_proto(model).SerializeToString()
    flatten_rows(model.graph)
    remove_copies(model.graph)
    kinds = [node.op_type for node in model.graph]
    # Once in, once for each output; all else is of rows.
    assert kinds.count("Reshape") <= 4
    assert {"LayerNormalization", "Gemm", "Add", "Mul"} <= set(kinds)
    for node in model.graph:
        if node.op_type in ("LayerNormalization", "Mul", "Add"):
            assert node.outputs[0].shape.rank() == 2
    after = ir.to_proto(model).SerializeToString()
    x = np.random.default_rng(0).random((3, 5, 4), np.float32)
    found, expected = (
        onnxruntime.InferenceSession(each).run(None, {"x": x}) for each in (after, before)
    )
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
