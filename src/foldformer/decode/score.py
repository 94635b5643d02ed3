"""Scores of texts: word and character error rates, BLEU and chrF, each with a 95 % interval.

Error rates are those of texts without case and punctuation, see `foldformer.decode.texts`.
Intervals come from resampling utterances with a fixed seed, so that the same texts always give
the same figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from foldformer.decode.bootstrap import Array
from foldformer.decode.measures import MEASURES, Measure, SacreBleu, Tokenize, bleu
from foldformer.errors import InputError


@dataclass(frozen=True)
class ErrorRate:
    """100 (substitutions + insertions + deletions) / length, and the counts behind it."""

    percent: float
    low: float
    """Lower end of the 95 % interval, in %."""
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
    """Word and character error rates of hypotheses, without case and punctuation.

    >>> score = score_text(["ten past four", "May 3"], ["ten past for", "may 3."])
    >>> score.wer, score.words.substitutions, score.words.length
    (20.0, 1, 5)

    Raises:
        InputError: other numbers of texts, no texts, or no word in any reference.
    """
    words, characters = (_counts(key, references, hypotheses) for key in ("wer", "cer"))
    return TextScore(
        error_rate(MEASURES["wer"], words),
        error_rate(MEASURES["cer"], characters),
        len(references),
    )


def figures(
    names: Sequence[str], references: Sequence[str], hypotheses: Sequence[str]
) -> dict[str, float]:
    """Measures like "wer" and "bleu", without the intervals that take most of the time of a score.

    Raises:
        InputError: as of `score_text`.
    """
    return {name: MEASURES[name].value(_counts(name, references, hypotheses)) for name in names}


def _counts(name: str, references: Sequence[str], hypotheses: Sequence[str]) -> Array:
    _check(references, hypotheses)
    counts = MEASURES[name].counts(references, hypotheses)
    if name == "wer" and not counts[:, 3].any():
        raise InputError("the references hold no word; an error rate needs at least one")
    return counts


def _check(references: Sequence[str], hypotheses: Sequence[str]) -> None:
    if len(references) != len(hypotheses):
        raise InputError(
            f"{len(references)} references and {len(hypotheses)} hypotheses; expected as many"
        )
    if not references:
        raise InputError("there are no texts to score")


def error_rate(measure: Measure, counts: Array) -> ErrorRate:
    """The rate of utterances with these counts (N, 4) of substitutions and so on."""
    score = measure.score(counts)
    substitutions, insertions, deletions, length = (int(n) for n in counts.sum(axis=0))
    return ErrorRate(
        percent=score.value,
        low=score.low,
        high=score.high,
        substitutions=substitutions,
        insertions=insertions,
        deletions=deletions,
        length=length,
    )


def score_translation(
    references: Sequence[str], hypotheses: Sequence[str], tokenize: Tokenize = "13a"
) -> TranslationScore:
    """BLEU and chrF of hypotheses, with sacreBLEU.

    Args:
        references: one for each hypothesis.
        hypotheses: the translations.
        tokenize: how BLEU finds words; "char" or "zh" where there are no spaces.

    Raises:
        InputError: other numbers of texts, or no texts.
    """
    _check(references, hypotheses)
    scores = {}
    for key, measure in (("bleu", bleu(tokenize)), ("chrf", MEASURES["chrf"])):
        assert isinstance(measure, SacreBleu)
        score = measure.score(measure.counts(references, hypotheses))
        scores[key] = MetricScore(score.value, score.low, score.high, measure.signature)
    return TranslationScore(scores["bleu"], scores["chrf"], len(references))
