"""The results of an evaluation as tables of at most 80 columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from foldformer.decode.measures import MEASURES
from foldformer.report.side_by_side import side_by_side
from foldformer.report.written import figure, with_interval

_EDITS = {"substitutions": "substituted", "insertions": "inserted", "deletions": "deleted"}


def score_table(results: Mapping[str, Any]) -> str:
    """The scores, and what else the results hold: latency, a comparison."""
    groups = results["scores"]
    lines = [
        *_aligned(_error_rates(groups)),
        "",
        *_aligned(_edits(groups)),
        "",
        *_aligned(_translations(groups)),
        "",
        "WER and CER: without case and punctuation; raw: as written. In brackets: 95 %",
        "bootstrap intervals over utterances. sacreBLEU's signatures:",
        groups["all"]["bleu"]["signature"],
        groups["all"]["chrf"]["signature"],
        _speed(results),
    ]
    if groups["all"]["wer"]["value"] is None:
        lines += ["", "No reference holds a word, so there is no error rate."]
    if results["latency"]:
        lines += ["", *_aligned(_latencies(results["latency"]))]
    if "comparison" in results:
        lines += ["", *_comparison(results["comparison"])]
    return "\n".join(lines)


def worst_table(results: Mapping[str, Any]) -> str:
    """The utterances with most errors, their words beside those written for them."""
    lines = ["S: substituted, I: inserted, D: deleted"]
    for each in results["worst"]:
        language = f" ({each['language']})" if each["language"] else ""
        errors = "1 error" if each["errors"] == 1 else f"{each['errors']} errors"
        words = "1 word" if each["words"] == 1 else f"{each['words']} words"
        lines += ["", f"{each['id']}{language}: {errors}, {words}"]
        lines += side_by_side(each["alignment"])
    return "\n".join(lines) if results["worst"] else "no utterance has an error"


def _error_rates(groups: Mapping[str, Any]) -> list[list[str]]:
    raw = [MEASURES[key].title for key in ("raw_wer", "raw_cer")]
    rows = [["", "utt.", MEASURES["wer"].title, MEASURES["cer"].title, *raw]]
    for group, scores in groups.items():
        intervals = [_interval(scores[key]) for key in ("wer", "cer")]
        values = [_number(scores[key]["value"]) for key in ("raw_wer", "raw_cer")]
        rows.append([group, str(scores["utterances"]), *intervals, *values])
    return rows


def _edits(groups: Mapping[str, Any]) -> list[list[str]]:
    rows = [["", "words", *(f"{title} %" for title in _EDITS.values())]]
    for group, scores in groups.items():
        wer = scores["wer"]
        shares = (f"{wer[key]} ({_share(wer[key], wer['length'])})" for key in _EDITS)
        rows.append([group, str(wer["length"]), *shares])
    return rows


def _share(errors: int, length: int) -> str:
    return _number(100 * errors / length) if length else "-"


def _translations(groups: Mapping[str, Any]) -> list[list[str]]:
    keys = ("bleu", "chrf")
    rows = [["", "utt.", *(MEASURES[key].title for key in keys)]]
    for group, scores in groups.items():
        rows.append([group, str(scores["utterances"]), *(_interval(scores[key]) for key in keys)])
    return rows


def _speed(results: Mapping[str, Any]) -> str:
    minutes = f"{results['audio_seconds'] / 60:.1f} minutes of speech"
    if results["seconds"] is None:
        return minutes
    return f"{minutes}, {results['audio_seconds'] / max(results['seconds'], 1e-9):.0f} x real time"


def _latencies(latencies: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    rows = [["milliseconds", "number", "p50", "p90", "p99"]]
    for each in latencies:
        percentiles = (f"{each[key]:.0f}" for key in ("p50", "p90", "p99"))
        rows.append([each["name"], str(each["count"]), *percentiles])
    return rows


def _comparison(comparison: Mapping[str, Any]) -> list[str]:
    rows = [["", "", "here", "other", "difference", "relative", "p(better)"]]
    for group, differences in comparison.items():
        for key, found in differences.items():
            if found is None:
                continue
            relative = found["relative"]
            shown = "-" if relative is None else f"{relative['value']:+.1f} %"
            values = [_number(found["value"]), _number(found["other"])]
            difference = _interval(found["difference"], "+")
            share = f"{found['improvement']:.3f}"
            rows.append([group, MEASURES[key].title, *values, difference, shown, share])
    return [
        *_aligned(rows),
        "",
        "difference: here - other, with the 95 % interval of the paired bootstrap;",
        "p(better): share of resampled test sets on which this model is the better one",
    ]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows]


def _interval(score: Mapping[str, Any], sign: str = "") -> str:
    if score["value"] is None:
        return "-"
    return with_interval(score["value"], score["low"], score["high"], sign)


def _number(value: float | None) -> str:
    return "-" if value is None else figure(value)
