"""How weights are stored."""

from collections.abc import Collection, Iterable

import numpy as np
import onnx_ir as ir

from foldformer.deploy.export.integers import to_integers
from foldformer.deploy.export.views import PARAMETER, parameters
from foldformer.deploy.folder import Precision, ProductsSpec
from foldformer.errors import SpecError


def check_range(precision: Precision, *, reduce_range: bool) -> None:
    """Check that there is a range to reduce, before anything is traced.

    Raises:
        SpecError: there is none.
    """
    if reduce_range and precision not in ("int8", "int4"):
        raise SpecError(
            f"reduce-range: is for weights in int8, and in {precision} there are none; add "
            "--precision int8, or leave it out"
        )


def in_precision(
    graphs: Iterable[ir.Model],
    precision: Precision,
    shared: Collection[str] = (),
    *,
    reduce_range: bool = False,
) -> ProductsSpec | None:
    """Store the weights of an export's graphs so; returns what became of the products.

    Args:
        graphs: as `trace` gives them; are changed.
        precision: fp32 changes nothing.
        shared: names of the parameters that int4 stores in int4; all others are in int8 then.
        reduce_range: int8 weights of products have 7 bits; see `to_integers`.

    Raises:
        SpecError: a weight is too large for fp16.
    """
    if precision == "fp16":
        for model in graphs:
            to_fp16(model.graph)
    if precision not in ("int8", "int4"):
        return None
    fine = shared if precision == "int4" else ()
    found = [to_integers(model, fine, reduce_range=reduce_range) for model in graphs]
    return ProductsSpec(
        integer=sum(each.integer for each in found),
        stored=sum(each.stored for each in found),
        total=sum(each.total for each in found),
    )


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
