from collections.abc import Sequence
from functools import cache

import kaldialign
import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from foldformer.decode.score import figures, score_text, score_translation
from foldformer.errors import InputError

REFERENCES = ["the cat sat on the mat", "hello world", "a b c d", "press one for sales"] * 8
HYPOTHESES = ["the cat sat on mat", "hello word now", "a x c d", "press one for sales"] * 8


def distance(a: Sequence[str], b: Sequence[str]) -> int:
    """The fewest substitutions, insertions and deletions from a to b, by definition."""

    @cache
    def rest(i: int, j: int) -> int:
        if i == len(a) or j == len(b):
            return len(a) - i + len(b) - j
        if a[i] == b[j]:
            return rest(i + 1, j + 1)
        return 1 + min(rest(i + 1, j + 1), rest(i + 1, j), rest(i, j + 1))

    return rest(0, 0)


def test_counts_of_a_case_worked_by_hand() -> None:
    score = score_text(["a b c d", "e f"], ["a x c", "e f g"])
    words = score.words
    assert (words.substitutions, words.insertions, words.deletions) == (1, 1, 1)
    assert words.length == 6
    assert score.wer == pytest.approx(50.0)
    # "a b c d" -> "a x c" takes b -> x and two deletions, "e f" -> "e f g" two insertions.
    characters = score.characters
    assert (characters.substitutions, characters.insertions, characters.deletions) == (1, 2, 2)
    assert score.cer == pytest.approx(100 * 5 / 10)
    assert score.utterances == 2


def test_figures_are_those_of_a_score() -> None:
    texts, translations = (f(REFERENCES, HYPOTHESES) for f in (score_text, score_translation))
    assert figures(["wer", "cer", "bleu"], REFERENCES, HYPOTHESES) == {
        "wer": texts.wer,
        "cer": texts.cer,
        "bleu": translations.bleu.value,
    }
    with pytest.raises(InputError, match="the references hold no word"):
        figures(["wer"], ["."], ["a"])


def test_case_spaces_punctuation_and_composition_do_not_count() -> None:
    score = score_text(["  Été,  à Paris."], ["e\u0301te\u0301 à paris "])
    assert score.wer == score.cer == score.words.high == 0


words = st.lists(st.sampled_from(["a", "bb", "c"]), min_size=1, max_size=6).map(" ".join)


@settings(max_examples=25)
@given(st.lists(st.tuples(words, words), min_size=1, max_size=4))
def test_rates_are_the_fewest_edits_over_the_length(pairs: list[tuple[str, str]]) -> None:
    score = score_text([r for r, _ in pairs], [h for _, h in pairs])
    word_edits = sum(distance(r.split(), h.split()) for r, h in pairs)
    character_edits = sum(distance(r, h) for r, h in pairs)
    assert score.wer == pytest.approx(100 * word_edits / sum(len(r.split()) for r, _ in pairs))
    assert score.cer == pytest.approx(100 * character_edits / sum(len(r) for r, _ in pairs))


def test_the_interval_is_that_of_resampled_test_sets() -> None:
    score = score_text(REFERENCES, HYPOTHESES)
    pairs = zip(REFERENCES, HYPOTHESES, strict=True)
    errors = np.array([distance(r.split(), h.split()) for r, h in pairs])
    lengths = np.array([len(reference.split()) for reference in REFERENCES])
    drawn = np.random.default_rng(1).integers(len(errors), size=(20000, len(errors)))
    rates = 100 * errors[drawn].sum(axis=1) / lengths[drawn].sum(axis=1)
    low, high = np.quantile(rates, [0.025, 0.975])
    assert score.words.low == pytest.approx(low, abs=0.3)
    assert score.words.high == pytest.approx(high, abs=0.3)


def test_the_interval_is_about_that_of_kaldialign() -> None:
    """Which takes 1.96 standard deviations in place of the middle 95 %."""
    words = [[text.split() for text in texts] for texts in (REFERENCES, HYPOTHESES)]
    expected = kaldialign.bootstrap_wer_ci(*words)
    score = score_text(REFERENCES, HYPOTHESES)
    assert score.words.low == pytest.approx(100 * expected["ci95min"], abs=1.5)
    assert score.words.high == pytest.approx(100 * expected["ci95max"], abs=1.5)


def test_the_same_texts_give_the_same_figures() -> None:
    assert score_text(REFERENCES, HYPOTHESES) == score_text(REFERENCES, HYPOTHESES)
    assert score_translation(REFERENCES, HYPOTHESES) == score_translation(REFERENCES, HYPOTHESES)


def test_an_interval_never_goes_below_zero_and_says_when_nothing_is_known() -> None:
    assert score_text(["a b", "c d"], ["a b", "c"]).words.low == 0
    unknown = score_text(["", "a b"], ["x", "a b"]).words
    assert unknown.percent == pytest.approx(50)
    assert (unknown.low, unknown.high) == (0, np.inf)


def test_translations_are_scored_as_sacrebleu_does() -> None:
    references = ["The cat sat on the mat.", "He gave her two apples, not three.", "One."] * 6
    hypotheses = ["the cat is on the mat.", "he gave two apples, not three.", "two"] * 6
    score = score_translation(references, hypotheses)
    bleu = sacrebleu.corpus_bleu(hypotheses, [references], lowercase=True)
    chrf = sacrebleu.CHRF(lowercase=True).corpus_score(hypotheses, [references])
    assert score.bleu.value == pytest.approx(bleu.score)
    assert score.chrf.value == pytest.approx(chrf.score)
    for metric, theirs in (
        (score.bleu, sacrebleu.BLEU(lowercase=True)),
        (score.chrf, sacrebleu.CHRF(lowercase=True)),
    ):
        expected = theirs.corpus_score(hypotheses, [references], n_bootstrap=1000)
        assert metric.low <= metric.value <= metric.high
        assert metric.high - metric.low == pytest.approx(2 * expected._ci, rel=1e-4)
        assert metric.signature == str(theirs.get_signature())
        assert "case:lc" in metric.signature
        assert f"version:{sacrebleu.__version__}" in metric.signature
        assert "bs:1000|seed:12345" in metric.signature
    assert score.utterances == 18


def test_resampled_sets_of_which_some_score_nothing() -> None:
    """As after a few steps of training, when most utterances are still empty."""
    references = ["one two three four", "five six seven eight", "nine ten", "eleven"]
    for hypotheses in (["one two three four", "", "", ""], ["", "", "", ""]):
        score = score_translation(references, hypotheses)
        for metric in (score.bleu, score.chrf):
            assert 0 <= metric.low <= metric.high <= 100
            assert type(metric.value) is float


def test_a_translation_can_be_cut_into_characters() -> None:
    by_words = score_translation(["今天天气很好"], ["今天天气好"])
    by_characters = score_translation(["今天天气很好"], ["今天天气好"], tokenize="char")
    assert by_words.bleu.value < by_characters.bleu.value
    assert "tok:char" in by_characters.bleu.signature


def test_what_cannot_be_scored_is_explained() -> None:
    for score in (score_text, score_translation):
        with pytest.raises(InputError, match="2 references and 1 hypotheses"):
            score(["a", "b"], ["a"])
        with pytest.raises(InputError, match="no texts"):
            score([], [])
    with pytest.raises(InputError, match="no word"):
        score_text(["", " "], ["a", "b"])
