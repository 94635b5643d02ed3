"""The scores of an evaluation as data and as a table."""

import json

import pytest

from foldformer.decode.evaluate import Evaluated, Utterance
from foldformer.report.scores import score_table, scores_of


def evaluated(*rows: tuple[str, str, str]) -> Evaluated:
    """Rows are (language, reference, hypothesis)."""
    utterances = [Utterance(f"u{i}", *row) for i, row in enumerate(rows)]
    return Evaluated(utterances, audio_seconds=120.0, seconds=2.5)


TWO = evaluated(
    ("en", "one two three four five", "one two three four five"),
    ("en", "six seven eight nine ten", "six seven eight nine ten"),
    ("es", "uno dos tres cuatro cinco", "uno tres cuatro cinco seis"),
)


def test_each_language_and_all_together() -> None:
    scores = scores_of(TWO)
    assert list(scores["scores"]) == ["all", "en", "es"]
    # One word left out and one put in, of 5 and of 15.
    assert scores["scores"]["es"]["wer"]["value"] == pytest.approx(40)
    assert scores["scores"]["all"]["wer"]["value"] == pytest.approx(100 * 2 / 15)
    assert scores["scores"]["en"]["wer"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert scores["scores"]["en"]["bleu"]["value"] == pytest.approx(100)
    assert [scores["scores"][g]["utterances"] for g in ("all", "en", "es")] == [3, 2, 1]
    assert scores["scores"]["all"]["words"] == 15
    assert (scores["audio_seconds"], scores["seconds"]) == (120.0, 2.5)


def test_one_language_is_not_named_twice() -> None:
    assert list(scores_of(evaluated(("en", "one", "two")))["scores"]) == ["all"]


def test_utterances_without_a_language() -> None:
    scores = scores_of(evaluated(("en", "one", "one"), ("", "two", "three")))
    assert list(scores["scores"]) == ["all", "(none)", "en"]


def test_plain_data() -> None:
    assert json.loads(json.dumps(scores_of(TWO))) == scores_of(TWO)


def test_json_without_infinity() -> None:
    scores = scores_of(evaluated(("en", "", "x"), ("en", "a b", "a b")))
    assert scores["scores"]["all"]["wer"] == {"value": 50.0, "low": 0.0, "high": None}
    assert json.dumps(scores, allow_nan=False)
    assert "50.0 [0.0, ?]" in score_table(scores)


def test_the_table_holds_every_figure_in_80_columns() -> None:
    lines = score_table(scores_of(TWO)).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["utt.", "WER", "%", "CER", "%"]
    assert lines[3].split()[:3] == ["es", "1", "40.0"]
    assert any(line.split() == ["utt.", "BLEU", "chrF"] for line in lines)
    assert sum(line.startswith("nrefs:1|bs:1000|seed:12345|case:lc") for line in lines) == 2
    assert lines[-1] == "2.0 minutes of speech, 48 x real time"


def test_the_widest_table_fits() -> None:
    """More errors than words, thousands of utterances, an interval without an end."""
    interval = {"value": 123.4, "low": 100.0, "high": None}
    bleu = {**interval, "signature": "nrefs:1|bs:1000|seed:12345|case:lc|eff:no|tok:13a|v"}
    each = {"utterances": 123456, "wer": interval, "cer": interval, "bleu": bleu, "chrf": bleu}
    scores = {"scores": {"all": each, "(none)": each}, "audio_seconds": 1e6, "seconds": 0.0}
    assert max(map(len, score_table(scores).splitlines())) <= 80
