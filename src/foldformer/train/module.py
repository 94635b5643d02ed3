"""The Lightning side of a model: losses, optimiser, validation."""

import random
from dataclasses import dataclass

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from foldformer.data.batches import Batch
from foldformer.data.tokens import Tokens
from foldformer.decode.choose import choose_search
from foldformer.decode.recognizer import decode_batch
from foldformer.model import Model
from foldformer.train.config import TrainConfig
from foldformer.train.distillation import Distillation, losses_of
from foldformer.train.group import ALONE, Group
from foldformer.train.schedule import follow, make_optimizer, settings_of


@dataclass(frozen=True)
class Validated:
    """One utterance of a validation pass: what was said, what was written."""

    reference: str
    hypothesis: str
    loss: float
    num_tokens: int


class TrainingModule(L.LightningModule):
    """Wraps a model for Lightning; the model itself knows nothing of it.

    Args:
        model: what is trained.
        tokens: what it writes.
        config: how it is trained.
        group: the processes that train it, each with batches of its own.
        sharded: whether each of them has a share of the weights alone.
        distillation: the loss in place of the model's own, where there is a teacher.
    """

    def __init__(
        self,
        model: Model,
        tokens: Tokens,
        config: TrainConfig,
        group: Group = ALONE,
        sharded: bool = False,
        distillation: Distillation | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.tokens = tokens
        self.config = config
        self.group = group
        self.sharded = sharded
        self.distillation = distillation
        self.search = choose_search(model)
        self.validated: dict[int, list[Validated]] = {}
        """What this process has validated: {number of the batch: its utterances}."""
        self.parts: list[tuple[Batch, Tensor]] = []
        """The batches of the present step so far, each with its losses (B,), in nats."""
        self.audio_seconds = 0.0
        self._settings: list[dict[str, object]] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of a batch in nats for each token of its step.

        It is multiplied by the number of batches of the step: Lightning divides it by that of each
        process, and the gradients of the processes are averaged.
        """
        own = self.config.training.accumulate
        index, batches = batch_idx % own, own * self.group.size
        if index == 0:
            self.parts = []
        self._seed(index)
        losses = losses_of(self.model, batch, self.draw_chunk(), self.distillation)
        self.parts.append((batch, losses.detach()))
        self.audio_seconds += batch.audio_seconds
        return losses.sum() * batches / max(1, batch.step_tokens)

    def _seed(self, index: int) -> None:
        """Let dropout and the like depend on seed, step, batch of the step and process alone.

        So a run that was stopped goes on with the same random numbers, whatever drew some before.
        """
        place = f"{self.config.seed} {self.global_step} {index} {self.group.rank}"
        torch.manual_seed(random.Random(place).getrandbits(63))

    def draw_chunk(self) -> int | None:
        """The chunk of this step: decided by seed and step alone, the same for every model."""
        training = self.config.training
        draw = random.Random(f"{self.config.seed} {self.global_step}")
        if not training.chunks or draw.random() < training.full_context:
            return None
        return draw.choice(training.chunk_frames)

    def on_validation_epoch_start(self) -> None:
        """Take all weights, those that the callbacks have put in place, to validate them."""
        if self.sharded:
            from foldformer.train.shards import gather

            gather(self.model)

    def end_validation(self) -> None:
        """Go back to shares of the weights; before the callbacks save or change them."""
        if self.sharded:
            from foldformer.train.shards import release

            release(self.model)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Losses and greedy transcripts with the full context."""
        losses = losses_of(self.model, batch, None)
        found = decode_batch(self.model, self.search, batch.features, batch.feature_lengths, None)
        rows = self.validated[batch.position[1]] = []
        for row, (text, hypotheses) in enumerate(zip(batch.texts, found, strict=True)):
            written = self.tokens.decode(hypotheses[0].tokens)
            num_tokens = int(batch.target_lengths[row])
            rows.append(Validated(text, written, float(losses[row]), num_tokens))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with its schedule, stepped every step."""
        optimizer, schedule = make_optimizer(self.model, self.config.training)
        self._settings = settings_of(optimizer)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_train_start(self) -> None:
        """Learn as the configuration says now: a state that was loaded says how it began."""
        optimizer, schedule = self.optimizers(use_pl_optimizer=False), self.lr_schedulers()
        assert isinstance(optimizer, AdamW)
        assert isinstance(schedule, LambdaLR)
        follow(optimizer, schedule, self._settings)

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Move the tensors of a batch."""
        return batch.to(device)
