"""What the matrices of a model hear: second moments of their inputs, taken from recordings."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from lhotse.cut import Cut
from torch import Tensor, nn

from foldformer.compress.layers import Places, check_trained, linears, name_of
from foldformer.compress.moments import MomentSums
from foldformer.compress.stored import Stored
from foldformer.data.augmentation import features_of
from foldformer.data.batches import manifests_of, unheard
from foldformer.data.cuts import read_cuts
from foldformer.data.durations import LONGEST
from foldformer.errors import InputError
from foldformer.model import Model
from foldformer.nn.layer import Layer
from foldformer.nn.linears import Linear
from foldformer.nn.mask import utterance_mask
from foldformer.nn.subsampling import FACTOR

SECONDS = 600.0
"""Speech that moments are taken from, unless asked otherwise: 15000 encoder frames."""

_MARGIN = 2
"""Times as many frames as a matrix has inputs: cuts may be shorter together than asked for."""

_PIECE = 3000
"""Feature frames that are heard at once: attention over more costs with the square of it."""


def calibrate(
    model: Model,
    manifests: str | Sequence[str],
    *,
    chunks: Sequence[int] = (),
    seconds: float = SECONDS,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> Stored:
    """{"PLACE.NAME": E[x x^T] (in, in)}, float32: means over the frames of all recordings.

    All recordings go through one layer after the other. So the memory it takes is that of the
    moments of one layer in float64, whatever the depth and the amount of speech: the frames
    between layers, and the moments that are found, are in a temporary file. Matrices that read the
    same frames, as query, key and value do, have one moment between them.

    Args:
        model: is left alone; heard in evaluation mode.
        manifests: Lhotse cuts; their texts do not matter.
        chunks: encoder frames a chunk, for models that stream: each recording is heard once in the
            full context, and once in chunks of each size.
        seconds: of speech at most, spread evenly over the manifests; where the widest matrix needs
            more, that.
        progress: called with the number of layers done, and that of all: nothing here holds on to
            the model's parameters meanwhile.

    Raises:
        InputError: a manifest or recording cannot be read, or there is too little speech: fewer
            frames than the widest matrix has inputs.
        SpecError: the weights are no numbers to compute with.
    """
    check_trained(model)
    cuts = evenly_cut(manifests, max(seconds, _MARGIN * _widest(model) / 25))
    _check_enough(model, cuts, manifests_of(manifests))
    places = Places(model)
    found, frames = Stored(), Stored()
    with torch.no_grad():
        heard = _subsampled(model, cuts, (None, *chunks), frames)
        progress(0, len(places))
        for place in range(len(places)):
            _, use = places.layer(place)
            sums = MomentSums(on_disk=False)
            layer = _listening(places, place, sums)
            for key, chunk in heard.items():
                x = frames[key].to(model.encoder.norm.weight)
                length = torch.tensor([x.shape[1]], device=x.device)
                mask = utterance_mask(length, x.shape[1], chunk, model.encoder.left_context)
                x = x + layer.mix(x, use, mask)
                x = x + layer.feed(x, use)
                frames.put(key, x)
            sums.into(found)
            del layer, sums
            progress(place + 1, len(places))
    return found


def _subsampled(
    model: Model, cuts: Sequence[Cut], chunks: Sequence[int | None], frames: Stored
) -> dict[str, int | None]:
    """Put what the first layer hears into `frames`; {key: the chunk that it is heard in}."""
    subsampling = _copied(model.encoder.subsampling).eval()
    heard: dict[str, int | None] = {}
    for cut in cuts:
        for features in _pieces(cut, model):
            x = subsampling(features)
            for chunk in chunks:
                key = str(len(heard))
                heard[key] = chunk
                frames.put(key, x)
    return heard


def evenly_cut(manifests: str | Sequence[str], seconds: float) -> list[Cut]:
    """Cuts of so many seconds at most, from all over the manifests; long recordings in parts.

    Raises:
        InputError: a manifest cannot be read.
    """
    heard = [
        part
        for path in manifests_of(manifests)
        for cut in read_cuts(path)
        if not unheard(cut)
        for part in (cut.cut_into_windows(LONGEST) if cut.duration > LONGEST else (cut,))
    ]
    found = heard
    # Those at equal distances may be longer than others are: then there have to be fewer.
    while len(found) > 1 and (whole := sum(cut.duration for cut in found)) > seconds:
        wanted = max(1, math.floor(len(found) * seconds / whole))
        found = [heard[index] for index in np.linspace(0, len(heard) - 1, wanted).astype(int)]
    return [cut if cut.duration <= seconds else cut.truncate(duration=seconds) for cut in found]


def _check_enough(model: Model, cuts: Sequence[Cut], named: Sequence[str]) -> None:
    """With fewer frames than inputs, what was never heard would count for nothing."""
    widest = _widest(model)
    frames = sum(int(25 * cut.duration) for cut in cuts)
    if frames < widest:
        raise InputError(
            f"{', '.join(named)}: {frames} frames of 40 ms to calibrate with, and a matrix of the "
            f"model has {widest} inputs; expected at least {widest / 25:.0f} s of speech"
        )


def _widest(model: Model) -> int:
    """Inputs of the widest matrix of the layers."""
    depth = model.encoder.depth.modules()
    return max(part.in_features for part in depth if isinstance(part, Linear))


def _pieces(cut: Cut, model: Model) -> Iterator[Tensor]:
    """Features (1, T, 80) of a recording, on the model's device."""
    like = model.encoder.norm.weight
    features = torch.from_numpy(features_of(cut, None, np.random.default_rng(0)))
    for start in range(0, len(features), _PIECE):
        piece = features[None, start : start + _PIECE]
        if piece.shape[1] >= FACTOR:
            yield piece.to(like)


M = TypeVar("M", bound=nn.Module)


def _copied(module: M) -> M:
    """A copy with the same parameters."""
    tensors = module.state_dict(keep_vars=True).values()
    memo: dict[int, Any] = {id(tensor): tensor for tensor in tensors}
    return copy.deepcopy(module, memo)


def _listening(places: Places, place: int, sums: MomentSums) -> Layer:
    """The layer of a place in evaluation mode, whose maps add what they hear."""
    copied = _copied(places.layer(place)[0])
    for path, linear in list(linears(copied)):
        parent, _, name = path.rpartition(".")
        listening = _Listening(linear, f"{place}.{name_of(path)}", sums)
        setattr(copied.get_submodule(parent), name, listening)
    return copied.eval()


class _Listening(Linear):
    """A linear map that tells what it is given."""

    def __init__(self, linear: Linear, key: str, sums: MomentSums) -> None:
        super().__init__(linear.in_features, linear.out_features, linear.uses)
        self.linear = linear
        self.key = key
        self.sums = sums

    def merged(self, use: int) -> Tensor:
        """See Linear."""
        return self.linear.merged(use)

    def scale(self, factor: float) -> None:
        """See Linear."""
        self.linear.scale(factor)

    def forward(self, x: Tensor, use: int) -> Tensor:
        """See Linear."""
        self.sums.add(self.key, x)
        y: Tensor = self.linear(x, use)
        return y
