from pathlib import Path

import lightning as L
import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet, Recording, SupervisionSegment
from lightning.pytorch.callbacks import ModelCheckpoint

from foldformer.data.batches import Batch
from foldformer.data.tokens import TokensSpec
from foldformer.data.training import DataSpec, TrainLoader
from foldformer.train.callbacks import DataPosition


class Listener(L.LightningModule):
    """Learns nothing, and notes what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.heard: list[tuple[tuple[int, int], list[str], float]] = []

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        self.heard.append((batch.position, batch.ids, float(batch.features.sum())))
        return self.weight * 1.0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        return batch


@pytest.fixture
def spec(tmp_path: Path) -> DataSpec:
    cuts = []
    for i in range(9):
        samples = np.random.default_rng(i).standard_normal(8000 + 800 * i) / 10
        soundfile.write(tmp_path / f"{i}.wav", samples, 16000)
        cut = Recording.from_file(tmp_path / f"{i}.wav").to_cut()
        cut.supervisions = [SupervisionSegment(cut.id, cut.id, 0, cut.duration, text="ab")]
        cuts.append(cut)
    manifest = tmp_path / "cuts.jsonl"
    CutSet(cuts).to_file(manifest)
    return DataSpec(train=str(manifest), valid=str(manifest), max_duration=2.0, max_utterance=2.0)


def hear(spec: DataSpec, folder: Path, steps: int, accumulate: int) -> Listener:
    """Train for `steps` batches in all, going on where an earlier call stopped."""
    loader = TrainLoader(spec, TokensSpec().build(["ab"]), seed=4)
    listener, last = Listener(), folder / "last.ckpt"
    keep = ModelCheckpoint(folder, "last", every_n_train_steps=1, enable_version_counter=False)
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=steps // accumulate,
        max_epochs=-1,
        accumulate_grad_batches=accumulate,
        callbacks=[DataPosition(loader), keep],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(listener, loader, ckpt_path=str(last) if last.exists() else None)
    return listener


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:Checkpoint directory", "ignore:.*LeafSpec:FutureWarning")
def test_a_stopped_run_hears_the_same_as_one_that_never_stopped(
    spec: DataSpec, tmp_path: Path, accumulate: int
) -> None:
    whole = hear(spec, tmp_path / "whole", 16, accumulate).heard
    assert whole[-1][0][0] >= 2  # epochs
    parts = []
    for stop in (2, 6, 10, 16):
        parts += hear(spec, tmp_path / "parts", stop, accumulate).heard
        assert parts == whole[:stop]
