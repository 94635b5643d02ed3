"""A run that is killed outright twenty times ends with the weights of one that never was."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet, Recording, SupervisionSegment

from foldformer.spec import from_dict
from foldformer.train.config import TrainConfig
from foldformer.train.run import train

KILLS = 20
STEPS, SAVE_EVERY, VALIDATE_EVERY = 180, 3, 12


@pytest.fixture
def manifests(tmp_path: Path) -> tuple[str, str]:
    """Tones of 0.4 to 1.2 s for training, and a few of them to validate on."""
    cuts = []
    for i in range(12):
        times = np.arange(6400 + 1000 * i) / 16000
        noise = np.random.default_rng(i).standard_normal(len(times))
        samples = 0.3 * np.sin(2 * np.pi * 200 * (1 + i % 4) * times) + 0.03 * noise
        soundfile.write(tmp_path / f"{i}.wav", samples, 16000)
        cut = Recording.from_file(tmp_path / f"{i}.wav").to_cut()
        text = " ".join("abcd"[i % 4] * (1 + i // 4))
        cut.supervisions = [SupervisionSegment(cut.id, cut.id, 0, cut.duration, text=text)]
        cuts.append(cut)
    CutSet(cuts).to_file(tmp_path / "train.jsonl")
    CutSet(cuts[:3]).to_file(tmp_path / "valid.jsonl")
    return str(tmp_path / "train.jsonl"), str(tmp_path / "valid.jsonl")


@pytest.fixture
def config(tmp_path: Path, manifests: tuple[str, str]) -> TrainConfig:
    """Everything that draws random numbers or keeps a state of its own."""
    encoder = {
        "d_model": 16,
        "num_layers": 2,
        "uses": 2,
        "mixer": {"kind": "attention", "num_heads": 2},
        "feed_forward": {"kind": "dense", "d_ff": 16, "dropout": 0.1},
        "linear": {"kind": "residual", "rank": 2},
        "depth": {"kind": "sequential", "dropout": 0.1, "stochastic_depth": 0.3},
        "subsampling": {"channels": 8},
        "left_context": 8,
    }
    return from_dict(
        TrainConfig,
        {
            "output": str(tmp_path / "model"),
            "data": {"train": manifests[0], "valid": manifests[1], "max_duration": 3.0}
            | {"max_utterance": 3.0, "augmentation": {"masks": {"max_time_mask": 20}}},
            "model": {"encoder": encoder, "heads": [{"kind": "ctc", "dropout": 0.1}]},
            "training": {
                "steps": STEPS,
                "save_every": SAVE_EVERY,
                "validate_every": VALIDATE_EVERY,
                "learning_rate": 3e-3,
                "warmup": 20,
                "accumulate": 2,
                "ema": 0.95,
                "quantization_noise": {"bits": 4},
                "chunks": ["160ms", "320ms", "640ms"],
                "threads": 1,
            },
        },
    )


@pytest.fixture
def start(config: TrainConfig) -> Iterator[Callable[[], BaseProcess]]:
    """Starts the training in a new process, forked off one that has imported all it needs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["foldformer.train.run", "torch.utils.tensorboard"])
    processes = []

    def begin() -> BaseProcess:
        process = context.Process(target=train, args=(config,))
        process.start()
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()


