"""The trained layers of a model in order of depth, and what must be true of them."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from foldformer.compress.filling import Trained
from foldformer.compress.stored import OnDemand
from foldformer.errors import SpecError
from foldformer.model import Model
from foldformer.nn.depth.sequential import Sequential
from foldformer.nn.layer import Layer
from foldformer.nn.linears import Linear
from foldformer.spec import kind_of

Moments = Mapping[str, Tensor]
"""{"PLACE.NAME": (in, in)}: E[x x^T] of the inputs of each matrix, as "4.query"."""

_TYPES = (torch.float32, torch.float64)


def check_trained(module: nn.Module) -> None:
    """That the weights are numbers to compute with.

    Raises:
        SpecError: they are in half precision, have no memory, or are not finite.
    """
    for name, tensor in module.state_dict().items():
        if tensor.is_meta:
            raise SpecError(f"{name}: is on the meta device, without numbers; load the weights")
        if not tensor.is_floating_point():
            continue
        if tensor.dtype not in _TYPES:
            raise SpecError(
                f"{name}: is of type {tensor.dtype}; expected float32: call model.float() first"
            )
        if not tensor.isfinite().all():
            raise SpecError(
                f"{name}: holds NaN or infinite numbers; the file is damaged, or training failed"
            )


class Places:
    """The places in depth of a model, 0..L-1: at each of them one use of one layer."""

    def __init__(self, model: Model) -> None:
        depth = model.encoder.depth
        if not isinstance(depth, Sequential):
            kind = kind_of(model.spec.encoder.depth)
            raise SpecError(f"depth: layers of the kind {kind} cannot be folded, only sequential")
        self._order = depth.order
        self._layers = [layer for layer in depth.layers if isinstance(layer, Layer)]

    def __len__(self) -> int:
        return len(self._order)

    def layer(self, place: int) -> tuple[Layer, int]:
        """The layer of a place, and which of its uses it is."""
        index, use = self._order[place]
        return self._layers[index], use

    def trained(self, places: Sequence[int], path: str, moments: Moments | None) -> Trained:
        """The matrices of one name at some places.

        Args:
            places: in the order of the uses that they become.
            path: of the map in its layer, as "mixer.query".
            moments: of all places.

        Raises:
            SpecError: there are moments, but none of this matrix, or of another width.
        """
        weights, biases = [], []
        for place in places:
            layer, use = self.layer(place)
            linear = layer.get_submodule(path)
            assert isinstance(linear, Linear)
            weights.append(linear.merged(use).detach())
            own = dict(linear.named_parameters(recurse=False)).get("bias")
            biases.append(None if own is None else own[use].detach())
        known = [bias for bias in biases if bias is not None]
        if known:
            zeros = torch.zeros_like(known[0])
            filled = torch.stack([zeros if bias is None else bias for bias in biases])
        return Trained(
            weights=torch.stack(weights),
            biases=filled if known else None,
            moments=None if moments is None else self._moments(places, path, moments, weights[0]),
        )

    def _moments(
        self, places: Sequence[int], path: str, moments: Moments, weight: Tensor
    ) -> Sequence[Tensor]:
        keys = [f"{place}.{name_of(path)}" for place in places]
        for key in keys:
            if key not in moments:
                raise SpecError(f"moments: there is none for {key}; calibrate with this model")
            if moments[key].shape != (len(weight), len(weight)):
                raise SpecError(
                    f"moments: that of {key} has shape {tuple(moments[key].shape)}, expected "
                    f"({len(weight)}, {len(weight)}); calibrate with this model"
                )
        return OnDemand(lambda use: moments[keys[use]].to(weight.device), range(len(keys)))


def linears(layer: Layer) -> Iterator[tuple[str, Linear]]:
    """(path, map) of a layer, as ("mixer.query", ...)."""
    for path, module in layer.named_modules():
        if isinstance(module, Linear):
            yield path, module


def name_of(path: str) -> str:
    """The name of a map, by which plans and moments know it: "query"."""
    return path.rpartition(".")[2]
