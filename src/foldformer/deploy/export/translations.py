"""Operations of PyTorch that its exporter would translate into what runtimes do slowly, or not."""

import math
from collections.abc import Callable
from typing import Any

import onnx_ir as ir
import torch
from onnxscript import opset20

op: Any = opset20  # its types are those of values in functions, not those of graphs

_MASKED = -1e30


def _attention(  # the signature of aten::scaled_dot_product_attention
    query: ir.Value,
    key: ir.Value,
    value: ir.Value,
    attn_mask: ir.Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> ir.Value:
    """softmax(scale Q K^T, where the mask allows) V, with fewer passes than PyTorch's translation.

    That one scales the keys too, and guards against rows without any key, which no mask of ours
    has (`foldformer.nn.mask`).
    """
    assert not is_causal
    assert not enable_gqa
    assert query.shape is not None
    width = query.shape[-1]
    assert isinstance(width, int)
    scaled = op.Mul(query, op.Constant(value_float=width**-0.5 if scale is None else scale))
    scores = op.MatMul(scaled, op.Transpose(key, perm=[0, 1, 3, 2]))
    if attn_mask is not None:
        if attn_mask.dtype == ir.DataType.BOOL:
            shown, hidden = (op.Constant(value_float=number) for number in (0.0, _MASKED))
            attn_mask = op.Where(attn_mask, shown, hidden)
        scores = op.Add(scores, attn_mask)
    result: ir.Value = op.MatMul(op.Softmax(scores, axis=-1), value)
    return result


def _cos(x: ir.Value) -> ir.Value:
    return _of_angle(op.Cos, x)


def _sin(x: ir.Value) -> ir.Value:
    return _of_angle(op.Sin, x)


def _of_angle(function: Callable[[ir.Value], ir.Value], x: ir.Value) -> ir.Value:
    """The function of an angle; runtimes know it of float32 alone.

    Whole turns are taken off in float64, so that what is left is exact to float32.
    """
    if x.dtype != ir.DataType.DOUBLE:
        return function(x)
    turn = op.Constant(value=ir.tensor(2 * math.pi, dtype=ir.DataType.DOUBLE))
    left = op.Sub(x, op.Mul(turn, op.Floor(op.Div(x, turn))))
    result: ir.Value = op.Cast(function(op.Cast(left, to=ir.DataType.FLOAT)), to=ir.DataType.DOUBLE)
    return result


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.aten.scaled_dot_product_attention.default: _attention,
    torch.ops.aten.cos.default: _cos,
    torch.ops.aten.sin.default: _sin,
}
"""{operation: what makes its nodes}, for torch.onnx.export."""
