"""Two models on the same utterances: how much one is better, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foldformer.decode.bootstrap import Array, middle
from foldformer.decode.measures import Measure, Score


@dataclass(frozen=True)
class Difference:
    """One model against another on the same utterances.

    Attributes:
        value: the figure of the one.
        other: the figure of the other.
        difference: value - other, with its 95 % interval.
        relative: the same in % of the other; None where the other may be 0.
        improvement: share of resampled test sets on which the one is better than the other:
            Bisani and Ney's probability of improvement.
    """

    value: float
    other: float
    difference: Score
    relative: Score | None
    improvement: float


def compare(measure: Measure, counts: Array, other: Array) -> Difference:
    """The paired bootstrap: both models are scored on the same resampled test sets.

    Args:
        measure: what is compared.
        counts: of each utterance (N, M), of the one model.
        other: the same of the other, the utterances in the same order.
    """
    found, drawn = paired(measure, [counts, other])
    (value, rival), (values, rivals) = found, drawn.T
    known = np.isfinite(values) & np.isfinite(rivals)  # sets without a word say nothing
    values, rivals = values[known], rivals[known]
    relative = None
    if rival > 0 and (rivals > 0).all():
        relative = _score(100 * (value / rival - 1), 100 * (values / rivals - 1))
    better = values < rivals if measure.lower_is_better else values > rivals
    return Difference(
        value=float(value),
        other=float(rival),
        difference=_score(value - rival, values - rivals),
        relative=relative,
        improvement=float(better.mean()),
    )


def paired(measure: Measure, counts: Sequence[Array]) -> tuple[Array, Array]:
    """The figures of n models of the same utterances, and those on R resampled test sets.

    Args:
        measure: what is compared.
        counts: of each model, (N, M) each, the utterances in the same order.

    Returns:
        (n,), and (R, n): all models are scored on the same resampled sets.
    """
    together = np.hstack(counts)

    def values(sums: Array) -> Array:
        parts = np.hsplit(sums, len(counts))
        return np.stack([measure.values(part) for part in parts], axis=1)

    figures: Array = values(together.sum(axis=0, keepdims=True))[0]
    return figures, values(measure.resampled(together))


def _score(value: float, resampled: Array) -> Score:
    return Score(float(value), *middle(resampled))
