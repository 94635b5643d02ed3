"""What happens around the steps: the progress bar, validation scores, the model folder."""

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from tqdm import tqdm

from foldformer.data.training import TrainLoader
from foldformer.decode.score import figures
from foldformer.train.group import ALONE, Group
from foldformer.train.module import TrainingModule, Validated

_log = logging.getLogger(__name__)

_BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"


class Progress(Callback):
    """One bar over all steps: time left, loss, hours of audio a second, scores.

    It fits 80 columns for a hundred thousand steps in hours.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._bar: tqdm[Any] | None = None
        self._began = (0.0, 0.0)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin where a resumed run stood."""
        self._bar = tqdm(
            total=self._steps,
            initial=trainer.global_step,
            bar_format=_BAR,
            dynamic_ncols=True,
            mininterval=0.5 if sys.stderr.isatty() else 15.0,
        )
        assert isinstance(pl_module, TrainingModule)
        self._began = (time.monotonic(), pl_module.audio_seconds)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Advance the bar and the logged speed."""
        assert self._bar is not None
        assert isinstance(pl_module, TrainingModule)
        seconds = max(time.monotonic() - self._began[0], 1e-9)
        # The batches of the other processes are drawn like those of this one.
        heard = (pl_module.audio_seconds - self._began[1]) * pl_module.group.size
        speed = heard / 3600 / seconds
        batch, losses = pl_module.parts[-1]
        loss = float(losses.sum() / batch.target_lengths.sum().clamp(min=1))
        shown = [f"loss {loss:.4g}", f"{speed:.3g} h/s"]
        for name, metric in trainer.callback_metrics.items():
            if name.startswith("validation/") and name != "validation/loss":
                shown.append(f"{name.split('/')[1]} {float(metric):.3g}")
        self._bar.set_postfix_str(", ".join(shown), refresh=False)
        self._bar.update(trainer.global_step - self._bar.n)
        if trainer.global_step % 10 == 0 and trainer.logger is not None:
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            values = {
                "training/loss": loss,
                "training/hours_per_second": speed,
                "training/lr": rate,
            }
            trainer.logger.log_metrics(values, step=trainer.global_step)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Leave the line to the error message."""
        if self._bar is not None:
            self._bar.close()


class DataPosition(Callback):
    """Lets a resumed run go on with the batch after the last one that it was trained on.

    The loader cannot keep that place itself (the protocol of stateful loaders): Lightning and the
    worker processes take batches from it in advance.
    """

    def __init__(self, loader: TrainLoader, group: Group = ALONE) -> None:
        self._loader = loader
        self._position = loader.position
        self._group = group

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Note the place of the batch."""
        self._position = batch.position

    def state_dict(self) -> dict[str, Any]:
        """The place in the data, and how many processes have come there."""
        return {"position": self._position, "processes": self._group.size}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Begin at that place."""
        self._position = self._loader.position = state_dict["position"]
        before, now = state_dict.get("processes", 1), self._group.size
        if before != now:
            _log.warning(
                "goes on with %d training process%s in place of %d: no utterance is lost or heard "
                "twice, but a step has %g times as many",
                *(now, "es" if now > 1 else "", before, now / before),
            )


class ModelFolder(Callback):
    """Scores each validation, and writes the model folder when it is the best so far.

    The state of training is saved before the validation of its step. A run that goes on from there
    makes up for that validation first, and so chooses among the same weights as one that was never
    stopped.

    It must stand before weight averaging in the list of callbacks: then the weights in place are
    the averaged ones.

    Args:
        save: writes the model folder.
        translation: whether BLEU decides, and not the word error rate.
        every: steps between validations.
    """

    def __init__(
        self, save: Callable[[dict[str, float]], None], translation: bool, every: int
    ) -> None:
        self._save = save
        self._translation = translation
        self._every = every
        self._due = False
        self.best: dict[str, float] | None = None
        """Scores of the weights in the model folder."""
        self.validated_at: int | None = None
        """The step of the last validation that was completed."""

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Note the best scores, and whether the weights are still to be validated."""
        step = trainer.global_step
        due = step % self._every == 0 or step == trainer.max_steps
        checkpoint["validation"] = {"best": self.best, "due": due and self.validated_at != step}

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on with the scores of then: those of later weights are found again."""
        self.best, self._due = (checkpoint["validation"][name] for name in ("best", "due"))

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Make up for a validation."""
        if self._due:
            validation = trainer.fit_loop.epoch_loop.val_loop
            validation.restarting = False
            trainer.validating = True
            validation.run()
            trainer.training = True
        self._due = False

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget the validation before."""
        assert isinstance(pl_module, TrainingModule)
        pl_module.validated = {}

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Score, log, and save if better: lower WER, or higher BLEU, and of equals lower loss."""
        assert isinstance(pl_module, TrainingModule)
        pl_module.end_validation()
        seen: dict[int, list[Validated]] = {}
        for share in pl_module.group.gathered(pl_module.validated):
            seen |= share
        rows = [row for number in sorted(seen) for row in seen[number]]
        metrics = pl_module.group.first(lambda: self._metrics(rows, trainer.global_step))
        for name, value in metrics.items():
            if name != "step":
                pl_module.log(f"validation/{name}", value)
        if self.best is None or self._rank(metrics) < self._rank(self.best):
            self._save(metrics)
            self.best = metrics
        self.validated_at = trainer.global_step

    def _metrics(self, seen: list[Validated], step: int) -> dict[str, float]:
        references, hypotheses = [v.reference for v in seen], [v.hypothesis for v in seen]
        loss = sum(v.loss for v in seen) / max(1, sum(v.num_tokens for v in seen))
        names = ["bleu"] if self._translation else ["wer", "cer"]
        return {"step": float(step), "loss": loss} | figures(names, references, hypotheses)

    def _rank(self, metrics: dict[str, float]) -> tuple[float, float]:
        return metrics["wer"] if "wer" in metrics else -metrics["bleu"], metrics["loss"]


class Averages(WeightAveraging):
    """An exponential moving average of the weights that first averages over all steps so far.

    The weight of the newest weights is max(1 - decay, 9 / (10 + n)) after n steps, so that the
    random start is soon forgotten.
    """

    def __init__(self, decay: float) -> None:
        def average(
            means: list[torch.Tensor], current: list[torch.Tensor], count: torch.Tensor | int
        ) -> None:
            newest = max(1 - decay, 9 / (10 + int(count)))
            if self._sharded:
                from foldformer.train.shards import own_share

                means, current = [[own_share(t) for t in ts] for ts in (means, current)]
            # As torch.optim.swa_utils does it.
            torch._foreach_lerp_(means, current, newest)

        super().__init__(multi_avg_fn=average)
        self._sharded = False

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Follow the weights to where they are now: on a device, or in shards."""
        assert isinstance(pl_module, TrainingModule)
        assert self._average_model is not None
        self._sharded = pl_module.sharded
        if self._sharded:
            from foldformer.train.shards import shard

            averaged = self._average_model.module
            assert isinstance(averaged, TrainingModule)
            shard(averaged.model, pl_module.device)
        else:
            self._average_model.to(pl_module.device)
