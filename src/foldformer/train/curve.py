"""The course of a training: a row for each validation, in `training/curve.json`."""

import json
import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from foldformer.data.batches import Batch
from foldformer.errors import InputError
from foldformer.files import complete_files
from foldformer.train.group import ALONE, Group

CURVE = "curve.json"
"""Rows of `step`, `hours` of audio heard, `seconds` of training, and the scores of a validation."""


class Curve(Callback):
    """Counts the audio that is heard and the time that it takes; notes them at each validation.

    What is counted belongs to the state: steps that are done again after a stop count once. This
    must stand behind what scores validations in the list of callbacks.

    Args:
        state: the folder to write into.
        group: the processes; all hear about as much.
    """

    def __init__(self, state: Path, group: Group = ALONE) -> None:
        self._folder = state
        self._group = group
        self._heard = 0.0
        self._spent = 0.0
        self._since: float | None = None
        self._rows: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        """What has been counted, and the rows."""
        return {"heard": self._heard, "spent": self._seconds(), "rows": self._rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._heard, self._spent = state_dict["heard"], state_dict["spent"]
        self._rows = list(state_dict["rows"])

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock, unless a validation that was made up for has."""
        if self._since is None:
            self._since = time.monotonic()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The same where a validation is made up for first."""
        self.on_train_start(trainer, pl_module)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Count the audio of a batch."""
        self._heard += batch.audio_seconds * self._group.size

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the row of this step, in place of one that there may be."""
        scores = {
            name.removeprefix("validation/"): round(float(value), 6)
            for name, value in trainer.callback_metrics.items()
            if name.startswith("validation/")
        }
        row = {"step": float(trainer.global_step), "hours": round(self._heard / 3600, 6)}
        row |= {"seconds": round(self._seconds(), 1)} | scores
        self._rows = [each for each in self._rows if each["step"] < row["step"]] + [row]
        if self._group.leads:
            with complete_files(self._folder) as beside:
                (beside / CURVE).write_text(json.dumps(self._rows, indent=1), encoding="utf-8")

    def _seconds(self) -> float:
        """Of training so far, over all starts."""
        now = 0.0 if self._since is None else time.monotonic() - self._since
        return self._spent + now


def read_curve(state: Path) -> list[dict[str, float]]:
    """The rows that a training has written; the last one is that of its last step.

    Raises:
        InputError: there are none.
    """
    path = state / CURVE
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return [{str(key): float(value) for key, value in row.items()} for row in rows]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: is missing or damaged ({error})") from None
