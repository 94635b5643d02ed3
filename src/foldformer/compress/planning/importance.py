"""How much the loss of a part of a matrix's output matters to what the encoder says: by trying."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from foldformer.compress.calibration import spread
from foldformer.compress.layers import Moments, Places, linears, name_of
from foldformer.compress.planning.loss import smallest_part
from foldformer.data.augmentation import features_of
from foldformer.model import Model
from foldformer.nn.layer import Layer
from foldformer.nn.linears import Linear
from foldformer.nn.mask import utterance_mask
from foldformer.nn.subsampling import FACTOR

SECONDS = 12.0
"""Speech that each matrix is tried on: what one matrix does hardly depends on the words."""


def importance(
    model: Model,
    utterances: Sequence[Tensor],
    moments: Moments,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> Mapping[str, list[float]]:
    """The relative error of the encoder's output over that of one matrix's output.

    Each matrix in turn loses its smallest singular directions, in the metric of its inputs, up to
    `loss.LOST` of its output's energy; the encoder's output is then compared with what it was. So
    the errors of different matrices can be compared, and added as long as they are small.

    Args:
        model: in evaluation mode.
        utterances: features (T, F), each of them whole; one at least.
        moments: of the inputs of each matrix, as `calibration` gives them.
        progress: called with the number of matrices done, and of all.

    Returns:
        {name: one number a place in depth}.
    """
    copied = _with_errors(model)
    places = Places(copied)
    count = sum(1 for place in range(len(places)) for _ in _erring(places, place))
    found: dict[str, list[float]] = {}
    done = 0
    with torch.no_grad():
        frames = [copied.encoder.subsampling(features[None]) for features in utterances]
        exact = [_encoded(copied, x, 0) for x in frames]
        whole = sum(float(y.square().sum()) for y in exact)
        for place in range(len(places)):
            for name, erring, use in _erring(places, place):
                error, part = smallest_part(erring.merged(use), moments[f"{place}.{name}"])
                erring.errors[use] = error
                lost = sum(
                    float((_encoded(copied, x, place) - y).square().sum())
                    for x, y in zip(frames, exact, strict=True)
                )
                del erring.errors[use]
                found.setdefault(name, []).append(lost / whole / part if part else 0.0)
                done += 1
                progress(done, count)
            # What lies before the place that errs stays as it is: it is computed once.
            frames = [_through(copied, x, range(place, place + 1)) for x in frames]
    return found


def heard(manifests: str | Sequence[str], seconds: float = SECONDS) -> list[Tensor]:
    """Features (T, F) of recordings from all over the manifests, so many seconds of them at most.

    What is longer is cut; what is too short for a frame is left out.
    """
    every = (
        torch.from_numpy(features_of(cut, None, np.random.default_rng(0)))
        for cut in spread(manifests, seconds)
    )
    return [features for features in every if len(features) >= FACTOR]


class _Erring(Linear):
    """A map whose matrix can be given an error for one of its uses."""

    def __init__(self, linear: Linear) -> None:
        super().__init__(linear.in_features, linear.out_features, linear.uses)
        self.linear = linear
        self.errors: dict[int, Tensor] = {}

    def merged(self, use: int) -> Tensor:
        """See Linear; without the error."""
        return self.linear.merged(use)

    def scale(self, factor: float) -> None:
        """See Linear."""
        self.linear.scale(factor)

    def forward(self, x: Tensor, use: int) -> Tensor:
        """See Linear."""
        y: Tensor = self.linear(x, use)
        return y - x @ self.errors[use] if use in self.errors else y


def _with_errors(model: Model) -> Model:
    """A copy with the same parameters, in which maps used in depth can err."""
    memo: dict[int, object] = {
        id(tensor): tensor for tensor in model.state_dict(keep_vars=True).values()
    }
    copied = copy.deepcopy(model, memo)
    for layer in copied.encoder.depth.modules():
        if isinstance(layer, Layer):
            for path, linear in list(linears(layer)):
                parent, _, name = path.rpartition(".")
                owner: nn.Module = layer.get_submodule(parent)
                setattr(owner, name, _Erring(linear))
    return copied.eval()


def _erring(places: Places, place: int) -> Iterator[tuple[str, _Erring, int]]:
    layer, use = places.layer(place)
    for path, linear in linears(layer):
        if isinstance(linear, _Erring):
            yield name_of(path), linear, use


def _encoded(model: Model, x: Tensor, first: int) -> Tensor:
    """What the encoder makes of the frames (1, T, D) before a place."""
    y: Tensor = model.encoder.norm(_through(model, x, range(first, len(Places(model)))))
    return y


def _through(model: Model, x: Tensor, through: range) -> Tensor:
    """Frames (1, T, D) of a whole utterance after some places, one behind the other."""
    places = Places(model)
    lengths = torch.tensor([x.shape[1]], device=x.device)
    mask = utterance_mask(lengths, x.shape[1], None, model.encoder.left_context)
    for place in through:
        layer, use = places.layer(place)
        x = x + layer.mix(x, use, mask)
        x = x + layer.feed(x, use)
    return x
