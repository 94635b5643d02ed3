"""Fold the layers of a foreign model, and unfold them again."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from foldformer.compress.filling import Trained, filled
from foldformer.compress.foreign.folded_linear import FoldedLinear
from foldformer.compress.foreign.plan import ForeignPlan, matched
from foldformer.compress.foreign.stacks import Stack, is_transposed, matrix
from foldformer.compress.layers import check_trained
from foldformer.compress.matrices import Start, source_layers
from foldformer.compress.plan import Plan, groups
from foldformer.compress.stored import OnDemand
from foldformer.errors import SpecError
from foldformer.nn.linears import Linear
from foldformer.nn.linears.dense import DenseSpec
from foldformer.nn.linears.residual import ResidualSpec


def fold(
    model: nn.Module,
    plan: ForeignPlan,
    *,
    start: Start = "fit",
    moments: Mapping[str, Tensor] | None = None,
) -> None:
    """Let the layers of a model share their weights, as a plan says. The model is changed.

    Its class, its `forward` and its `generate` stay what they are: of each linear map that the
    plan is about, a `FoldedLinear` takes the place. Biases, norms and what cannot be folded keep
    theirs.

    Args:
        model: trained, in float32.
        plan: for each of its lists of layers.
        start: where a shared weight comes from, see `matrices.share`; `align` is to know of it.
        moments: {path of a linear map in the model: E[x x^T] of its inputs (in, in)}, of all maps
            that are folded, as `calibration.calibrate` finds them; without, the error of the
            weights is made small and not that of the outputs.

    Raises:
        InputError: the model has no such layers.
        SpecError: the plan does not fit the model, its weights are not finite, not in float32 or
            not in memory, or a moment is missing. The model is then as it was.
    """
    parts = matched(model, plan)
    for stack, part in parts.values():
        check_weights(stack)
        for name, group, layers in _folded(stack, part):
            _built(stack, part, name, group, len(layers))
            _moments(moments, stack, name, layers)
    for stack, part in parts.values():
        # What a fit holds in memory is squares of the inputs: the largest of them last, when most
        # of the model is smaller already.
        for name in sorted(stack.shapes, key=lambda part: stack.shapes[part][0]):
            _fold_one(stack, part, name, start, moments)


def fold_structure(model: nn.Module, plan: ForeignPlan) -> None:
    """Replace the maps as `fold` does without a look at their numbers, for others to be loaded.

    Raises:
        InputError: see `fold`.
        SpecError: see `fold`.
    """
    for stack, part in matched(model, plan).values():
        for name, group, layers in _folded(stack, part):
            maps = [stack.linear(layer, name) for layer in layers]
            shared = _built(stack, part, name, group, len(layers))
            _place(stack, name, layers, maps, shared.to_empty(device=matrix(maps[0]).device))


def is_unfolded(model: nn.Module, plan: ForeignPlan) -> bool:
    """Whether nothing in a model is folded, and the plan would fold something.

    Raises:
        InputError: see `fold`.
        SpecError: see `fold`.
    """
    if any(isinstance(module, FoldedLinear) for module in model.modules()):
        return False
    return any(any(_folded(*each)) for each in matched(model, plan).values())


def unfold(model: nn.Module) -> None:
    """Give each layer a matrix of its own again, the one that it has applied. The model is changed.

    Nothing is lost: the outputs stay what they are.
    """
    for name, module in list(model.named_modules()):
        if isinstance(module, FoldedLinear):
            _put(model, name, _plain(module).train(module.training))


def check_weights(stack: Stack) -> None:
    """Check that the matrices of a list of layers are numbers to compute with, and to load again.

    Raises:
        SpecError: they are not in float32, have no memory, or are not finite.
    """
    for name in stack.shapes:
        for number in range(len(stack.layers)):
            linear = stack.linear(number, name)
            try:
                check_trained(linear)
            except SpecError as error:
                raise SpecError(f"{stack.name}.{number}.{name}.{error}") from None
            if (kind := matrix(linear).dtype) != torch.float32:
                raise SpecError(
                    f"{stack.name}.{number}.{name}.weight: is of type {kind}; expected float32: "
                    "call model.float() first"
                )


def _folded(stack: Stack, plan: Plan) -> Iterator[tuple[str, int, list[int]]]:
    """(name of a map, group, layers of the group) of all that is replaced."""
    for name in stack.shapes:
        for group, layers in enumerate(groups(plan)):
            spec = plan.linear_of(group, name)
            alone = len(layers) == 1 and isinstance(spec, ResidualSpec)
            if not alone and not isinstance(spec, DenseSpec):
                yield name, group, layers


def _built(stack: Stack, plan: Plan, name: str, group: int, uses: int) -> Linear:
    """The module that a group's maps of one name become, on the meta device.

    It has no bias where the original has none.
    """
    rows, columns = stack.shapes[name]
    try:
        with torch.device("meta"):
            linear = plan.linear_of(group, name).build(rows, columns, uses)
    except SpecError as error:
        raise SpecError(f"stacks.{stack.name}: {name} of group {group}: {error}") from None
    if stack.linear(0, name).bias is None:
        linear.register_parameter("bias", None)
    elif linear.bias is None:
        raise SpecError(
            f"stacks.{stack.name}: {name} of group {group}: bias: is false, and the model adds one "
            "there; leave the key out"
        )
    return linear


def _moments(
    moments: Mapping[str, Tensor] | None, stack: Stack, name: str, layers: Iterable[int]
) -> Sequence[Tensor] | None:
    """The moments (in, in) of the inputs of a map, one for each of some layers."""
    if moments is None:
        return None
    wanted = [f"{stack.name}.{layer}.{name}" for layer in layers]
    rows, _ = stack.shapes[name]
    for key in wanted:
        if key not in moments:
            raise SpecError(f"moments: there is none for {key}; calibrate with this model")
        if moments[key].shape != (rows, rows):
            raise SpecError(
                f"moments: that of {key} is {tuple(moments[key].shape)}, expected {(rows, rows)}; "
                "calibrate with this model"
            )
    return OnDemand(lambda use: moments[wanted[use]], range(len(wanted)))


def _fold_one(
    stack: Stack, plan: Plan, name: str, start: Start, moments: Mapping[str, Tensor] | None
) -> None:
    """Fold the maps of one name, in all groups of a list of layers."""
    sources: list[Tensor] = []
    if start == "stepwise" or start == "lower":
        sources = [
            matrix(stack.linear(layer, name)).detach()
            for layer in source_layers(start, len(stack.layers), len(plan.uses))
        ]
    for part, group, layers in _folded(stack, plan):
        if part == name:
            maps = [stack.linear(layer, name) for layer in layers]
            biases = [b.detach() for each in maps if isinstance(b := each.bias, Tensor)]
            trained = Trained(
                weights=torch.stack([matrix(each).detach() for each in maps]),
                biases=torch.stack(biases) if biases else None,
                moments=_moments(moments, stack, name, layers),
                source=sources[group] if sources else None,
            )
            shared = _built(stack, plan, name, group, len(layers))
            shared.load_state_dict(filled(shared, trained, start), assign=True)
            _place(stack, name, layers, maps, shared)


def _place(
    stack: Stack, name: str, layers: Iterable[int], maps: Iterable[nn.Module], shared: Linear
) -> None:
    for use, (layer, old) in enumerate(zip(layers, maps, strict=True)):
        new = FoldedLinear(shared, use, owner=use == 0, transposed=is_transposed(old))
        _put(stack.layers[layer], name, new.train(old.training))


def _put(root: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(root.get_submodule(parent), leaf, module)


@torch.no_grad()
def _plain(folded: FoldedLinear) -> nn.Module:
    """What stood there before, with the numbers that are applied now."""
    weight, bias = folded.weight, folded.bias
    shape = folded.in_features, folded.out_features
    linear: nn.Module
    if folded.transposed:
        linear = nn.Linear(*shape, bias=bias is not None, device="meta")
    else:
        from transformers.pytorch_utils import Conv1D

        with torch.device("meta"):
            linear = Conv1D(shape[1], shape[0])
    state = {"weight": weight.clone(memory_format=torch.contiguous_format)}
    if bias is not None:
        state["bias"] = bias.clone()
    linear.load_state_dict(state, assign=True)
    return linear
