"""Exports in int8 and int4: every product, one copy, PyTorch's numbers, heard by sherpa-onnx."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

from foldformer import deploy
from foldformer.checkpoint import ModelConfig
from foldformer.data.tokens import Tokens
from foldformer.deploy import processor
from foldformer.deploy.export.integers import to_integers
from foldformer.deploy.export.make import _parts, _weights, export
from foldformer.deploy.export.parity import session
from foldformer.deploy.export.plain import plain_form
from foldformer.deploy.export.precision import in_precision
from foldformer.deploy.export.sharing import check_files, stored_state
from foldformer.deploy.export.views import mark_parameter
from foldformer.deploy.folder import ExportSpec, Precision, StreamSpec, read_export
from foldformer.deploy.processor import cuts_off_pairs
from foldformer.errors import SpecError
from foldformer.model import Model, ModelSpec
from foldformer.nn.quantise import quantise, round_weights, shared_weights
from foldformer.spec import from_dict

SYMBOLS = ["<blk>", "<unk>", "▁", *"abcdefghijk"]
ENCODER = {
    "d_model": 72,  # more than one block, and no whole number of them
    "num_layers": 2,
    "uses": 2,
    "mixer": {"kind": "attention", "num_heads": 2},
    "feed_forward": {"kind": "dense", "d_ff": 104},
    "linear": {"kind": "residual", "rank": 3},
    "subsampling": {"channels": 16},
    "left_context": 8,
}
HEADS = [{"kind": "ctc"}, {"kind": "transducer", "predictor_dim": 40, "joiner_dim": 48}]
CASES: list[tuple[str, StreamSpec | None, Precision, bool]] = [
    ("ctc", StreamSpec(chunk=4, left_context=8, states="int8"), "int8", False),
    ("ctc", None, "int8", True),
    ("transducer", None, "int4", False),
]
USES, MATRICES, LAYERS = 2, 6, 1


@cache
def pairs_are_cut_off() -> bool:
    """Whether int8 products of this processor add pairs in 16 bits: x86 without VNNI.

    docs/how-to/quantise.md#x86-without-vnni: what is large is then less exact, in every export.
    """
    x, w = np.full((4, 64), 255, np.uint8), np.full((64, 16), 127, np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        "largest",
        [helper.make_tensor_value_info("x", onnx.TensorProto.UINT8, x.shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.INT32, (4, 16))],
        [numpy_helper.from_array(w, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return bool((session(model.SerializeToString())([x])[0] != 64 * 255 * 127).any())


@pytest.fixture(scope="module")
def wide() -> Model:
    torch.manual_seed(4)
    model = from_dict(ModelSpec, {"vocab_size": len(SYMBOLS), "encoder": ENCODER, "heads": HEADS})
    built = model.build().eval()
    with torch.no_grad():
        for parameter in built.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
    return built


@pytest.fixture(
    scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[2]}{'-reduced' * case[3]}"
)
def made(
    request: pytest.FixtureRequest, wide: Model, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ExportSpec]:
    head, stream, precision, reduce_range = request.param
    folder = tmp_path_factory.mktemp("integers") / "export"
    spec = export(
        wide,
        Tokens(SYMBOLS),
        ModelConfig(model=wide.spec),
        folder,
        name="wide",
        head=head,
        stream=stream,
        precision=precision,
        reduce_range=reduce_range,
    )
    assert read_export(folder) == spec
    assert f"weights: {spec.stored}, " in (folder / "README.md").read_text(encoding="utf-8")
    return folder, spec


def test_every_product_is_quantised(made: tuple[Path, ExportSpec]) -> None:
    """And by the operator of its precision; nothing large is left in fp32."""
    folder, spec = made
    kinds: Counter[str] = Counter()
    for file in spec.files:
        graph = onnx.load(folder / file).graph
        kinds.update(node.op_type for node in graph.node)
        for tensor in graph.initializer:
            if tensor.data_type == onnx.TensorProto.FLOAT and not tensor.name.endswith(".scales"):
                assert (
                    len(tensor.dims) < 2
                    or "predictor.weight" in tensor.name
                    or (not tensor.name.startswith(("encoder.", "heads.")))
                ), tensor.name
    products = spec.products
    assert products is not None
    assert products.integer + products.stored == products.total
    per_use = USES * LAYERS * MATRICES
    # Beside the layers: the head's maps; two convolutions.
    further = 1 if spec.head == "ctc" else 3
    assert (products.integer, products.stored) == (2 * per_use + further, per_use + 2)
    assert kinds["MatMulNBits"] == (per_use if spec.precision == "int4" else 0)
    assert kinds["MatMulIntegerToFloat"] + kinds["MatMulNBits"] == products.integer
    assert not kinds["MatMulInteger"]
    # What is multiplied with several matrices is rounded once.
    assert kinds["DynamicQuantizeLinear"] < products.integer


def test_parity(made: tuple[Path, ExportSpec]) -> None:
    """Exact where nothing is rounded on the way, and near where the runtime rounds."""
    _, spec = made
    assert spec.difference < 1e-5
    assert spec.difference_fp32 is not None
    is_near = spec.precision == "int8" and (spec.reduce_range or not pairs_are_cut_off())
    assert 1e-4 < spec.difference_fp32 < (0.1 if is_near else 0.4)


def test_a_reduced_range_is_never_cut_off(made: tuple[Path, ExportSpec]) -> None:
    """Two of its weights times the largest input are a sum that 16 bits hold."""
    folder, spec = made
    largest = max(
        np.abs(numpy_helper.to_array(tensor).astype(int)).max()
        for file in spec.files
        for graph in [onnx.load(folder / file).graph]
        for node in graph.node
        if node.op_type == "MatMulIntegerToFloat"
        for tensor in graph.initializer
        if tensor.name == node.input[1]
    )
    assert largest == (64 if spec.reduce_range else 127)
    assert (2 * 255 * largest < 2**15) == spec.reduce_range


def test_a_processor_that_cuts_off_is_known() -> None:
    """By its name for instructions as by what it computes."""
    assert cuts_off_pairs() == pairs_are_cut_off()


@pytest.mark.parametrize("cuts_off", [False, True])
def test_opening_on_such_a_processor_is_a_warning(
    made: tuple[Path, ExportSpec],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    cuts_off: bool,
) -> None:
    folder, spec = made
    monkeypatch.setattr(processor, "cuts_off_pairs", lambda: cuts_off)
    deploy.load(folder)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (cuts_off and not spec.reduce_range)
    assert all(each.startswith(f"{folder}: products in int8 are less exact") for each in said)


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("x86_64", "flags\t\t: fpu avx avx2 fma\n", True),
        ("x86_64", "flags\t\t: fpu avx2 avx512f avx512_vnni\n", False),
        ("AMD64", "flags\t\t: fpu avx2 avx_vnni\n", False),
        ("x86_64", None, False),
        ("aarch64", "Features\t: fp asimd\n", False),
    ],
)
def test_processors_are_told_apart_by_their_flags(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    machine: str,
    flags: str | None,
    expected: bool,
) -> None:
    about = tmp_path / "cpuinfo"
    if flags is not None:
        about.write_text(f"processor\t: 0\n{flags}")
    monkeypatch.setattr(processor, "_ABOUT", about)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert cuts_off_pairs() == expected


def test_size(made: tuple[Path, ExportSpec]) -> None:
    """A number of a matrix takes its bits; scales, vectors and tables come on top."""
    _, spec = made
    assert spec.weight_bytes < spec.source.parameters * (1.4 if spec.precision == "int8" else 1.25)


def test_the_numbers_are_those_of_quantise(made: tuple[Path, ExportSpec], wide: Model) -> None:
    """What training with noise rounds to is what stands in the file."""
    folder, spec = made
    name = "encoder.depth.layers.0.mixer.key.weight"
    matrix = wide.state_dict()[name]
    if spec.reduce_range:
        scales = matrix.abs().amax(0) / 64
        expected = (matrix / scales).round() * scales
    else:
        expected = quantise(matrix, 4 if spec.precision == "int4" else 8).dequantised()
    plain = plain_form(onnx.load(folder / spec.files[0])).graph
    found = next(each for each in plain.initializer if each.name == f"{name}.plain")
    np.testing.assert_allclose(numpy_helper.to_array(found), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("precision", ["int8", "int4"])
@pytest.mark.parametrize(
    "linear",
    [
        {"kind": "residual", "rank": 8},
        {"kind": "residual", "rank": 36},
        {"kind": "low_rank", "rank": 40},
        {"kind": "basis", "rank": 12},
    ],
    ids=lambda linear: f"{linear['kind']}-{linear['rank']}",
)
def test_a_model_is_rounded_to_what_an_export_stores(
    linear: dict[str, object], precision: Precision
) -> None:
    """Each use by itself, though one has residuals a tenth as large as the other's."""
    torch.manual_seed(5)
    encoder = ENCODER | {"linear": linear}
    model = from_dict(ModelSpec, {"vocab_size": 40, "encoder": encoder, "heads": HEADS[:1]}).build()
    with torch.no_grad():
        for name, parameter in model.eval().named_parameters():
            nn.init.normal_(parameter, std=0.1)
            if name.endswith(".up"):
                parameter[len(parameter) // 2 :] /= 10
    graphs = {name: part.graph() for name, part in _parts(model, "ctc", None).items()}
    in_precision(graphs.values(), precision, shared_weights(model))
    stored = stored_state([each.graph for each in graphs.values()], _weights(model, "ctc"))
    round_weights(model, 8 if precision == "int8" else 4)
    rounded = dict(model.named_parameters())
    assert rounded.keys() < stored.keys()
    for name, parameter in rounded.items():
        np.testing.assert_allclose(
            parameter.detach(), stored[name], rtol=1e-6, atol=1e-9, err_msg=name
        )


def test_layers_may_be_alike(tmp_path: Path) -> None:
    """As after a copy, or where nothing was learnt: their scales are no copy made by mistake."""
    encoder = ENCODER | {"d_model": 32, "num_layers": 4}
    encoder["feed_forward"] = {"kind": "dense", "d_ff": 1024}
    model = from_dict(ModelSpec, {"vocab_size": 14, "encoder": encoder, "heads": HEADS[:1]}).build()
    first, second = model.eval().encoder.depth.layers
    second.load_state_dict(first.state_dict())
    config = ModelConfig(model=model.spec)
    folder = tmp_path / "export"
    spec = export(model, Tokens(SYMBOLS), config, folder, name="a", head="ctc", precision="int8")
    assert read_export(folder) == spec


def test_a_second_copy_is_found(made: tuple[Path, ExportSpec], wide: Model, tmp_path: Path) -> None:
    """By its content, in whole numbers too."""
    folder, spec = made
    head = f"heads.{spec.head}."
    state = {k: v for k, v in wide.state_dict().items() if k.startswith(("encoder.", head))}
    paths = [folder / file for file in spec.files]
    assert check_files(paths, state) == spec.weight_bytes
    model = onnx.load(paths[0])
    name = "encoder.depth.layers.0.feed_forward.expand.weight"
    original = next(each for each in model.graph.initializer if each.name == name)
    model.graph.initializer.add().CopyFrom(original)
    model.graph.initializer[-1].name = "copy"
    onnx.save(model, tmp_path / "copied.onnx")
    with pytest.raises(SpecError, match="copy holds the same numbers as"):
        check_files([tmp_path / "copied.onnx", *paths[1:]], state)


def test_sherpa_hears_nearly_the_same(
    made: tuple[Path, ExportSpec],
    wide: Model,
    sounds: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """The runtime's own process loads the operators; the texts are those of the plain products."""
    folder, spec = made
    waves = sounds(48000)
    np.savez(tmp_path / "waves.npz", *waves)
    script = Path(__file__).with_name("run_sherpa.py")
    words = [str(folder), "greedy_search", str(tmp_path / "waves.npz")]
    texts = []
    for plain in (False, True):
        if plain:
            for file in spec.files:
                onnx.save(plain_form(onnx.load(folder / file)), tmp_path / file)
            for file in ("export.yaml", "tokens.txt", "provider.cfg"):
                (tmp_path / file).write_bytes((folder / file).read_bytes())
            words[0] = str(tmp_path)
        done = subprocess.run(
            [sys.executable, str(script), *words], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        texts.append(json.loads(done.stdout)[0]["text"])
    assert len(set(texts[1])) > 1
    assert SequenceMatcher(None, *texts).ratio() > 0.6


def graph_of(*nodes: ir.Node, x: ir.Value, parameters: dict[str, np.ndarray]) -> ir.Model:
    """A graph with one input and the output of the last node."""
    values = []
    for name, array in parameters.items():
        value = next(v for node in nodes for v in node.inputs if v is not None and v.name == name)
        value.const_value = ir.tensor(array, name=name)
        value.shape, value.dtype = ir.Shape(array.shape), ir.DataType.FLOAT
        mark_parameter(value)
        values.append(value)
    for node in nodes:
        node.outputs[0].dtype = ir.DataType.FLOAT
    output = nodes[-1].outputs[0]
    output.name = "y"
    graph = ir.Graph([x], [output], nodes=nodes, initializers=values, opset_imports={"": 20})
    return ir.Model(graph, ir_version=9)


def test_a_product_that_cannot_be_quantised_is_counted() -> None:
    """As one that takes its matrix transposed: the command says 1 of 2, and the file is right."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((40, 40)).astype(np.float32) for _ in range(2))
    # One large number a column, so that x86 without VNNI cuts off no pair.
    a = 0.6 * (a + 8 * np.eye(40, dtype=np.float32))
    x = ir.val("x", ir.DataType.FLOAT, ir.Shape(["T", 40]))
    first = ir.node("MatMul", [x, ir.val("a")])
    turned = ir.node("MatMul", [ir.val("b"), first.outputs[0]])
    other = ir.node("MatMul", [turned.outputs[0], turned.inputs[0]])
    model = graph_of(first, turned, other, x=x, parameters={"a": a, "b": b})
    products = to_integers(model, ())
    assert (products.integer, products.stored, products.total) == (1, 0, 2)
    run = session(ir.to_proto(model).SerializeToString())
    given = rng.standard_normal((40, 40)).astype(np.float32)
    np.testing.assert_allclose(run([given])[0], b @ (given @ a) @ b, atol=20)


def test_a_wrong_scale_is_found(
    wide: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is compared as it stands, so a fault of the quantiser cannot pass as rounding."""

    def broken(model: ir.Model, fine: object, **_: object) -> Any:
        products = to_integers(model, ())
        for name, value in model.graph.initializers.items():
            if name.endswith("output.weight.scales"):
                assert value.const_value is not None
                value.const_value = ir.tensor(1.01 * value.const_value.numpy(), name=name)
        return products

    monkeypatch.setattr("foldformer.deploy.export.precision.to_integers", broken)
    with pytest.raises(SpecError, match="differs from PyTorch by"):
        export(
            wide,
            Tokens(SYMBOLS),
            ModelConfig(model=wide.spec),
            tmp_path / "export",
            name="wide",
            head="ctc",
            precision="int8",
        )
    assert not (tmp_path / "export").exists()
