"""The scores of an evaluation, as data and as a table."""

import math
from typing import Any

from foldformer.decode.evaluate import Evaluated, Utterance
from foldformer.decode.score import score_text, score_translation


def scores_of(evaluated: Evaluated) -> dict[str, Any]:
    """Scores of all utterances and, where there are several languages, of each: plain data.

    Every score is a mapping with `value`, and the `low` and `high` ends of its 95 % interval;
    `high` is None where nothing is known of it, because a resampled set may hold no word at all.
    """
    languages = sorted({each.language for each in evaluated.utterances})
    groups = {"all": evaluated.utterances}
    if len(languages) > 1:
        for language in languages:
            own = [each for each in evaluated.utterances if each.language == language]
            groups[language or "(none)"] = own
    return {
        "scores": {name: _scores(group) for name, group in groups.items()},
        "audio_seconds": round(evaluated.audio_seconds, 2),
        "seconds": round(evaluated.seconds, 2),
    }


def _scores(utterances: list[Utterance]) -> dict[str, Any]:
    references = [each.reference for each in utterances]
    hypotheses = [each.hypothesis for each in utterances]
    errors = score_text(references, hypotheses)
    translation = score_translation(references, hypotheses)
    scores: dict[str, Any] = {"utterances": len(utterances), "words": errors.words.length}
    for name, rate in (("wer", errors.words), ("cer", errors.characters)):
        high = rate.high if math.isfinite(rate.high) else None  # JSON knows no infinity
        scores[name] = {"value": rate.percent, "low": rate.low, "high": high}
    for name, metric in (("bleu", translation.bleu), ("chrf", translation.chrf)):
        scores[name] = {
            "value": metric.value,
            "low": metric.low,
            "high": metric.high,
            "signature": metric.signature,
        }
    return scores


def score_table(scores: dict[str, Any]) -> str:
    """The scores as two tables of at most 80 columns, with sacreBLEU's signatures below."""
    groups = scores["scores"]
    speed = scores["audio_seconds"] / max(scores["seconds"], 1e-9)
    return "\n".join(
        [
            *_table(groups, {"wer": "WER %", "cer": "CER %"}),
            "",
            *_table(groups, {"bleu": "BLEU", "chrf": "chrF"}),
            "",
            "with 95 % bootstrap intervals over utterances; sacreBLEU's signatures:",
            groups["all"]["bleu"]["signature"],
            groups["all"]["chrf"]["signature"],
            f"{scores['audio_seconds'] / 60:.1f} minutes of speech, {speed:.0f} x real time",
        ]
    )


def _table(groups: dict[str, Any], titles: dict[str, str]) -> list[str]:
    rows = [["", "utt.", *titles.values()]]
    for group, values in groups.items():
        rows.append([group, str(values["utterances"]), *(_interval(values[n]) for n in titles)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows]


def _interval(score: dict[str, Any]) -> str:
    value, low, high = score["value"], score["low"], score["high"]
    digits = 1 if value >= 10 else 2
    upper = "?" if high is None else f"{high:.{digits}f}"
    return f"{value:.{digits}f} [{low:.{digits}f}, {upper}]"
