"""Whether ONNX Runtime keeps a weight once that several products share.

    python benchmarks/shared_products.py [--products 12] [--width 1024] [--record FILE]

Makes graphs of matrix products in a row, in fp32, int8 (MatMulInteger) and int4 (MatMulNBits), once
with a weight for each product and once with one weight for all. Each is loaded and run in a
process of its own, and its private memory (Anonymous in /proc/self/smaps_rollup) grows by so much.
Another version of the runtime is tried so:

    pip install --target old onnxruntime==1.20.1
    PYTHONPATH=old python benchmarks/shared_products.py
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from _record import add_record, record

MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "MALLOC_ARENA_MAX": "1",
}
"""Settings of glibc with which freed memory goes back to the system, in the environment."""

CHILD = """
import json, re, sys
import numpy, onnxruntime
def private():
    with open("/proc/self/smaps_rollup") as file:
        return 1024 * int(re.search(r"^Anonymous: +([0-9]+)", file.read(), re.M)[1])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 3
options.enable_cpu_mem_arena = options.enable_mem_pattern = False
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
def load(path):
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
empty, path, width = sys.argv[1:]
x = numpy.ones((4, int(width)), numpy.float32)
before_it = load(empty)
before_it.run(None, {"x": x})
before = private()
session = load(path)
session.run(None, {"x": x})
print(json.dumps([onnxruntime.__version__, private() - before]))
"""


def graph(precision: str, products: int, width: int, shared: bool) -> onnx.ModelProto:
    """Products in a row: `shared`, with one weight; without any product, one Identity."""
    rng = np.random.default_rng(0)
    nodes, weights = [], {}
    last = "x"
    for number in range(products):
        name = "w" if shared else f"w{number}"
        out = f"y{number}"
        if name not in weights:
            weights |= _weight(name, precision, width, rng)
        nodes += _product(last, name, out, precision, width)
        last = out
    nodes.append(helper.make_node("Identity", [last], ["y"]))
    value = [TensorProto.FLOAT, ["T", width]]
    made = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("x", *value)],
        [helper.make_tensor_value_info("y", *value)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(made, opset_imports=domains)
    model.ir_version = 9
    return model


def _weight(name: str, precision: str, width: int, rng: np.random.Generator) -> dict:
    """The arrays of a weight."""
    if precision == "fp32":
        return {name: (rng.standard_normal((width, width)) / width**0.5).astype(np.float32)}
    if precision == "int8":
        return {name: rng.integers(-127, 128, (width, width), np.int8)}
    blocks = width // 64
    return {
        name: rng.integers(0, 256, (width, blocks, 32), np.uint8),
        f"{name}.scales": np.full(width * blocks, 0.01, np.float32),
    }


def _product(x: str, weight: str, y: str, precision: str, width: int) -> list[onnx.NodeProto]:
    """The nodes of one product."""
    if precision == "fp32":
        return [helper.make_node("MatMul", [x, weight], [y])]
    if precision == "int4":
        sizes = {"K": width, "N": width, "bits": 4, "block_size": 64, "accuracy_level": 4}
        inputs = [x, weight, f"{weight}.scales"]
        return [helper.make_node("MatMulNBits", inputs, [y], domain="com.microsoft", **sizes)]
    rounded, scale, zero, whole = (f"{y}.{part}" for part in ("rounded", "scale", "zero", "whole"))
    return [
        helper.make_node("DynamicQuantizeLinear", [x], [rounded, scale, zero]),
        helper.make_node("MatMulInteger", [rounded, weight, zero], [whole]),
        helper.make_node("Cast", [whole], [f"{y}.cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{y}.cast", scale], [y]),
    ]


def growth(folder: Path, model: onnx.ModelProto, width: int) -> tuple[str, int]:
    """(version of the runtime, bytes of private memory)."""
    onnx.save(graph("fp32", 0, width, False), folder / "empty.onnx")
    onnx.save(model, folder / "model.onnx")
    words = [str(folder / "empty.onnx"), str(folder / "model.onnx"), str(width)]
    ran = subprocess.run(
        [sys.executable, "-c", CHILD, *words],
        env={**os.environ, **MALLOC},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    version, found = json.loads(ran.stdout)
    return version, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--products", type=int, default=12)
    parser.add_argument("--width", type=int, default=1024)
    add_record(parser)
    args = parser.parse_args()
    print(f"{args.products} products, {args.width} x {args.width}; private memory, MB")
    print(f"{'ONNX Runtime':12} {'':5} {'a weight':>9} {'own weights':>12} {'one for all':>12}")
    bits = {"fp32": 32, "int8": 8, "int4": 4.5}
    kept: dict[str, dict[str, float]] = {}
    with TemporaryDirectory() as folder:
        for precision, size in bits.items():
            found = [
                growth(
                    Path(folder), graph(precision, args.products, args.width, shared), args.width
                )
                for shared in (False, True)
            ]
            one = args.width**2 * size / 8
            cells = [f"{value / 1e6:12.1f}" for _, value in found]
            print(f"{found[0][0]:12} {precision:5} {one / 1e6:9.1f} {' '.join(cells)}", flush=True)
            own, shared = (value / 1e6 for _, value in found)
            kept[precision] = {"weight_mb": one / 1e6, "own_mb": own, "shared_mb": shared}
    record(args.record, "shared_products", found[0][0].replace(".", "-"), kept)


if __name__ == "__main__":
    main()
