"""Scores of texts: word and character error rates, BLEU and chrF, each with a 95 % interval.

All texts pass `foldformer.data.tokens.normalise` first, references as well as hypotheses, since
a model only ever sees and writes such text. Intervals come from resampling utterances with a
fixed seed, so that the same texts always give the same figures.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import kaldialign
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU, BLEUScore
from sacrebleu.metrics.chrf import CHRF, CHRFScore

from foldformer.data.tokens import normalise
from foldformer.errors import InputError

_REPLICATIONS = 10_000  # of Bisani and Ney's bootstrap; it runs in C++
_TRANSLATION_REPLICATIONS = 1000  # as sacreBLEU's own command does
_SEED = 0


@dataclass(frozen=True)
class ErrorRate:
    """100 (substitutions + insertions + deletions) / length, and the counts behind it."""

    percent: float
    low: float
    """Lower end of the 95 % interval, in %; at least 0."""
    high: float
    """Upper end of the 95 % interval, in %."""
    substitutions: int
    insertions: int
    deletions: int
    length: int
    """Words, or characters, of all references."""


@dataclass(frozen=True)
class TextScore:
    """How well texts were recognised."""

    words: ErrorRate
    characters: ErrorRate
    """Spaces between words count as characters."""
    utterances: int

    @property
    def wer(self) -> float:
        """Word error rate in %."""
        return self.words.percent

    @property
    def cer(self) -> float:
        """Character error rate in %."""
        return self.characters.percent


@dataclass(frozen=True)
class MetricScore:
    """A score of translations from 0 to 100, higher is better."""

    value: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end of the 95 % interval."""
    signature: str
    """sacreBLEU's account of how it was computed, to be quoted with the figure."""


@dataclass(frozen=True)
class TranslationScore:
    """How well texts were translated, without regard to case."""

    bleu: MetricScore
    chrf: MetricScore
    utterances: int


def score_text(references: Sequence[str], hypotheses: Sequence[str]) -> TextScore:
    """Word and character error rates of hypotheses, with kaldialign.

    The intervals are those of Bisani and Ney (ICASSP 2004) over utterances: mean and 1.96
    standard deviations of 10,000 resampled test sets.

    Raises:
        InputError: other numbers of texts, no texts, or no word in any reference.
    """
    pairs = _normalised(references, hypotheses)
    if not any(reference for reference, _ in pairs):
        raise InputError("the references hold no word; an error rate needs at least one")
    words = [(reference.split(), hypothesis.split()) for reference, hypothesis in pairs]
    characters = [(list(reference), list(hypothesis)) for reference, hypothesis in pairs]
    return TextScore(_error_rate(words), _error_rate(characters), len(pairs))


def _normalised(references: Sequence[str], hypotheses: Sequence[str]) -> list[tuple[str, str]]:
    if len(references) != len(hypotheses):
        raise InputError(
            f"{len(references)} references and {len(hypotheses)} hypotheses; expected as many"
        )
    if not references:
        raise InputError("there are no texts to score")
    return [(normalise(r), normalise(h)) for r, h in zip(references, hypotheses, strict=True)]


def _error_rate(pairs: Sequence[tuple[list[str], list[str]]]) -> ErrorRate:
    references, hypotheses = [r for r, _ in pairs], [h for _, h in pairs]
    counts = kaldialign.batch_error_rate(references, hypotheses)
    interval = kaldialign.bootstrap_wer_ci(
        references, hypotheses, replications=_REPLICATIONS, seed=_SEED
    )
    low, high = 100 * interval["ci95min"], 100 * interval["ci95max"]
    if not math.isfinite(high):  # a resampled set without a single word: nothing is known
        low, high = 0.0, math.inf
    return ErrorRate(
        percent=100 * counts["err_rate"],
        low=max(low, 0.0),
        high=high,
        substitutions=counts["sub"],
        insertions=counts["ins"],
        deletions=counts["del"],
        length=counts["ref_len"],
    )


def score_translation(
    references: Sequence[str],
    hypotheses: Sequence[str],
    tokenize: Literal["13a", "char", "intl", "zh"] = "13a",
) -> TranslationScore:
    """BLEU and chrF of hypotheses, with sacreBLEU.

    The intervals are sacreBLEU's: the middle 95 % of 1000 resampled test sets.

    Args:
        references: one for each hypothesis.
        hypotheses: the translations.
        tokenize: how BLEU finds words; "char" or "zh" where there are no spaces.

    Raises:
        InputError: other numbers of texts, or no texts.
    """
    pairs = _normalised(references, hypotheses)
    bleu = _Bleu(lowercase=True, tokenize=tokenize)
    return TranslationScore(
        bleu=_metric_score(bleu, pairs),
        chrf=_metric_score(_Chrf(lowercase=True), pairs),
        utterances=len(pairs),
    )


# The bootstrap of sacreBLEU 2.6 gives numbers of two types where some sets score exactly 0, and
# Python's `statistics.mean`, which it then takes, refuses to mix them.
class _Bleu(BLEU):
    def _compute_score_from_stats(self, stats: list[int]) -> BLEUScore:
        score = super()._compute_score_from_stats(stats)
        score.score = float(score.score)
        return score


class _Chrf(CHRF):
    def _compute_score_from_stats(self, stats: list[int]) -> CHRFScore:
        score = super()._compute_score_from_stats(stats)
        score.score = float(score.score)
        return score


def _metric_score(metric: Metric, pairs: Sequence[tuple[str, str]]) -> MetricScore:
    references, hypotheses = [r for r, _ in pairs], [h for _, h in pairs]
    score = metric.corpus_score(hypotheses, [references], n_bootstrap=_TRANSLATION_REPLICATIONS)
    mean, half_width = float(score._mean), float(score._ci)  # printed after "μ ="; not public
    return MetricScore(
        value=score.score,
        low=max(0.0, mean - half_width),
        high=min(100.0, mean + half_width),
        signature=str(metric.get_signature()),
    )
