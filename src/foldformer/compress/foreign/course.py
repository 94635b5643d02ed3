"""The course of a learning: its validations, and the weights of the best one."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foldformer.compress.foreign.losses import Comparison, count_labels
from foldformer.files import complete_files

CURVE = "curve.json"
"""Rows as those of trainings: `step`, `hours` of audio heard, `seconds`, and scores: `loss`, which
decides, and what it is made of, `distillation` and `data`."""

_FEATURES = "input_features"
_FRAMES_AN_HOUR = 360000


class Course:
    """Counts audio and time, notes validations in `curve.json`, and keeps the best weights.

    Args:
        folder: to write into.
        learns: the tensors that learn, by name, of which the best are kept.
    """

    def __init__(self, folder: Path, learns: Mapping[str, Tensor]) -> None:
        self._folder = folder
        self._learns = learns
        self._rows: list[dict[str, float]] = []
        self._best: dict[str, Tensor] = {}
        self._hours = self._spent = 0.0
        self._since = time.monotonic()

    @property
    def best(self) -> dict[str, float] | None:
        """The row of the best validation; None before any."""
        return min(self._rows, key=lambda row: row["loss"], default=None)

    def state(self) -> dict[str, Any]:
        """What a later call goes on from."""
        return {
            "hours": self._hours,
            "spent": self._seconds(),
            "rows": self._rows,
            "best": self._best,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._hours, self._spent = state["hours"], state["spent"]
        self._rows, self._best = list(state["rows"]), dict(state["best"])

    def hear(self, batch: Mapping[str, Any]) -> None:
        """Count the audio of a batch, with the silence that fills its windows."""
        if isinstance(features := batch.get(_FEATURES), Tensor):
            self._hours += features.shape[0] * features.shape[-1] / _FRAMES_AN_HOUR

    def note(self, step: int, scores: Mapping[str, float]) -> dict[str, float]:
        """Write the row of a validation, which is returned; keep the weights if it is the best."""
        row = {"step": float(step), "hours": round(self._hours, 6)}
        row |= {"seconds": round(self._seconds(), 1)}
        row |= {name: round(value, 6) for name, value in scores.items()}
        best = self.best
        if best is None or row["loss"] < best["loss"]:
            self._best = {name: tensor.detach().clone() for name, tensor in self._learns.items()}
        self._rows.append(row)
        with complete_files(self._folder) as beside:
            (beside / CURVE).write_text(json.dumps(self._rows, indent=1), encoding="utf-8")
        return row

    @torch.no_grad()
    def take_best(self) -> None:
        """Put the weights of the best validation in place; those that are there without any."""
        for name, tensor in self._best.items():
            self._learns[name].copy_(tensor)

    def _seconds(self) -> float:
        """Of learning so far, over all starts."""
        return self._spent + time.monotonic() - self._since


@torch.no_grad()
def validate(
    comparison: Comparison, batches: Sequence[Mapping[str, Any]], data: float
) -> dict[str, float]:
    """{score: number}: `loss`, the sum of `distillation` and of `data` by its weight.

    Args:
        comparison: of a folded model with its original; is in force.
        batches: to measure on; each counts alike, and in `data` each token.
        data: weight of the model's own loss, with which there are `labels`; 0 for none.
    """
    found, counts = [], []
    for batch in batches:  # once: each may be made anew whenever it is asked for
        found.append(comparison.losses(batch))
        counts.append(count_labels(batch) if data else 0)
    distillation = sum(float(each.distillation) for each in found) / len(found)
    if not data:
        return {"loss": distillation, "distillation": distillation}
    own = [0.0 if each.data is None else float(each.data) for each in found]
    mean = sum(n * loss for n, loss in zip(counts, own, strict=True)) / max(1, sum(counts))
    return {"loss": distillation + data * mean, "distillation": distillation, "data": mean}
