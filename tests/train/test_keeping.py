"""When the state of a training is saved, and the clock of its curve."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from foldformer.errors import Stopped
from foldformer.train import curve
from foldformer.train.curve import Curve, read_curve
from foldformer.train.keeping import StateKeeper


@contextmanager
def own_signals() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_the_state_of_a_validation_is_there_when_a_signal_comes(tmp_path: Path) -> None:
    saved: list[int] = []
    trainer: Any = SimpleNamespace(global_step=0, max_steps=11)
    trainer.save_checkpoint = lambda path: saved.append(trainer.global_step)
    keeper = StateKeeper(tmp_path / "last.ckpt", {3, 5}, num_valid=2)
    module: Any = None
    with own_signals():
        keeper.on_train_start(trainer, module)
        for step in range(1, 12):
            trainer.global_step = step
            keeper.on_train_batch_end(trainer, module, None, None, step - 1)
        assert saved == [3, 5, 6, 9, 10, 11]
        keeper.on_validation_start(trainer, module)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped, match="stopped in a validation"):
            keeper.on_validation_batch_end(trainer, module, None, None, 0)
    assert saved[-1] == trainer.global_step


def test_the_time_of_a_validation_that_is_made_up_for_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(curve.time, "monotonic", lambda: now)
    rows = Curve(tmp_path)
    rows.load_state_dict({"heard": 3600.0, "spent": 100.0, "rows": []})
    trainer: Any = SimpleNamespace(callback_metrics={"validation/wer": 0.5}, global_step=10)
    module: Any = None
    rows.on_validation_start(trainer, module)
    now += 8
    rows.on_validation_end(trainer, module)
    rows.on_train_start(trainer, module)
    now += 4
    trainer.global_step = 20
    rows.on_validation_end(trainer, module)
    assert read_curve(tmp_path) == [
        {"step": 10.0, "hours": 1.0, "seconds": 108.0, "wer": 0.5},
        {"step": 20.0, "hours": 1.0, "seconds": 112.0, "wer": 0.5},
    ]
