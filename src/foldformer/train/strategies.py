"""How Lightning trains on several devices: a copy of the model on each, or shards of one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.pytorch.strategies import DDPStrategy

from foldformer.model import Model
from foldformer.train.config import TrainingSpec
from foldformer.train.module import TrainingModule
from foldformer.train.place import Place


class Placed(ClusterEnvironment):
    """Tells Lightning where its process stands."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

    @property
    def creates_processes_externally(self) -> bool:
        """Lightning starts none."""
        return True

    @property
    def main_address(self) -> str:
        """Where the processes have met."""
        return self._place.address

    @property
    def main_port(self) -> int:
        """There."""
        return self._place.port

    @staticmethod
    def detect() -> bool:
        """It is chosen, not found."""
        return False

    def world_size(self) -> int:
        """Number of processes."""
        return self._place.size

    def set_world_size(self, size: int) -> None:
        """It is fixed."""

    def global_rank(self) -> int:
        """Of all processes."""
        return self._place.rank

    def set_global_rank(self, rank: int) -> None:
        """It is fixed."""

    def local_rank(self) -> int:
        """On this machine."""
        return self._place.local_rank

    def node_rank(self) -> int:
        """Which machine."""
        return self._place.node


def strategy_of(name: str, model: Model, spec: TrainingSpec) -> DDPStrategy:
    """The strategy called `ddp` or `fsdp`."""
    if name == "fsdp":
        return Sharded()
    teaching = spec.distillation
    return DDPStrategy(
        broadcast_buffers=False,  # the statistics of features, which never change
        # A head without a weight has no gradient, nor has any that a distillation leaves out.
        find_unused_parameters=any(not head.weight for head in model.spec.heads)
        or (teaching is not None and not teaching.output + teaching.data),
    )


class Sharded(DDPStrategy):
    """Keeps a share of weights, averages and optimiser state in each process; see `shards`.

    A checkpoint is that of a single process: it is put together where it is saved, and split where
    it is loaded.
    """

    def __init__(self) -> None:
        super().__init__()
        self._split = False

    def configure_ddp(self) -> None:
        """Split the model, in place of wrapping it."""
        from foldformer.train.shards import shard

        shard(self._trained(), self.root_device)
        self._split = True

    def setup(self, trainer: L.Trainer) -> None:
        """As for training also where only a validation follows: it goes on with the shards."""
        if self._split:
            assert self.accelerator is not None
            self.accelerator.setup(trainer)
            self.setup_precision_plugin()
        else:
            super().setup(trainer)

    @contextmanager
    def block_backward_sync(self) -> Iterator[None]:
        """Let gradients add up where they are."""
        from foldformer.train.shards import sync_gradients

        sync_gradients(self._trained(), False)
        try:
            yield
        finally:
            sync_gradients(self._trained(), True)

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None
    ) -> None:
        """Put it together, all processes at once, and save it in the first one."""
        from foldformer.train.shards import whole

        super().save_checkpoint(whole(checkpoint), filepath, storage_options)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Split the states like the parameters that they belong to."""
        from foldformer.train.shards import share_like

        for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            state = {
                index: {key: share_like(t, parameters[index]) for key, t in states.items()}
                for index, states in saved["state"].items()
            }
            optimizer.load_state_dict({**saved, "state": state})

    def teardown(self) -> None:
        """Leave the shards where they are."""
        assert self.cluster_environment is not None
        assert self.accelerator is not None
        self.cluster_environment.teardown()
        self.precision_plugin.teardown()
        self.accelerator.teardown()
        self.checkpoint_io.teardown()

    def _trained(self) -> Model:
        assert isinstance(self.lightning_module, TrainingModule)
        return self.lightning_module.model
