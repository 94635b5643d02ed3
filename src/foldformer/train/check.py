"""Everything short of training: does the configuration fit together, the data, the machine?"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from foldformer.data.augmentation import sounds_of
from foldformer.data.batches import manifests_of, texts_of
from foldformer.data.check import (
    CheckedManifest,
    Evaluation,
    check_audio,
    check_manifest,
    texts_in,
)
from foldformer.data.cuts import text_of
from foldformer.data.features import FRAME_SHIFT, NUM_MELS
from foldformer.data.tokens import Tokens
from foldformer.data.training import DataSpec, TrainLoader, selection_of
from foldformer.errors import FoldformerError
from foldformer.train.changes import check_same
from foldformer.train.config import TrainConfig
from foldformer.train.distillation import distillation_of
from foldformer.train.memory import TIMES_WEIGHTS, Memory, Shape, Split, memory_of, weight_bytes
from foldformer.train.run import check_strategy, initialise
from foldformer.train.state import LAST, STATE, check_checkpoint, check_writable

Progress = Callable[[float, float], object]
"""Is told the seconds of audio decoded since the last call, and those of all."""


@dataclass
class Checked:
    """What a check found."""

    errors: list[str] = field(default_factory=list)
    """Beside those of the manifests."""
    tokens: Tokens | None = None
    train: list[CheckedManifest] = field(default_factory=list)
    valid: list[CheckedManifest] = field(default_factory=list)
    memory: Memory | None = None
    processes: int = 1
    """That train together, on all machines."""
    sharing: int = 1
    """Processes that share what is available: those of this machine, where it has no GPUs."""
    available: int = 0
    """Bytes of the device that training would use."""
    batches: int = 0
    """In an epoch."""

    @property
    def all_errors(self) -> list[str]:
        """Whatever keeps a training from beginning, or would stop it; empty if nothing does."""
        return self.errors + [e for each in self.train + self.valid for e in each.errors]


def check(
    config: TrainConfig,
    progress: Progress,
    *,
    accept_changes: bool = False,
    devices: int = 1,
    nodes: int = 1,
    strategy: str = "ddp",
) -> Checked:
    """Read all that the training would read, to the last sample; nothing is written.

    Args:
        config: the training.
        progress: is told how far the audio has been decoded.
        accept_changes: as for `train`.
        devices: of each machine.
        nodes: number of machines.
        strategy: as for `train`.
    """
    sharing = 1 if torch.cuda.is_available() else devices
    found = Checked(processes=devices * nodes, sharing=sharing)
    split = Split(found.processes, strategy == "fsdp" and found.processes > 1)
    state = Path(config.output) / STATE
    going_on = (state / LAST).exists()
    with _noted(found):
        check_strategy(config, strategy)
    with _noted(found):
        check_writable(Path(config.output))
    with _noted(found):
        found.tokens = _tokens(config, state if going_on else None)
        config = config.with_vocabulary(found.tokens.vocab_size)
    if going_on and found.tokens is not None:
        with _noted(found):
            check_same(state, config, accept_changes)
            check_checkpoint(state)
    with _noted(found):
        sounds_of(config.data.augmentation)
    if found.tokens is not None:
        _check_data(found, config.data, found.tokens, progress)
        if not found.all_errors:
            with _noted(found):
                _check_model(found, config, found.tokens, split)
    return found


@contextmanager
def _noted(found: Checked) -> Iterator[None]:
    """Note an error instead of raising it, so that the check goes on with the next part."""
    try:
        yield
    except FoldformerError as error:
        found.errors.append(str(error))


def _tokens(config: TrainConfig, state: Path | None) -> Tokens:
    if state is not None:
        return Tokens.load(state)
    texts = list(texts_in(config.data.train, config.data.text))
    # Without any, the reason is in the first that cannot be read.
    return config.tokens.build(texts or texts_of(config.data.train, config.data.text))


def _check_data(found: Checked, spec: DataSpec, tokens: Tokens, progress: Progress) -> None:
    choices = (
        (found.train, spec.train, selection_of(spec, tokens)),
        (found.valid, spec.valid, Evaluation(tokens, spec.text, spec.max_duration)),
    )
    for checked, patterns, choice in choices:
        with _noted(found):
            for path in manifests_of(patterns):
                checked.append(check_manifest(path, choice))
    total = sum(each.survey.seconds for each in found.train + found.valid)
    for each in found.train + found.valid:
        if each.survey.num_used:
            check_audio(each, lambda seconds: progress(seconds, total))


def _check_model(found: Checked, config: TrainConfig, tokens: Tokens, split: Split) -> None:
    found.available = _available()
    shares = split.devices if split.sharded else 1
    least = TIMES_WEIGHTS * weight_bytes(config.model) // shares * found.sharing
    if least > found.available > 0:  # not even built: the system might end the process for it
        found.errors.append(
            f"weights, gradients and optimiser take {least / 2**30:.1f} GiB of memory, and there "
            f"are {found.available / 2**30:.1f}; take a smaller model"
        )
        return
    with torch.random.fork_rng(devices=[]):
        model = config.model.build()
    if config.training.initialise_from:
        initialise(model, Path(config.training.initialise_from))
    teaching = distillation_of(config, model, tokens)
    shapes = list(_shapes(config, tokens, found.train))
    found.batches = len(shapes)
    cache = _cache(config.data, found.train)
    found.memory = memory_of(model, config.training, shapes, cache, split, teaching)
    needed = found.sharing * found.memory.total
    if needed > found.available > 0:
        where = f" for {found.sharing} processes" if found.sharing > 1 else ""
        found.errors.append(
            f"the training takes about {needed / 2**30:.1f} GiB of memory{where}, and there "
            f"are {found.available / 2**30:.1f}; lower data.max_duration or data.cache_gb"
        )


def _shapes(
    config: TrainConfig, tokens: Tokens, checked: Sequence[CheckedManifest]
) -> Iterator[Shape]:
    """The sizes of the batches of an epoch, each as slow as its speed may be."""
    spec = config.data
    slowest = min(spec.augmentation.speed) if spec.augmentation is not None else 1.0
    loader = TrainLoader(spec, tokens, config.seed, surveys=[each.survey for each in checked])
    for place in loader.plan(spec.ascending_epochs):
        seconds = max(cut.duration for cut in place.cuts) / slowest
        texts = (tokens.encode(text_of(cut, spec.text)) for cut in place.cuts)
        yield Shape(len(place.cuts), math.ceil(seconds / FRAME_SHIFT), max(map(len, texts)))


def _cache(spec: DataSpec, checked: Sequence[CheckedManifest]) -> int:
    speeds = set(spec.augmentation.speed) if spec.augmentation is not None else {1.0}
    seconds = sum(each.survey.seconds / speed for each in checked for speed in speeds)
    return min(round(seconds / FRAME_SHIFT * NUM_MELS * 4), round(spec.cache_gb * 2**30))


def _available() -> int:
    """Bytes of the device that Lightning would choose; 0 where that cannot be known."""
    if torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(0).total_memory)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return 0
