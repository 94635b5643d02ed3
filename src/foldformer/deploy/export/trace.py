"""From a PyTorch module to an ONNX graph that is as small as its computation."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import onnx_ir as ir
import torch
from onnx_ir.passes import PassManager, common
from onnxscript.optimizer import fold_constants
from torch import Tensor, nn

from foldformer.deploy.export.copies import remove_copies
from foldformer.deploy.export.rows import flatten_rows
from foldformer.deploy.export.translations import TRANSLATIONS
from foldformer.deploy.export.views import PARAMETER, fold_views, mark_parameter

OPSET = 20
"""The oldest with GELU; ONNX Runtime reads it since 1.17."""

_FOLDED = 2**20
"""Numbers of the largest constant that is worked out beforehand, as a table of angles."""

# Not onnxscript's `optimize_ir`: its rewriting rules take longer than all else and find nothing.
_CLEAN = PassManager([
    common.RemoveUnusedNodesPass(),
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
    common.IdentityEliminationPass(),
    common.DeduplicateHashedInitializersPass(),
    common.CommonSubexpressionEliminationPass(),
])  # fmt: skip
_TIDY = PassManager([
    common.ClearMetadataAndDocStringPass(),  # of each node: where in which source it was traced
    common.CommonSubexpressionEliminationPass(),
    common.IdentityEliminationPass(),
    common.RemoveUnusedNodesPass(),
    common.DeduplicateHashedInitializersPass(),
    common.OutputFixPass(),
    common.NameFixPass(),
])  # fmt: skip


def trace(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    dynamic: Mapping[str, Mapping[int, torch.export.Dim]],
) -> ir.Model:
    """The graph of `module(*inputs)`, its parameters as initialisers under their own names.

    Args:
        module: in evaluation mode; takes tensors and returns a tensor or a tuple of them.
        inputs: {name: example} in the order of the arguments; no dynamic size should be 0 or 1.
        outputs: names, in their order.
        dynamic: {input: {axis: dimension}} for the sizes that are not fixed.
    """
    axes = tuple(dict(dynamic.get(name, {})) for name in inputs)
    with torch.no_grad(), _quiet():
        exported = torch.export.export(
            _Positional(module),
            tuple(inputs.values()),
            dynamic_shapes=(axes,),
            strict=False,
            prefer_deferred_runtime_asserts_over_guards=True,
        )
        program = torch.onnx.export(
            exported,
            dynamo=True,
            optimize=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            custom_translation_table=TRANSLATIONS,
            verbose=False,
        )
        assert program is not None
        _name_parameters(program.model.graph, module)
        _simplify(program.model)
    for value, name in zip(program.model.graph.inputs, inputs, strict=True):
        value.name = name  # where an input is an output too, it was renamed after that
    return program.model


def _simplify(model: ir.Model) -> None:
    with _hidden_parameters(model.graph):
        fold_constants(
            model, onnx_shape_inference=True, input_size_limit=_FOLDED, output_size_limit=_FOLDED
        )
        _CLEAN(model)
    fold_views(model.graph, OPSET)
    flatten_rows(model.graph)
    remove_copies(model.graph)
    with _hidden_parameters(model.graph):
        _TIDY(model)


def _name_parameters(graph: ir.Graph, module: nn.Module) -> None:
    """Give parameters and buffers the names that they have in the model, and mark them."""
    for name in module.state_dict():
        value = graph.initializers.get(f"module.{name}")
        if value is not None:
            value.name = name
            mark_parameter(value)


class _Positional(nn.Module):
    """Takes any number of tensors, so that states need no signature of their own."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> object:
        return self.module(*inputs)


@contextmanager
def _hidden_parameters(graph: ir.Graph) -> Iterator[None]:
    """Parameters as inputs of the graph, so that no pass folds, copies or merges them."""
    hidden = [value for value in graph.initializers.values() if PARAMETER in value.meta]
    kept = {value: value.const_value for value in hidden}
    for value in hidden:
        del graph.initializers[str(value.name)]
        value.const_value = None
        graph.inputs.append(value)
    yield
    for value, tensor in kept.items():
        graph.inputs.remove(value)
        if value.uses():
            value.const_value = tensor
            graph.register_initializer(value)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of packages that nobody misses, of its own future, and of each node."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnx_ir", "onnxscript")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
