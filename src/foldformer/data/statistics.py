"""What a model must know of its training data: the level of the features, the languages."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from foldformer.data.augmentation import features_of
from foldformer.data.cuts import language_of, load_cuts

SAMPLE = 200
"""Utterances, spread evenly over a manifest, that feature statistics are taken from."""


def feature_statistics(
    manifests: Sequence[str],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean and standard deviation of each log-mel feature, (80,) each, without augmentation."""
    count, total, squares = 0, 0.0, 0.0
    for path in manifests:
        cuts = list(load_cuts(path))
        for index in np.linspace(0, len(cuts) - 1, min(SAMPLE, len(cuts))).astype(int):
            frames = features_of(cuts[index], None, np.random.default_rng(0)).astype(np.float64)
            count += len(frames)
            total += frames.sum(axis=0)
            squares += (frames**2).sum(axis=0)
    mean = np.asarray(total / count)
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return mean.astype(np.float32), deviation.astype(np.float32)


def languages_in(manifests: Sequence[str]) -> tuple[str, ...]:
    """The languages that the supervisions name, sorted."""
    found = {language_of(cut) for path in manifests for cut in load_cuts(path)}
    return tuple(sorted(found - {""}))
