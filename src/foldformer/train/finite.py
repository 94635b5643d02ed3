"""Steps whose loss or gradient is not finite: named, written aside, left out or the end."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from foldformer.checkpoint import complete_files, write_tensors
from foldformer.data.batches import Batch
from foldformer.errors import InputError
from foldformer.train.group import ALONE, Group
from foldformer.train.module import TrainingModule

_log = logging.getLogger(__name__)


class FiniteSteps(Callback):
    """Clips the gradient, and keeps a step that is not finite away from the weights.

    The batches of such a step are written aside. The first `allowed` of these steps leave the
    weights as they are, and count as steps: the schedule and the data go on. One more ends the
    training. An overflow of the gradient alone, in 16 bits with a scaled loss, is none of them:
    the scaler lowers its factor.

    Both are looked at together, once a step, since the norm is needed for clipping anyway. Several
    processes leave a step out together, and each writes its own batches aside.

    Args:
        folder: where batches are written aside.
        clip: largest norm of the gradient; 0 does not clip.
        allowed: how many steps may be left out, over the whole run.
        group: the processes.
    """

    def __init__(self, folder: Path, clip: float, allowed: int, group: Group = ALONE) -> None:
        self._folder = folder
        self._clip = clip
        self._allowed = allowed
        self._group = group
        self.skipped = 0
        """Steps left out since the beginning of the run."""

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        """Clip, or refuse the step.

        Raises:
            InputError: there are more steps that are not finite than may be left out.
        """
        assert isinstance(pl_module, TrainingModule)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = clip_grad_norm_(parameters, self._clip or math.inf)
        losses = [losses for _, losses in pl_module.parts]
        finite = not self._group.largest(int(not torch.cat(losses).isfinite().all()))
        if not finite or not (norm.isfinite() or _overflows(trainer)):
            what = "gradient" if finite else "loss"
            self._refuse(pl_module.parts, what, trainer.global_step + 1)
            for parameter in parameters:
                parameter.grad = None

    def _refuse(self, parts: list[tuple[Batch, Tensor]], what: str, step: int) -> None:
        size, rank = self._group.size, self._group.rank
        bad = [
            (index * size + rank, part)
            for index, part in enumerate(parts)
            if what == "gradient" or not part[1].isfinite().all()
        ]
        written = [str(self._write(*part, step, number)) for number, part in bad]
        ids = _ids([part for _, part in bad])
        shares = self._group.gathered((ids, written))
        self.skipped += 1
        names = _named([name for ids, _ in shares for name in ids])
        files = ", ".join(file for _, written in shares for file in written)
        found = f"step {step}: the {what} is not finite; {names}; written to {files}"
        if self.skipped <= self._allowed:
            _log.warning("%s; left out: %d of %d", found, self.skipped, self._allowed)
            return
        more = f"; {self._allowed} were left out before" if self._allowed else ""
        raise self._group.agreed(
            InputError(
                f"{found}{more}; look at these utterances, choose a lower learning_rate, a longer "
                "warmup or precision 32, or leave out up to N such steps with --skip-bad-batches N"
            )
        )

    def _write(self, batch: Batch, losses: Tensor, step: int, index: int) -> Path:
        name = f"bad-batch-{step}" + (f"-{index}" if index else "") + ".safetensors"
        tensors = {
            "features": batch.features,
            "feature_lengths": batch.feature_lengths,
            "targets": batch.targets,
            "target_lengths": batch.target_lengths,
            "losses": losses,
        }
        about = {"step": str(step), "ids": json.dumps(batch.ids), "texts": json.dumps(batch.texts)}
        with complete_files(self._folder) as beside:
            on_cpu = {key: tensor.cpu().contiguous() for key, tensor in tensors.items()}
            write_tensors(beside / name, on_cpu, about)
        return self._folder / name

    def state_dict(self) -> dict[str, Any]:
        """How many steps were left out."""
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.skipped = state_dict["skipped"]


def _overflows(trainer: L.Trainer) -> bool:
    """Whether a gradient that is not finite may come from the factor of a scaled loss alone."""
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    return scaler is not None and scaler.get_scale() > 1


def _ids(parts: list[tuple[Batch, Tensor]]) -> list[str]:
    """The utterances whose loss is not finite, or all if there are none."""
    return [
        name
        for batch, losses in parts
        for name, finite in zip(batch.ids, losses.isfinite().tolist(), strict=True)
        if not finite
    ] or [name for batch, _ in parts for name in batch.ids]


def _named(ids: list[str]) -> str:
    shown = ", ".join(ids[:5]) + (f", ... ({len(ids)} in all)" if len(ids) > 5 else "")
    return f"utterance{'s' if len(ids) > 1 else ''} {shown}"
