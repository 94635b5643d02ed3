"""What a model must know of its training data: the level of the features, the languages."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from foldformer.data.augmentation import features_of
from foldformer.data.cuts import language_of, load_cuts
from foldformer.data.features import NUM_MELS
from foldformer.data.selection import Survey

SAMPLE = 200
"""Utterances, spread evenly over a manifest, that feature statistics are taken from."""

LONGEST = 60.0
"""Seconds; longer utterances, which would weigh too much, are in the sample only if all are."""


def feature_statistics(surveys: Sequence[Survey]) -> tuple[npt.NDArray[np.float32], float]:
    """Mean of each log-mel feature (80,), and one standard deviation of all, not augmented.

    They are those of utterances that the training uses, `SAMPLE` of each manifest.

    One deviation and not 80: a band that the recordings leave empty, as those of telephone speech
    do above 4 kHz, hardly deviates at all. Scaled to the others it would drown them as soon as a
    change of gain or a noise moves it.
    """
    count, total, squares = 0, np.zeros(NUM_MELS), np.zeros(NUM_MELS)
    for each in surveys:
        cuts = [cut for cut, used in zip(load_cuts(each.path), each.used, strict=True) if used]
        cuts = [cut for cut in cuts if cut.duration <= LONGEST] or cuts
        for index in np.linspace(0, len(cuts) - 1, min(SAMPLE, len(cuts))).astype(int):
            frames = features_of(cuts[index], None, np.random.default_rng(0)).astype(np.float64)
            count += len(frames)
            total += frames.sum(axis=0)
            squares += (frames**2).sum(axis=0)
    mean = total / count
    variance = np.maximum(squares / count - mean**2, 0).mean()
    return mean.astype(np.float32), float(np.sqrt(variance))


def languages_in(manifests: Sequence[str]) -> tuple[str, ...]:
    """The languages that the supervisions name, sorted."""
    found = {language_of(cut) for path in manifests for cut in load_cuts(path)}
    return tuple(sorted(found - {""}))
