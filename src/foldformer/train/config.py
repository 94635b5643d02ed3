"""What a training YAML says."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from foldformer.data.durations import encoder_frames
from foldformer.data.features import NUM_MELS
from foldformer.data.tokens import TokensSpec
from foldformer.data.training import DataSpec
from foldformer.errors import SpecError
from foldformer.model import ModelSpec
from foldformer.spec import Spec, from_dict, override, read_yaml

_MOST_THREADS = 1024  # of PyTorch; more of them are a slip, and cannot be started


@dataclass(frozen=True, kw_only=True)
class QuantizationNoiseSpec(Spec):
    """Rounds some of the layers' full-rank matrices in each step, as an export rounds them all."""

    bits: Literal[4, 8] = 8
    """Of the export that the model is trained for: 8 rounds columns, 4 blocks of 64 numbers."""
    probability: float = 0.5
    """Share of the columns or blocks that are rounded in a step; 1 rounds everything always."""

    def __post_init__(self) -> None:
        if not 0 < self.probability <= 1:
            raise SpecError(
                f"probability: expected more than 0 and at most 1, got {self.probability}"
            )


@dataclass(frozen=True, kw_only=True)
class DistillationSpec(Spec):
    """Learns what a trained model computes, its teacher, beside what the data say."""

    teacher: str
    """A model folder with the same tokens, which hears the same features."""
    hidden: float = 4.0
    """Weight of the relative squared error of the frames after each use of a layer; a teacher of
    another depth is compared at evenly spaced places."""
    output: float = 1.0
    """Weight of the divergence from the teacher's probabilities of what comes next."""
    data: float = 1.0
    """Weight of the ordinary loss."""
    temperature: float = 1.0
    """More than 1 shows more of what the teacher takes for less likely."""

    def __post_init__(self) -> None:
        for name in ("hidden", "output", "data"):
            if not getattr(self, name) >= 0:
                raise SpecError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if not self.hidden + self.output + self.data > 0:
            raise SpecError("hidden, output and data: all are 0, so nothing would be learnt")
        if not self.temperature > 0:
            raise SpecError(f"temperature: expected more than 0, got {self.temperature}")


