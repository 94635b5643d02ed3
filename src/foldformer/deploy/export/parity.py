"""That a file computes what the PyTorch module computes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from torch import Tensor, nn

Arrays = Sequence[NDArray[np.generic]]

Run = Callable[[Arrays], Arrays]
"""Calls a file: its inputs by position -> its outputs."""


def session(file: Path | bytes) -> Run:
    """The file, or what would stand in it, in ONNX Runtime, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    model = file if isinstance(file, bytes) else str(file)
    opened = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in opened.get_inputs()]

    def run(inputs: Arrays) -> Arrays:
        found: Arrays = opened.run(None, dict(zip(names, inputs, strict=True)))
        return found

    return run


def call_difference(module: nn.Module, run: Run, inputs: Sequence[Tensor]) -> float:
    """`difference` between what the two make of the same inputs."""
    expected = module(*inputs)
    found = run([each.numpy() for each in inputs])
    return difference(found, [expected] if isinstance(expected, Tensor) else expected)


def difference(found: Arrays, expected: Sequence[Tensor]) -> float:
    """The largest difference of any number, as a share of the largest number beside it, or of 1.

    Infinite where shapes differ or a number is not finite.
    """
    worst = 0.0
    for a, tensor in zip(found, expected, strict=True):
        b = tensor.numpy().astype(np.float64)
        if a.shape != b.shape:
            return float("inf")
        if b.size:
            share = np.abs(a.astype(np.float64) - b).max() / max(1.0, np.abs(b).max())
            worst = max(worst, float(share) if np.isfinite(share) else float("inf"))
    return worst
