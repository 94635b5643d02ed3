"""What texts are measured by: error rates, BLEU, chrF; each a function of sums over utterances."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import kaldialign
import numpy as np
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from foldformer.data.tokens import normalise
from foldformer.decode.bootstrap import Array, middle, resampled
from foldformer.decode.texts import normalised, raw

_SENTENCES = 1000  # at a time: sacreBLEU keeps every n-gram of the references that it is given

Tokenize = Literal["13a", "char", "intl", "zh"]


@dataclass(frozen=True)
class Score:
    """A figure with the 95 % interval of its bootstrap."""

    value: float
    low: float
    high: float
    """Infinite where nothing is known: too many resampled sets hold no word at all."""


class Measure(ABC):
    """A figure of a whole test set, made of counts that are summed over its utterances.

    Attributes:
        title: what tables call it.
        lower_is_better: as of errors.
        replications: resampled test sets for an interval.
        seed: of the resampling, so that the same texts always give the same figures.
    """

    title: str
    lower_is_better: bool
    replications: int
    seed: int

    @abstractmethod
    def counts(self, references: Sequence[str], hypotheses: Sequence[str]) -> Array:
        """The counts (N, M) of N utterances, a row each."""

    @abstractmethod
    def values(self, sums: Array) -> Array:
        """The figures (R,) of R test sets, from the sums (R, M) of their utterances' counts."""

    def resampled(self, counts: Array) -> Array:
        """Sums (R, M) of counts (N, M) over the resampled test sets of this measure."""
        return resampled(counts, self.replications, self.seed)

    def value(self, counts: Array) -> float:
        """The figure of utterances with these counts (N, M), N of 1 or more."""
        return float(self.values(counts.sum(axis=0, keepdims=True))[0])

    def score(self, counts: Array) -> Score:
        """The same with its interval."""
        return Score(self.value(counts), *middle(self.values(self.resampled(counts))))


class ErrorRates(Measure):
    """100 (substitutions + insertions + deletions) / length, of the fewest edits there are.

    A row of counts has just these four, found by kaldialign. Intervals are Bisani and Ney's
    bootstrap (ICASSP 2004), of 10,000 test sets.

    Args:
        title: what tables call it.
        form: what is done to the texts before they are compared.
        cut: a text into units: words, or characters, spaces between words among them.
    """

    lower_is_better = True
    replications = 10_000
    seed = 0

    def __init__(
        self, title: str, form: Callable[[str], str], cut: Callable[[str], list[str]]
    ) -> None:
        self.title = title
        self._form = form
        self._cut = cut

    def counts(self, references: Sequence[str], hypotheses: Sequence[str]) -> Array:
        """Substitutions, insertions, deletions and units of the reference (N, 4)."""
        rows = []
        for reference, hypothesis in zip(references, hypotheses, strict=True):
            found = kaldialign.edit_distance(self._units(reference), self._units(hypothesis))
            rows.append([found[name] for name in ("sub", "ins", "del", "ref_len")])
        return np.array(rows, dtype=np.float64).reshape(-1, 4)

    def _units(self, text: str) -> list[str]:
        return self._cut(self._form(text))

    def values(self, sums: Array) -> Array:
        """Rates in %; infinite where there is no unit to make errors in."""
        errors, length = sums[:, :3].sum(axis=1), sums[:, 3]
        return np.where(length > 0, 100 * errors / np.maximum(length, 1), np.inf)


class SacreBleu(Measure):
    """A metric of sacreBLEU, without regard to case; intervals from its 1000 resampled sets.

    Args:
        title: what tables call it.
        metric: the metric, asked to fold case.
    """

    lower_is_better = False
    replications = 1000
    seed = 12345

    def __init__(self, title: str, metric: Metric) -> None:
        self.title = title
        self._metric = metric

    def counts(self, references: Sequence[str], hypotheses: Sequence[str]) -> Array:
        """The statistics of sentences that sacreBLEU itself resamples."""
        said = [normalise(text) for text in references]
        heard = [normalise(text) for text in hypotheses]
        rows: list[list[int]] = []
        for start in range(0, len(said), _SENTENCES):
            part = slice(start, start + _SENTENCES)
            rows += self._metric._extract_corpus_statistics(heard[part], [said[part]])
        return np.array(rows, dtype=np.float64)

    def values(self, sums: Array) -> Array:
        """Scores from 0 to 100."""
        compute = self._metric._compute_score_from_stats
        return np.array([float(compute(row).score) for row in sums.tolist()])

    @property
    def signature(self) -> str:
        """sacreBLEU's account of how it was computed, to be quoted with the figure."""
        self._metric.num_refs = 1
        self._metric.n_bootstrap, self._metric.seed = self.replications, self.seed
        return str(self._metric.get_signature())


def bleu(tokenize: Tokenize = "13a") -> SacreBleu:
    """BLEU; `tokenize` finds its words: "char" or "zh" where there are no spaces."""
    return SacreBleu("BLEU", BLEU(lowercase=True, tokenize=tokenize))


MEASURES: dict[str, Measure] = {
    "wer": ErrorRates("WER %", normalised, str.split),
    "cer": ErrorRates("CER %", normalised, list),
    "raw_wer": ErrorRates("raw WER %", raw, str.split),
    "raw_cer": ErrorRates("raw CER %", raw, list),
    "bleu": bleu(),
    "chrf": SacreBleu("chrF", CHRF(lowercase=True)),
}
"""Every measure of an evaluation, by its name in JSON."""
