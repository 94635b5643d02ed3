"""The lists of repeated layers of a PyTorch model, and the linear maps that can be folded there."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from foldformer.compress.foreign.folded_linear import FoldedLinear
from foldformer.errors import InputError
from foldformer.spec import nearest

_PLAIN = (nn.Linear, nn.modules.linear.NonDynamicallyQuantizableLinear)


@dataclass(frozen=True, kw_only=True)
class Stack:
    """L layers of a model that follow one another, and what of them can be folded.

    A fused projection (query, key and value in one matrix) is one linear map.
    """

    name: str
    """Path of the list in the model: `encoder.layer`."""
    layers: tuple[nn.Module, ...]
    """The layers, in order of depth."""
    shapes: Mapping[str, tuple[int, int]]
    """{name of a linear map inside of a layer, `attention.self.query`: (in, out)}."""
    kept: Mapping[str, str]
    """{name inside of a layer of a weight that stays as it is: why}; vectors are not listed."""

    def linear(self, layer: int, name: str) -> nn.Module:
        """The linear map called `name` of a layer, 0..L-1."""
        return self.layers[layer].get_submodule(name)


def find_stacks(model: nn.Module) -> dict[str, Stack]:
    """Every list of two or more layers of one class that have linear maps in common.

    Lists inside of a layer (experts, say) belong to the layer.

    Raises:
        InputError: there is none.
    """
    found: dict[str, Stack] = {}
    shared = _used_twice(model)
    for name, module in model.named_modules():
        if any(name.startswith(f"{outer}.") for outer in found):
            continue
        layers = tuple(module.children()) if is_list(module) else ()
        if len(layers) > 1 and len({type(layer) for layer in layers}) == 1:
            stack = _examined(name, layers, shared)
            if stack.shapes:
                found[name] = stack
    if not found:
        raise InputError(
            f"{type(model).__name__}: no list of repeated layers with linear maps in common; "
            f"name one{_lists(model)}"
        )
    return found


def find_stack(model: nn.Module, name: str) -> Stack:
    """The list of layers called `name`.

    Raises:
        InputError: there is no such list, it has fewer than two layers, or these have no linear
            map of one shape in common.
    """
    layers = layers_of(model, name)
    if len(layers) < 2:
        raise InputError(f"layers: {name} has {len(layers)} layer; folding needs two or more")
    stack = _examined(name, layers, _used_twice(model))
    if not stack.shapes:
        reasons = "; ".join(f"{part}: {why}" for part, why in list(stack.kept.items())[:3])
        raise InputError(
            f"layers: the layers of {name} have no linear map of one shape in common"
            f"{f' ({reasons})' if reasons else ''}"
        )
    return stack


def left_out(model: nn.Module, lists: Iterable[str]) -> dict[str, str]:
    """{list of layers: why it stays as it is}, of those with linear maps that are not among some.

    Args:
        model: with these lists.
        lists: that are folded; what is inside of them, or around them, does not count.
    """
    taken = list(lists)
    found: dict[str, str] = {}
    for name, module in model.named_modules():
        layers = tuple(module.children()) if is_list(module) else ()
        around = any(f"{each}.".startswith(f"{name}.") for each in taken)
        inside = any(name.startswith(f"{each}.") for each in (*taken, *found))
        if around or inside or sum(map(_has_map, layers)) < 2:
            continue
        kinds = Counter(type(layer).__name__ for layer in layers)
        if len(kinds) > 1:
            several = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
            found[name] = f"its layers are of several kinds: {several}"
        elif _examined(name, layers, _used_twice(model)).shapes:
            found[name] = "it is not among those that are folded"
        else:
            found[name] = "its layers have no linear map of one shape in common"
    return found


def layers_of(model: nn.Module, name: str) -> tuple[nn.Module, ...]:
    """The layers of a list, whatever is in them.

    Raises:
        InputError: the model has no such list.
    """
    lists = {path: module for path, module in model.named_modules() if is_list(module)}
    if name not in lists:
        hint = nearest(name, lists) if lists else "; it has no list of layers"
        raise InputError(f"layers: {type(model).__name__} has no list {name!r}{hint}")
    return tuple(lists[name].children())


def model_type(model: nn.Module) -> str:
    """What the `config.json` of a model of `transformers` calls it; empty for other models."""
    return str(getattr(getattr(model, "config", None), "model_type", ""))


def is_transposed(linear: nn.Module) -> bool:
    """Whether the map keeps its matrix as (out, in), as nn.Linear does, and not as (in, out)."""
    return isinstance(linear, nn.Linear)


def matrix(linear: nn.Module) -> Tensor:
    """The map's matrix (in, out): y = x @ matrix + bias. A view of its weight."""
    weight = linear.weight
    assert isinstance(weight, Tensor)
    return weight.t() if is_transposed(linear) else weight