class Watch:
    """What a run writes, seen from outside.

    A new `last.ckpt` has another number (inode), or at least another time.
    """

    def __init__(self, process: BaseProcess, folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._last = folder / "training" / "last.ckpt"
        self._seen = self._mark()
        self.saves = 0
        """Checkpoints that have been written since."""

    def _mark(self) -> tuple[int, int]:
        try:
            found = self._last.stat()
        except FileNotFoundError:
            return (0, 0)
        return found.st_ino, found.st_mtime_ns

    def until(self, reached: Callable[[], bool]) -> None:
        """Look again and again, until it is reached or the run has ended."""
        while not reached() and self._process.is_alive():
            mark = self._mark()
            self.saves += mark != self._seen
            self._seen = mark
            time.sleep(0.0002)

    def saved(self, count: int) -> bool:
        return self.saves >= count

    def caught(self, place: str, delay: float) -> bool:
        """Whether the run now stands still in the middle of writing a checkpoint, or a model.

        A busy machine may let this process look too late: then the run goes on, until it is
        caught another time or has saved often enough without.
        """
        if not self._writing(place):
            return self.saves >= 6
        time.sleep(delay)
        self._signal(signal.SIGSTOP)
        time.sleep(0.001)  # it is told when it next enters the system
        if self._writing(place):
            return True
        self._signal(signal.SIGCONT)
        return False

    def _writing(self, place: str) -> bool:
        return any((self._folder / place).glob(".partial-*"))

    def _signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)


def kill(process: BaseProcess, folder: Path, draw: random.Random, duration: float) -> str:
    """Kill the run at a moment drawn at random; returns what it was doing.

    Args:
        process: the run, just started.
        folder: its output.
        draw: source of the moment.
        duration: seconds between two checkpoints.
    """
    watch = Watch(process, folder)
    aim = draw.choice(["anywhere", "anywhere", "a checkpoint", "a model"])
    if aim == "anywhere":
        count = draw.randrange(5)
        watch.until(lambda: watch.saved(count))
        time.sleep(draw.uniform(0, duration if count else 10 * duration))
    else:
        place = "training" if aim == "a checkpoint" else "."
        delay = draw.uniform(0, 0.002)
        watch.until(lambda: watch.caught(place, delay))
    process.kill()
    process.join()
    assert process.exitcode == -9, "it should not have come to its end yet"
    for place, doing in ((".", "writing a model"), ("training", "writing a checkpoint")):
        if any((folder / place).glob(".partial-*")):
            return doing
    return "training" if watch.saves else "before the first checkpoint"


def state_of(folder: Path) -> dict[str, Any]:
    """What a run goes on from, but for the time that it took."""
    state: dict[str, Any] = torch.load(folder / "training" / "last.ckpt", weights_only=True)
    curve = state["callbacks"]["Curve"]
    for times in ({"seconds": curve.pop("spent")}, *curve["rows"]):
        assert times.pop("seconds") >= 0
    return state


def assert_same(a: object, b: object, where: str = "") -> None:
    assert type(a) is type(b), where
    if isinstance(a, dict) and isinstance(b, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}.{i}")
    elif isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        assert torch.equal(a, b), where
    else:
        assert a == b, where


def test_twenty_kills(tmp_path: Path, start: Callable[[], BaseProcess]) -> None:
    folder, whole = tmp_path / "model", tmp_path / "whole"
    undisturbed = start()
    watch = Watch(undisturbed, folder)
    watch.until(lambda: watch.saved(1))
    began = time.monotonic()
    undisturbed.join()
    duration = (time.monotonic() - began) / (STEPS / SAVE_EVERY)
    assert undisturbed.exitcode == 0
    folder.rename(whole)
    draw = random.Random(20)
    done, steps = [], []
    for _ in range(KILLS):
        done.append(kill(start(), folder, draw, duration))
        last = folder / "training" / "last.ckpt"
        steps.append(state_of(folder)["global_step"] if last.exists() else 0)
    final = start()
    final.join()
    assert final.exitcode == 0

    # The kills came everywhere, and the run went on between them.
    assert steps == sorted(steps)
    assert len(set(steps) - {0, STEPS}) >= 6, steps
    assert {"training", "writing a checkpoint", "before the first checkpoint"} <= set(done), done

    for name in ("model.safetensors", "config.yaml", "tokens.txt", "README.md"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert (folder / "training" / "best.json").read_text() == (
        whole / "training" / "best.json"
    ).read_text()
    assert_same(state_of(folder), state_of(whole))
    assert not list(folder.rglob(".partial-*"))
