"""K trained layers into one that is used K times, and back."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from foldformer.compress.filling import filled
from foldformer.compress.layers import (
    Moments,
    Places,
    check_trained,
    linears,
    name_of,
)
from foldformer.compress.matrices import Start, source_layers
from foldformer.compress.plan import Plan
from foldformer.errors import SpecError
from foldformer.model import Model, ModelSpec
from foldformer.nn.depth.sequential import SequentialSpec
from foldformer.nn.layer import Layer
from foldformer.nn.linears.residual import ResidualSpec

_LOG = logging.getLogger(__name__)


@torch.no_grad()
def fold(
    model: Model, plan: Plan, *, start: Start = "fit", moments: Moments | None = None
) -> Model:
    """A model whose layers are shared as the plan says, and do what the trained ones did, nearly.

    Biases, norms and whatever else belongs to single uses stay as they are, as do subsampling and
    heads. With full ranks the result computes what the model did. The model is left alone; nothing
    is drawn.

    Args:
        model: with layers of any kind; where they are shared already, it is unfolded on the way.
        plan: what becomes of each layer and matrix.
        start: where shared weights come from: see `matrices.share`.
        moments: of the inputs of each matrix, from `calibration`: then the error of the outputs is
            made small, else that of the weights.

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
    sources = [0] * len(plan.uses)
    if start in ("stepwise", "lower"):
        sources = source_layers(start, len(places), len(plan.uses))
    order = Places(folded).order
    for group, source in enumerate(sources):
        own = [place for place, (layer, _) in enumerate(order) if layer == group]
        _LOG.info("layer %d of %d: uses %s", group + 1, len(sources), own)
        layer = Places(folded).layer(own[0])[0]
        tensors = _folded_layer(layer, places, own, source, start, moments, group)
        state |= {f"{_LAYERS}{group}.{name}": tensor for name, tensor in tensors.items()}
    folded.load_state_dict(state, assign=True)
    return folded.train(model.training)


def unfold(model: Model) -> Model:
    """The same function with a layer of its own at each place in depth: `uses: 1`, rank 0."""
    places = Places(model)
    exceptions = {}
    for place in range(len(places)):
        for path, linear in linears(places.layer(place)[0]):
            if "bias" not in dict(linear.named_parameters(recurse=False)):
                exceptions[f"{place}.{name_of(path)}"] = ResidualSpec(bias=False)
    plan = Plan(uses=(1,) * len(places), linear=ResidualSpec(), linears=dict(exceptions))
    return fold(model, plan, start="average")


_LAYERS = "encoder.depth.layers."


def _folded_spec(spec: ModelSpec, plan: Plan, num_layers: int) -> ModelSpec:
    """What the result is built from."""
    if plan.num_layers != num_layers:
        raise SpecError(
            f"uses: {list(plan.uses)} add up to {plan.num_layers} layers, and the model has "
            f"{num_layers} in depth"
        )
    depth = spec.encoder.depth
    assert isinstance(depth, SequentialSpec)
    alike = len(set(plan.uses)) == 1
    encoder = replace(
        spec.encoder,
        uses=plan.uses[0] if alike else plan.uses,
        linear=plan.linear,
        linears=plan.linears,
        depth=replace(depth, order=plan.order),
    )
    return replace(spec, encoder=encoder)


def _folded_layer(
    layer: Layer,
    places: Places,
    own: Sequence[int],
    source: int,
    start: Start,
    moments: Moments | None,
    group: int,
) -> dict[str, Tensor]:
    """{parameter of the layer: tensor}.

    Args:
        layer: on the meta device.
        places: of the trained model.
        own: those that become uses of this layer, in their order.
        source: the place whose weights `stepwise` and `lower` share.
        start: see `fold`.
        moments: see `fold`.
        group: the number of the layer.
    """
    tensors: dict[str, Tensor] = {}
    for path, linear in linears(layer):
        trained = places.trained(own, path, moments)
        origin = places.trained([source], path, None).weights[0]
        try:
            found = filled(linear, replace(trained, source=origin), start)
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
