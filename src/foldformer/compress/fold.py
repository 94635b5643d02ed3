"""K trained layers into one that is used K times, and back."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from foldformer.compress.filling import filled
from foldformer.compress.layers import Moments, Places, check_trained, linears, name_of
from foldformer.compress.matrices import Start, source_layers
from foldformer.compress.plan import Plan, groups
from foldformer.compress.stored import Stored
from foldformer.compress.symmetries import TrainedMaps, align_layers
from foldformer.errors import SpecError
from foldformer.model import Model, ModelSpec
from foldformer.nn.depth.sequential import SequentialSpec
from foldformer.nn.layer import Layer
from foldformer.nn.linears import LinearSpec
from foldformer.nn.linears.residual import ResidualSpec

_LOG = logging.getLogger(__name__)

_LAYERS = "encoder.depth.layers."
"""What the names of the layers' parameters begin with."""


@torch.no_grad()
def fold(
    model: Model,
    plan: Plan,
    *,
    start: Start = "fit",
    moments: Moments | None = None,
    align: bool = True,
    after: Callable[[], object] = lambda: None,
) -> Model:
    """A model whose layers are shared as the plan says, and do what the trained ones did, nearly.

    Norms, and biases where nothing is aligned, stay as they are for each use, as do subsampling
    and heads. With full ranks the result computes what the model did. The model is left alone;
    nothing is drawn.

    Args:
        model: with layers of any kind; where they are shared already, it is unfolded on the way.
        plan: what becomes of each layer and matrix.
        start: where shared weights come from: see `matrices.share`.
        moments: of the inputs of each matrix, from `calibration`: then the error of the outputs is
            made small, else that of the weights.
        align: bring the layers of each group close to one another first, without a change of what
            they compute: see `align`.
        after: called after each layer. Nothing here holds on to the model's parameters meanwhile:
            those that are mapped from a file can be mapped anew, and take no memory.

    Raises:
        SpecError: the plan does not fit the model, or its weights are no numbers to compute with.
    """
    check_trained(model)
    places = Places(model)
    spec = _folded_spec(model.spec, plan, len(places))
    with torch.device("meta"):
        folded = spec.build()
    state = {
        name: tensor.detach().clone()
        for name, tensor in model.state_dict().items()
        if not name.startswith(_LAYERS)
    }
    into = Places(folded)
    made = Stored()  # what is done waits on disk, and takes no memory from what is to be done
    after()
    for group, own in enumerate(groups(plan)):
        _LOG.info("layer %d of %d: places %s", group + 1, len(plan.uses), own)
        source = _source(start, plan, group)
        layer, _ = into.layer(own[0])
        stack = stack_of(places, own, source, moments, align)
        for name, tensor in _layer(layer, stack, places, own, start, group).items():
            made.put(f"{_LAYERS}{group}.{name}", tensor)
        after()
    device = next(model.parameters()).device
    state |= {name: made[name].to(device, copy=True) for name in made}
    folded.load_state_dict(state, assign=True)
    return folded.train(model.training)


def unfold(model: Model) -> Model:
    """The same function with a layer of its own at each place in depth: `uses: 1`, rank 0.

    Raises:
        SpecError: the weights are no numbers to compute with.
    """
    return fold(model, _dense(model), start="average", align=False)


@torch.no_grad()
def aligned(model: Model, plan: Plan) -> Model:
    """The same function, unfolded, with the layers of each group of the plan close to one another.

    Raises:
        SpecError: the plan is for another number of layers, or the weights are no numbers to
            compute with.
    """
    found = unfold(model)
    places, layers = Places(model), Places(found)
    _check_layers(plan, len(places))
    for own in groups(plan):
        for path, trained in stack_of(places, own, None, None, align=True).items():
            for use, place in enumerate(own):
                parameters = dict(layers.layer(place)[0].get_submodule(path).named_parameters())
                parameters["weight"].copy_(trained.weights[use])
                if trained.biases is not None and "bias" in parameters:
                    parameters["bias"].copy_(trained.biases[use : use + 1])
    return found


