"""How much the loss of a part of a matrix's output matters to what the encoder says: by trying."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from foldformer.compress.calibration import evenly_cut
from foldformer.compress.layers import Moments, Places, linears, name_of
from foldformer.compress.planning.loss import erring, smallest_part
from foldformer.data.augmentation import features_of
from foldformer.model import Model
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
        model: in evaluation mode; left as it is.
        utterances: features (T, F), each of them whole; one at least.
        moments: of the inputs of each matrix, as `calibration` gives them.
        progress: called with the number of matrices done, and of all.

    Returns:
        {name: one number a place in depth}.
    """
    places = Places(model)
    count = sum(1 for place in range(len(places)) for _ in linears(places.layer(place)[0]))
    found: dict[str, list[float]] = {}
    done = 0
    with torch.no_grad():
        frames = [model.encoder.subsampling(features[None]) for features in utterances]
        exact = [_encoded(model, x, 0) for x in frames]
        whole = sum(float(y.square().sum()) for y in exact)
        for place in range(len(places)):
            layer, use = places.layer(place)
            names, parts, wrong = [], [], [list[Tensor]() for _ in frames]
            for path, linear in linears(layer):
                names.append(name_of(path))
                error, part = smallest_part(linear.merged(use), moments[f"{place}.{names[-1]}"])
                parts.append(part)
                with erring({linear: error}, use):
                    for x, of_utterance in zip(frames, wrong, strict=True):
                        of_utterance.append(_through(model, x, range(place, place + 1)))
                done += 1
                progress(done, count)
            # Behind the place all that went wrong in it goes on side by side.
            lost = sum(
                (_encoded(model, torch.cat(of_utterance), place + 1) - y).square().sum(dim=(1, 2))
                for of_utterance, y in zip(wrong, exact, strict=True)
            )
            assert isinstance(lost, Tensor)
            for name, part, energy in zip(names, parts, lost.tolist(), strict=True):
                found.setdefault(name, []).append(energy / whole / part if part else 0.0)
            # What lies before a place that errs stays as it is: it is computed once.
            frames = [_through(model, x, range(place, place + 1)) for x in frames]
    return found


def heard(manifests: str | Sequence[str], seconds: float = SECONDS) -> list[Tensor]:
    """Features (T, F) of recordings from all over the manifests, so many seconds of them at most.

    What is longer is cut; what is too short for a frame is left out.
    """
    every = (
        torch.from_numpy(features_of(cut, None, np.random.default_rng(0)))
        for cut in evenly_cut(manifests, seconds)
    )
    return [features for features in every if len(features) >= FACTOR]


def _encoded(model: Model, x: Tensor, first: int) -> Tensor:
    """What the encoder makes of the frames (B, T, D) before a place."""
    y: Tensor = model.encoder.norm(_through(model, x, range(first, len(Places(model)))))
    return y


def _through(model: Model, x: Tensor, through: range) -> Tensor:
    """Frames (B, T, D) of whole utterances after some places, one behind the other."""
    places = Places(model)
    lengths = torch.full((x.shape[0],), x.shape[1], device=x.device)
    mask = utterance_mask(lengths, x.shape[1], None, model.encoder.left_context)
    for place in through:
        layer, use = places.layer(place)
        x = x + layer.mix(x, use, mask)
        x = x + layer.feed(x, use)
    return x
