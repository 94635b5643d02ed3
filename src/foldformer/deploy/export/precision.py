"""How weights are stored."""

import numpy as np
import onnx_ir as ir

from foldformer.deploy.export.views import PARAMETER, parameters
from foldformer.errors import SpecError


def to_fp16(graph: ir.Graph) -> None:
    """Store every matrix in half precision; vectors, 1 % of a model, stay as they are.

    Each is taken to fp32 by one Cast, whatever number of products it takes part in: runtimes
    compute that once, when they load the file.

    Raises:
        SpecError: a weight is beyond 65504.
    """
    for value in parameters(graph):
        assert value.const_value is not None
        numbers = value.const_value.numpy()
        if numbers.ndim < 2 or numbers.dtype != np.float32:
            continue
        if np.abs(numbers).max(initial=0) > np.finfo(np.float16).max:
            raise SpecError(
                f"precision: {value.meta[PARAMETER]} has weights beyond 65504, which fp16 does not "
                "hold; take fp32"
            )
        cast = ir.node("Cast", [value], {"to": ir.DataType.FLOAT})
        wide = cast.outputs[0]
        wide.name, wide.shape, wide.dtype = f"{value.name}.fp32", value.shape, ir.DataType.FLOAT
        value.replace_all_uses_with(wide)
        cast.replace_input_with(0, value)
        graph.insert_before(graph[0], [cast])
        value.const_value = ir.tensor(numbers.astype(np.float16), name=value.name)
        value.dtype = ir.DataType.FLOAT16
