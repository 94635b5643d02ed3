"""The share of a training step that is spent waiting for data, in the first epoch and later.

    OMP_NUM_THREADS=1 python benchmarks/loading.py recipes/demo/asr.yaml [--batches 60]
        [--together 2] [--record FILE] [--key value ...]

from the folder that the configuration's paths start in. A step is: wait for the batch, forward,
backward, AdamW; waiting is the time from asking for the batch to having it. Before the row "later"
all utterances have been heard once at every speed, as far as the cache holds them; without a cache
there is one row. With `--together 2`, two trainings run side by side, and the rows of both are
printed.

Batches are made while a step runs, by a thread (`num_workers: 0`) or by processes. What that takes
from the step itself, the interpreter's lock or a core, is no waiting, but it makes steps longer:
the row "at hand" are the steps of the last row once more, with the batches already in memory, and
the milliseconds of the rows differ by all that loading costs.

The second pair of figures is processor time of the training process with its threads, which other
processes disturb less. Worker processes are not in it: a core has to have time for them, or they
too make steps longer.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from _record import add_record, record
from foldformer.cli.train import parse_settings
from foldformer.data.batches import Batch, texts_of
from foldformer.data.training import TrainLoader
from foldformer.model import Model
from foldformer.train.config import TrainConfig, read_config
from foldformer.train.schedule import make_optimizer


class Training:
    """A model that takes steps."""

    def __init__(self, config: TrainConfig) -> None:
        self.model: Model = config.model.build().train()
        self.optimiser, _ = make_optimizer(self.model, config.training)
        self.chunks = (None, *config.training.chunk_frames)
        self.steps = 0

    def step(self, batch: Batch) -> None:
        chunk = self.chunks[self.steps % len(self.chunks)]
        self.steps += 1
        losses = self.model(
            batch.features, batch.feature_lengths, batch.targets, batch.target_lengths, chunk
        )
        self.optimiser.zero_grad()
        (losses.sum() / batch.target_lengths.sum()).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()


def measure(
    name: str, batches: Iterator[Batch], training: Training, number: int
) -> tuple[list[Batch], dict[str, float]]:
    """Print how long steps take, and how much of them is waiting; returns the batches, figures."""
    taken = [next(batches)]
    training.step(taken[0])
    waited, begin = np.zeros(2), _now()
    seconds = 0.0
    for _ in range(number):
        asked = _now()
        batch = next(batches)
        waited += _now() - asked
        seconds += batch.audio_seconds
        training.step(batch)
        taken.append(batch)
    total = _now() - begin
    parts = [f"{name:12} {seconds / number:5.1f} s of speech a step"]
    found = {"speech_s": seconds / number}
    for title, step, wait in zip(("", "processor: "), total / number, waited / number, strict=True):
        parts.append(f"{title}{step * 1000:.1f} ms, {wait * 1000:.1f} waiting: {wait / step:.1%}")
        kind = "processor" if title else "clock"
        found |= {f"{kind}_ms": 1000 * step, f"{kind}_waiting_percent": 100 * wait / step}
    print("; ".join(parts), flush=True)
    return taken, found


def _now() -> npt.NDArray[np.float64]:
    """Seconds on the clock, and of this process's processor time."""
    return np.array([time.perf_counter(), time.process_time()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--together", type=int, default=1, help="not with --record")
    add_record(parser)
    args, settings = parser.parse_known_args()
    if args.together > 1:
        if args.record:
            parser.error("--record: not with --together")
        command = [sys.executable, __file__, str(args.config), "--batches", str(args.batches)]
        runs = [subprocess.Popen([*command, *settings]) for _ in range(args.together)]
        sys.exit(max(run.wait() for run in runs))
    config = read_config(args.config, parse_settings(settings))
    torch.set_num_threads(config.training.threads or 1)
    tokens = config.tokens.build(texts_of(config.data.train, config.data.text))
    config = config.with_vocabulary(tokens.vocab_size)
    loader, training = TrainLoader(config.data, tokens, config.seed), Training(config)
    loader.position = (config.data.ascending_epochs, 0)
    batches = iter(loader)
    cached = config.data.cache_gb > 0
    found = {}
    first = "first epoch" if cached else "any epoch"
    taken, found["first"] = measure(first, batches, training, args.batches)
    if cached:
        speeds = config.data.augmentation.speed if config.data.augmentation is not None else (1.0,)
        later = config.data.ascending_epochs + 3 * len(speeds)
        for batch in batches:
            if batch.position[0] >= later:
                break
        taken, found["later"] = measure("later", batches, training, args.batches)
    del batches  # and with it the thread
    _, found["at_hand"] = measure("at hand", iter(taken), training, args.batches)
    name = f"{args.config.parent.name}-{args.config.stem}-{config.data.num_workers}-workers"
    record(args.record, "loading", name, found)


if __name__ == "__main__":
    main()
