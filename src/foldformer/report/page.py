"""The results of an evaluation as one HTML page that needs nothing else."""

from collections.abc import Mapping
from typing import Any

from foldformer.decode.measures import MEASURES
from foldformer.report._template import rendered


def page(results: Mapping[str, Any]) -> str:
    """The page: scores, errors, latency, comparison, and how all of it was measured.

    It loads nothing, runs nothing, and shows what is in manifests as text, whatever that is.
    """
    groups = results["scores"]
    highs = [scores["wer"]["high"] for scores in groups.values()]
    values = {
        "title": f"Evaluation of {results['measured']['model']}",
        "results": results,
        "all": groups["all"],
        "titles": {key: measure.title for key, measure in MEASURES.items()},
        "largest": max((high for high in highs if high is not None), default=0.0),
    }
    return rendered("page.html", values, figure=_figure, scaled=_scaled, bars=_bars)


def _figure(value: float | None, sign: str = "") -> str:
    if value is None:
        return "?"
    return f"{value:{sign}.{1 if abs(value) >= 10 else 2}f}"


def _scaled(value: float, largest: float) -> str:
    """A place from 4 to 96 for a value from 0 to the largest."""
    return f"{4 + 92 * value / (largest or 1):.1f}"


def _bars(histogram: Mapping[str, Any]) -> list[dict[str, str]]:
    """Rectangles of a histogram 360 wide and 100 high."""
    bins, width = histogram["bins"], histogram["width"]
    first = bins[0]["from"]
    columns = (bins[-1]["from"] - first) // width + 1
    highest = max(each["count"] for each in bins)
    bars = []
    for each in bins:
        height = 95 * each["count"] / highest
        bars.append(
            {
                "x": f"{360 * (each['from'] - first) / width / columns + 0.5:.2f}",
                "y": f"{100 - height:.2f}",
                "width": f"{360 / columns - 1:.2f}",
                "height": f"{height:.2f}",
            }
        )
    return bars