@dataclass(frozen=True, kw_only=True)
class TrainingSpec(Spec):
    """How the weights are found."""

    steps: int = 10000
    """Optimiser steps."""
    learning_rate: float = 1e-3
    """Peak of the schedule."""
    shared_rate: float | None = 1.0
    """What a full-rank matrix that is used K times learns at, in parts of the learning rate; with
    null, 1 / sqrt(K)."""
    residual_rate: float | None = None
    """What low-rank residuals learn at, in parts of the learning rate; without it, sqrt(2 / R) for
    those of rank R, and 1 at most."""
    warmup: int = 500
    """Steps in which the learning rate grows linearly, from peak / warmup to the peak."""
    decay: Literal["cosine", "linear", "none"] = "cosine"
    """How it falls from the peak; it would be 0 one step after the last."""
    weight_decay: float = 0.01
    """AdamW's decay of the shared and dense matrices; biases, norms and residuals have none."""
    betas: tuple[float, ...] = (0.9, 0.98)
    """AdamW's averaging of gradients and their squares."""
    clip: float = 1.0
    """Largest norm of the gradient; 0 does not clip."""
    accumulate: int = 1
    """Batches whose gradients are summed before a step."""
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    """Number format of the products."""
    ema: float = 0.0
    """Decay of an exponential moving average of the weights, which is then validated and saved;
    0 keeps none. 0.999 averages over the last thousand steps or so."""
    chunks: tuple[str, ...] = field(default_factory=tuple)
    """Chunk sizes to stream with, like 320ms; each batch draws one of them, or the full context."""
    full_context: float = 0.5
    """Probability of the full context where there are chunks."""
    initialise_from: str | None = None
    """A model folder whose encoder, of the same specs, is the start; so are those of its heads
    whose weights have the same shapes, and the other heads start anew."""
    quantization_noise: QuantizationNoiseSpec | None = None
    """Rounding of some weights in each step, for a model that is to be exported in int8 or int4."""
    distillation: DistillationSpec | None = None
    """A trained model to learn from."""
    activation_checkpointing: bool = False
    """Whether each use of a layer is computed again in the backward pass: less memory, more time.
    The gradients stay the same."""
    validate_every: int = 500
    """Steps between validations."""
    save_every: int | None = None
    """Steps between more saves of the state that a stopped run goes on from, besides those before
    each validation and at the last step."""
    threads: int = 0
    """CPU threads of PyTorch; 0 leaves its default."""

    def __post_init__(self) -> None:
        for name in ("steps", "accumulate", "validate_every"):
            if getattr(self, name) < 1:
                raise SpecError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        if self.save_every is not None and self.save_every < 1:
            raise SpecError(f"save_every: expected 1 or more, got {self.save_every}")
        for name in ("learning_rate", "warmup", "weight_decay", "clip", "threads"):
            if not getattr(self, name) >= 0:
                raise SpecError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if self.threads > _MOST_THREADS:
            raise SpecError(f"threads: expected {_MOST_THREADS} at most, got {self.threads}")
        for name in ("shared_rate", "residual_rate"):
            rate = getattr(self, name)
            if rate is not None and not rate > 0:
                raise SpecError(f"{name}: expected more than 0, got {rate}")
        for name in ("ema", "full_context"):
            if not 0 <= getattr(self, name) <= 1:
                raise SpecError(f"{name}: expected 0 to 1, got {getattr(self, name)}")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise SpecError(f"betas: expected two numbers from 0 to 1, got {list(self.betas)}")
        if self.ema == 1:
            raise SpecError("ema: 1 would never take up a weight; choose less, like 0.999")
        for text in self.chunks:
            try:
                encoder_frames(text)
            except SpecError as error:
                raise SpecError(f"chunks: {error}") from None

    @property
    def chunk_frames(self) -> tuple[int, ...]:
        """The chunk sizes in encoder frames."""
        return tuple(encoder_frames(text) for text in self.chunks)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Spec):
    """A training run: everything that decides its outcome."""

    output: str
    """The model folder to make; training state and logs stand in its subfolder `training`."""
    seed: int = 0
    """Of the weights, the order of the data, augmentation and dropout."""
    data: DataSpec
    """What is read."""
    tokens: TokensSpec = field(default_factory=TokensSpec)
    """What is written."""
    model: ModelSpec = field(default_factory=ModelSpec)
    """What is trained."""
    training: TrainingSpec = field(default_factory=TrainingSpec)
    """How it is trained."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise SpecError(f"seed: expected 0 to {2**32 - 1}, got {self.seed}")
        bands = self.model.encoder.subsampling.num_mels
        if bands != NUM_MELS:
            raise SpecError(
                f"model.encoder.subsampling.num_mels: expected {NUM_MELS}, the bands that "
                f"recordings are turned into here and in the runtimes, got {bands}"
            )

    def with_vocabulary(self, vocab_size: int) -> "TrainConfig":
        """The same with the number of tokens filled in.

        Raises:
            SpecError: another number was asked for.
        """
        asked = self.model.vocab_size
        if asked not in (None, vocab_size):
            raise SpecError(
                f"model.vocab_size: {asked} asked for, but there are {vocab_size} tokens"
            )
        return replace(self, model=replace(self.model, vocab_size=vocab_size))


def read_config(path: Path, settings: list[tuple[str, str]]) -> TrainConfig:
    """The configuration in a YAML file, with settings from the command line over it.

    Raises:
        InputError: the file cannot be read.
        SpecError: what it says is wrong; the message names file and key.
    """
    data = override(read_yaml(path), settings)
    try:
        config = from_dict(TrainConfig, data)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None
    try:  # whatever does not fit together is found now, not after the data has been read
        replace(config.model, vocab_size=config.model.vocab_size or 2).check()
    except SpecError as error:
        raise SpecError(f"{path}: model: {error}") from None
    return config