def _examined(name: str, layers: tuple[nn.Module, ...], shared: Mapping[int, str]) -> Stack:
    shapes: dict[str, tuple[int, int]] = {}
    kept: dict[str, str] = {}
    inside = [dict(_weighted(layer)) for layer in layers]
    for part in dict.fromkeys(part for parts in inside for part in parts):
        present = [parts[part] for parts in inside if part in parts]
        why = next(filter(None, map(_obstacle, present)), None)
        if why is not None:
            kept[part] = why
        elif len(present) < len(layers):
            kept[part] = f"only {len(present)} of {len(layers)} layers have it"
        elif tied := [shared[id(t)] for t in _own(present) if id(t) in shared]:
            kept[part] = f"its weight or bias is used at several places already: {tied[0]}"
        elif len(found := Counter(tuple(matrix(m).shape) for m in present)) > 1:
            each = ", ".join(f"{n} of {rows} x {columns}" for (rows, columns), n in found.items())
            kept[part] = f"its shapes differ between layers: {each}"
        elif len({m.bias is None for m in present}) > 1:
            kept[part] = "some layers have a bias there and some have none"
        else:
            rows, columns = matrix(present[0]).shape
            shapes[part] = (rows, columns)
    return Stack(name=name, layers=layers, shapes=shapes, kept=kept)


def _own(linears: Sequence[nn.Module]) -> list[object]:
    """Weights and biases."""
    return [tensor for linear in linears for tensor in (linear.weight, linear.bias)]


def _weighted(layer: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules inside of a layer that hold a matrix of their own or look like a linear map."""
    for name, module in layer.named_modules():
        own = list(module.parameters(recurse=False)) + list(module.buffers(recurse=False))
        if name and (any(t.dim() > 1 for t in own) or hasattr(module, "in_features")):
            yield name, module


def _has_map(layer: nn.Module) -> bool:
    return any(_obstacle(module) is None for _, module in _weighted(layer))


def _obstacle(module: nn.Module) -> str | None:
    """Why this module can be no part of a fold, whatever the other layers have; None if it can."""
    kind = type(module)
    if kind in _PLAIN or (kind.__module__, kind.__name__) == (
        "transformers.pytorch_utils",
        "Conv1D",
    ):
        return None
    if isinstance(module, FoldedLinear):
        return "it is folded already; unfold the model first"
    home = f"{kind.__module__}.{kind.__name__}"
    if "in_features" in dir(module) or "quant" in home.lower():
        return (
            f"{home} is no plain linear map (quantised, with parametrisations or adapters); "
            "fold the model before that"
        )
    if isinstance(module, nn.MultiheadAttention):
        return "the fused weight of nn.MultiheadAttention is no linear layer"
    return f"{kind.__name__} is no linear map"


def _used_twice(model: nn.Module) -> dict[int, str]:
    """{id of a parameter that stands at several places: their names}."""
    places: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        places.setdefault(id(parameter), []).append(name)
    return {key: ", ".join(names[:2]) for key, names in places.items() if len(names) > 1}


def is_list(module: nn.Module) -> bool:
    """Whether a module may be a list of layers."""
    return isinstance(module, (nn.ModuleList, nn.Sequential))


def _lists(model: nn.Module) -> str:
    names = [name for name, module in model.named_modules() if is_list(module) and name]
    return f" of its lists with --layers: {', '.join(names[:5])}" if names else " with --layers"
