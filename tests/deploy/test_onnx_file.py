"""Files are read as ONNX's own package reads them, and bad ones are refused."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from foldformer.deploy.onnx_file import read_onnx
from foldformer.errors import InputError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A model with what our exports hold, and with the ways in which others write the same."""
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.standard_normal((300, 4)).astype(np.float32), "weight"),
        numpy_helper.from_array(rng.standard_normal((4, 5)).astype(np.float16), "half"),
        numpy_helper.from_array(rng.integers(-9, 9, (2, 3)), "numbers"),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.5]),
        helper.make_tensor("four bits", TensorProto.INT4, [3, 3], [1] * 9),
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "weight"], ["y"]),
        helper.make_node("Cast", ["half"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["wide"], ["z"], perm=[1, 0]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 8, 300])]
    outputs = [
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 8, 4]),
        helper.make_tensor_value_info("z", TensorProto.FLOAT, None),
    ]
    model = helper.make_model(helper.make_graph(nodes, "graph", inputs, outputs, weights))
    helper.set_model_props(model, {"T": "45", "words": "größer", "empty": ""})
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    return path


def test_what_it_says(path: Path) -> None:
    found, expected = read_onnx(path), onnx.load(path)
    assert found.metadata == {each.key: each.value for each in expected.metadata_props}
    assert {name: (each.dtype, each.shape, each.bytes) for name, each in found.weights.items()} == {
        each.name: (
            each.data_type,
            tuple(each.dims),
            5 if each.name == "four bits" else numpy_helper.to_array(each).nbytes,
        )
        for each in expected.graph.initializer
    }
    assert [each.name for each in found.inputs] == ["x"]
    assert found.inputs[0].shape == (-1, 8, 300)
    assert [each.shape for each in found.outputs] == [(-1, 8, 4), ()]
    assert [(each.op_type, list(each.inputs), list(each.outputs)) for each in found.nodes] == [
        (each.op_type, list(each.input), list(each.output)) for each in expected.graph.node
    ]
    assert found.nodes[1].attributes == {"to": TensorProto.FLOAT}


def test_cut_anywhere(path: Path) -> None:
    whole = path.read_bytes()
    # The metadata stand at the end: a file without them is one, if they are cut off as a whole.
    model = onnx.load(path)
    model.ClearField("metadata_props")
    opsets = sum(each.ByteSize() + 2 for each in model.opset_import)
    graph_end = model.ByteSize() - opsets
    for length in [0, 1, 2, 5, 100, graph_end // 2, graph_end - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"model\.onnx: is damaged or no ONNX file"):
            read_onnx(path)


@pytest.mark.parametrize("content", [b"\x00" * 50, b"not ONNX at all, but text", b"\xff" * 99])
def test_something_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is damaged or no ONNX file"):
        read_onnx(path)
