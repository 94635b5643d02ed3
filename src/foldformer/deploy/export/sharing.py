"""That every number of the model is in the files, and is there once."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor

from foldformer.deploy.export.stored import SCALES, STORED, packed_sizes
from foldformer.deploy.export.views import PARAMETER, PLACES, parameters
from foldformer.errors import SpecError

Numbers = NDArray[Any]

_LARGE = 1024
"""Numbers from which on two equal tensors are no coincidence."""


def stored_state(
    graphs: Iterable[ir.Graph], state: Mapping[str, Tensor]
) -> dict[str, NDArray[np.float32]]:
    """The parameters as the graphs hold them, {name: array}, after their precision.

    Args:
        graphs: those of all files.
        state: the parameters and buffers that the files are to hold.

    Raises:
        SpecError: an element of a parameter is missing, or there more than once.
    """
    held: dict[str, list[ir.Value]] = {name: [] for name in state}
    for graph in graphs:
        for value in parameters(graph):
            held[value.meta[PARAMETER]].append(value)
    result = {}
    for name, tensor in state.items():
        counts = np.zeros(tensor.numel(), dtype=np.int64)
        numbers = np.zeros(tensor.numel(), dtype=np.float32)
        for value in held[name]:
            assert value.const_value is not None
            places = value.meta[PLACES].reshape(-1)
            np.add.at(counts, places, 1)
            held_as = value.meta.get(STORED, value.const_value.numpy())
            numbers[places] = held_as.reshape(-1)
        if counts.min(initial=1) != 1 or counts.max(initial=1) != 1:
            what = "are there more than once" if counts.max(initial=1) > 1 else "are not all there"
            raise SpecError(
                f"export: numbers of {name} {what} in the graph, so the files would not be what "
                "the model is; its kind has to use each number, in one form"
            )
        result[name] = numbers.reshape(tensor.shape)
    return result


def check_files(paths: Iterable[Path], state: Mapping[str, Tensor]) -> int:
    """Check written files by ONNX's checker and by their content.

    Returns:
        Bytes of all parameters and buffers, with their scales; constants of the graphs do not
        count.

    Raises:
        SpecError: initialisers hold more or fewer numbers of a parameter than it has, or a
            constant holds what a parameter or another constant does, in whatever order.
    """
    elements: Counter[str] = Counter()
    constants: list[tuple[str, Numbers]] = []
    held: dict[int, list[tuple[str, Numbers]]] = {}
    size = 0
    for path in paths:
        onnx.checker.check_model(path, full_check=True)
        graph = onnx.load(path).graph
        packed = packed_sizes(graph)
        for tensor in graph.initializer:
            numbers = numpy_helper.to_array(tensor)
            parameter = _parameter_of(tensor.name, state)
            known = parameter or _parameter_of(tensor.name.removesuffix(SCALES), state)
            if known:
                size += numbers.nbytes
            elements[parameter] += packed.get(tensor.name, numbers.size)
            if numbers.size >= _LARGE:
                held.setdefault(numbers.size, []).append((tensor.name, numbers))
                if not known:
                    constants.append((tensor.name, numbers))
    for name, tensor in state.items():
        if elements[name] != tensor.numel():
            raise SpecError(
                f"export: the files hold {elements[name]} numbers of {name}, which has "
                f"{tensor.numel()}"
            )
    for constant, numbers in constants:
        for name, others in held[numbers.size]:
            if name != constant and np.array_equal(np.sort(numbers, None), np.sort(others, None)):
                raise SpecError(f"export: {constant} holds the same numbers as {name}")
    return size


def _parameter_of(initialiser: str, state: Mapping[str, Tensor]) -> str:
    """The parameter that an initialiser is, or is a part of; empty for a constant."""
    if initialiser in state:
        return initialiser
    name, _, part = initialiser.rpartition(".")
    return name if part.isdecimal() and name in state else ""
