"""The state of training: saved every so often, at the last step, and when a signal ends the run."""

import os
import signal
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from foldformer.errors import InputError, Stopped
from foldformer.train.group import ALONE, Group
from foldformer.train.state import how_to_go_on


class StateKeeper(Callback):
    """Saves the state into one file; after Ctrl-C or SIGTERM at the end of the step, then stops.

    In a validation a signal saves nothing: the state of its step is already there. A second signal
    does not wait for anything. This must stand last in the list of callbacks, so that the others
    have done their part of the step.

    Several processes stop together, whichever of them got the signal.

    Args:
        last: the file.
        every: at multiples of which steps it is saved; those of a validation must be among them.
        group: the processes.
        num_valid: batches of a validation that each of them has at least.
    """

    def __init__(
        self,
        last: Path,
        every: Collection[int],
        group: Group = ALONE,
        num_valid: int = 0,
    ) -> None:
        self._last = last
        self._every = every
        self._group = group
        self._num_valid = num_valid
        self._signal: int | None = None
        self._step = -1

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the signals over; Lightning gives them back when training ends, however it does."""
        self._step = trainer.global_step
        self._take_signals()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The same for a validation that stands alone."""
        self._take_signals()

    def _take_signals(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._note)

    def _note(self, number: int, frame: object) -> None:
        if self._signal is not None:
            raise Stopped(number, f"stopped at once; {how_to_go_on(self._last.parent.parent)}")
        self._signal = number
        if self._group.leads:
            # Not print: the signal may have come in the middle of one.
            os.write(2, b"\nstopping after this step; once more: stop at once\n")

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save, and stop, if the batch ended a step: half-summed gradients would be lost."""
        step = trainer.global_step
        stepped, self._step = step > self._step, step
        if not stepped:
            return
        number = self._agreed()
        due = step == trainer.max_steps or any(step % every == 0 for every in self._every)
        if number or due:
            self._save(trainer)
            number = number or self._agreed()
        if number:
            raise self._group.agreed(
                Stopped(number, f"stopped after step {step}; the same command goes on from there")
            )

    def _agreed(self) -> int:
        """The signal that a process got; 0 if none did."""
        return self._group.largest(self._signal or 0)

    def _save(self, trainer: L.Trainer) -> None:
        try:
            trainer.save_checkpoint(self._last)
        except InputError as error:
            raise InputError(f"{error}; {how_to_go_on(self._last.parent.parent)}") from None

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop in the middle of a validation."""
        # A process with one batch more than others has nobody to agree with after it.
        if batch_idx < self._num_valid and (number := self._agreed()):
            end = Stopped(
                number, f"stopped in a validation; {how_to_go_on(self._last.parent.parent)}"
            )
            raise self._group.agreed(end)