def stack_of(
    places: Places,
    own: Sequence[int],
    source: int | None,
    moments: Moments | None,
    align: bool,
) -> TrainedMaps:
    """The matrices of the layers at some places, aligned if that is asked for.

    Args:
        places: of the trained model.
        own: those that are to share their weights.
        source: the place, among them or not, whose weights are to be shared, and so stay as they
            are; all meet if None.
        moments: of the whole model.
        align: see `fold`.
    """
    layer = places.layer(own[0])[0]
    members = list(own) if source is None or source in own else [*own, source]
    reference = None if source is None else members.index(source)
    stack = {path: places.trained(members, path, moments) for path, _ in linears(layer)}
    if align and len(members) > 1:
        stack = align_layers(layer, stack, reference)
    count = len(own)
    return {
        path: replace(
            each,
            weights=each.weights[:count],
            biases=None if each.biases is None else each.biases[:count],
            moments=None if each.moments is None else each.moments[:count],
            source=None if reference is None else each.weights[reference],
        )
        for path, each in stack.items()
    }


def _source(start: Start, plan: Plan, group: int) -> int | None:
    """The place whose weights a layer of the plan begins with, where it is that of one layer.

    A layer that is used once shares with nobody, and stays what it is.
    """
    if plan.uses[group] > 1 and start in ("stepwise", "lower"):
        return source_layers(start, plan.num_layers, len(plan.uses))[group]
    return None


def _check_layers(plan: Plan, num_layers: int) -> None:
    if plan.num_layers != num_layers:
        raise SpecError(
            f"uses: {list(plan.uses)} add up to {plan.num_layers} layers, and the model has "
            f"{num_layers} in depth"
        )


def _folded_spec(spec: ModelSpec, plan: Plan, num_layers: int) -> ModelSpec:
    """What the result is built from."""
    _check_layers(plan, num_layers)
    depth = spec.encoder.depth
    assert isinstance(depth, SequentialSpec)
    encoder = replace(
        spec.encoder,
        uses=plan.uses[0] if len(set(plan.uses)) == 1 else plan.uses,
        linear=plan.linear,
        linears=plan.linears,
        depth=replace(depth, order=plan.order),
    )
    return replace(spec, encoder=encoder)


def _dense(model: Model) -> Plan:
    """A layer for each place; biases where the model has them."""
    places = Places(model)
    exceptions: dict[str, LinearSpec] = {}
    for place in range(len(places)):
        for path, linear in linears(places.layer(place)[0]):
            if "bias" not in dict(linear.named_parameters(recurse=False)):
                exceptions[f"{place}.{name_of(path)}"] = ResidualSpec(bias=False)
    return Plan(uses=(1,) * len(places), linear=ResidualSpec(), linears=exceptions)


def _layer(
    layer: Layer, stack: TrainedMaps, places: Places, own: Sequence[int], start: Start, group: int
) -> dict[str, Tensor]:
    """{parameter of the layer: tensor}.

    Args:
        layer: on the meta device.
        stack: what its maps are made of; is empty in the end, to need no memory for what is done.
        places: of the trained model.
        own: those that become uses of this layer, in their order.
        start: see `fold`.
        group: the number of the layer.
    """
    tensors: dict[str, Tensor] = {}
    for path, linear in linears(layer):
        try:
            found = filled(linear, stack.pop(path), start)
        except SpecError as error:
            raise SpecError(f"{group}.{name_of(path)}: {error}") from None
        tensors |= {f"{path}.{name}": tensor for name, tensor in found.items()}
    for name, parameter in layer.state_dict().items():
        if name not in tensors:
            tensors[name] = _of_uses(name, parameter, places, own)
    return tensors


def _of_uses(name: str, parameter: Tensor, places: Places, own: Sequence[int]) -> Tensor:
    """What each use has of its own, (K, ...), from the trained layers."""
    parts = []
    for place in own:
        trained, use = places.layer(place)
        tensor: Tensor = trained.state_dict()[name]
        if tensor.shape != (trained.uses, *parameter.shape[1:]):
            raise SpecError(f"{name}: is shared by all uses, and no map; it cannot be folded")
        parts.append(tensor[use])
    return torch.stack(parts)


def folded_spec(model: Model, plan: Plan) -> ModelSpec:
    """The spec of what `fold` makes of a model, before any work is done.

    Raises:
        SpecError: the plan does not fit the model.
    """
    spec = _folded_spec(model.spec, plan, len(Places(model)))
    spec.check()
    return spec
