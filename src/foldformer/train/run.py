"""A training run, from its configuration to the model folder."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins import MixedPrecision
from torch.utils.data import DataLoader

from foldformer.checkpoint import ModelConfig, complete_files, load_model, save_model
from foldformer.data.batches import Batch, eval_loader, manifests_of, texts_of
from foldformer.data.statistics import feature_statistics, languages_in
from foldformer.data.tokens import Tokens
from foldformer.data.training import TrainLoader, worker_error
from foldformer.errors import InputError
from foldformer.model import Model
from foldformer.spec import to_dict
from foldformer.train.callbacks import DataPosition, ModelFolder, Progress, averaging
from foldformer.train.card import model_card
from foldformer.train.changes import check_same, write_origin
from foldformer.train.config import TrainConfig, TrainingSpec
from foldformer.train.finite import FiniteSteps
from foldformer.train.keeping import StateKeeper
from foldformer.train.module import TrainingModule
from foldformer.train.quantization_noise import QuantizationNoise
from foldformer.train.recompute import recompute
from foldformer.train.state import (
    LAST,
    STATE,
    WholeCheckpoints,
    check_checkpoint,
    check_writable,
    sole_run,
    write_best,
)
from foldformer.train.steps import Steps

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """What a run ended with."""

    folder: Path
    metrics: dict[str, float]


def train(
    config: TrainConfig, *, accept_changes: bool = False, skip_bad_batches: int = 0
) -> Trained:
    """Train what the configuration says, going on where an earlier run of it was stopped.

    Args:
        config: what to train, and on what.
        accept_changes: go on with an earlier run although its configuration or what its manifests
            say has changed since, as far as that is possible.
        skip_bad_batches: steps whose loss or gradient is not finite that may be left out.

    Returns:
        The model folder, which holds the weights of the best validation, and its scores.

    Raises:
        SpecError: the configuration does not fit together or does not fit the data.
        InputError: data cannot be read, or the folder cannot be written.
    """
    folder = Path(config.output)
    state = folder / STATE
    check_writable(folder)
    going_on = (state / LAST).exists()
    with _lightning_quiet():
        if config.training.threads:
            torch.set_num_threads(config.training.threads)
        tokens = _tokens(config, state if going_on else None)
        config = config.with_vocabulary(tokens.vocab_size)
        if going_on:
            check_same(state, config, accept_changes)
        loader = TrainLoader(config.data, tokens, config.seed)
        most = config.data.max_duration
        valid = eval_loader(config.data.valid, tokens, config.data.text, most, longest=most)
        L.seed_everything(config.seed, verbose=False)
        model = _model(config)
        saver = _Saver(folder, model, tokens, config, languages_in(manifests_of(config.data.train)))
        module = TrainingModule(model, tokens, config)
        # Whatever a user can have done wrong has been found by now; only then is anything written.
        with sole_run(state):
            spec = config.training
            keeper = ModelFolder(saver, config.data.text != "text", spec.validate_every)
            if going_on:
                check_checkpoint(state)
            with complete_files(state) as beside:
                write_origin(beside, config)
                tokens.save(beside)
            finite = FiniteSteps(state, spec.clip, skip_bad_batches)
            callbacks: list[Callback] = [DataPosition(loader), keeper, finite]
            if spec.quantization_noise is not None:
                callbacks.append(QuantizationNoise(spec.quantization_noise, config.seed))
            trainer = _trainer(spec, state, callbacks)
            _fit(trainer, module, Steps(loader, spec.accumulate), valid, keeper, going_on)
    assert keeper.best is not None, "the last step is always validated"
    return Trained(folder, keeper.best)


def _fit(
    trainer: L.Trainer,
    module: TrainingModule,
    steps: Steps,
    valid: DataLoader[Batch],
    keeper: ModelFolder,
    going_on: bool,
) -> None:
    last = Path(trainer.default_root_dir) / LAST
    try:
        trainer.fit(
            module,
            steps,
            valid,
            ckpt_path=str(last) if going_on else None,
            weights_only=True,  # tensors and plain data are all there is in it
        )
        if keeper.validated_at != trainer.global_step:
            # The steps end between two validations, or a run was stopped in its last one.
            trainer.validate(module, valid, verbose=False)
    except InputError as error:
        raise InputError(_own_words(error)) from None
    except OSError as error:  # of the logs; whatever else is written or read says it better
        raise InputError(f"{last.parent}: cannot be written: {error.strerror}") from None
    except RuntimeError as error:
        raise worker_error(error) from error


def _own_words(error: InputError) -> str:
    """The message without the traceback that a process which prepares batches wraps it in."""
    return str(error).rsplit(f"{InputError.__qualname__}: ", 1)[-1].strip()


def _tokens(config: TrainConfig, state: Path | None) -> Tokens:
    """The tokens of an earlier start of the run, or new ones made of the training texts."""
    if state is not None:
        return Tokens.load(state)
    return config.tokens.build(texts_of(config.data.train, config.data.text))


def _model(config: TrainConfig) -> Model:
    model = config.model.build()
    mean, deviation = feature_statistics(manifests_of(config.data.train))
    model.encoder.subsampling.set_statistics(torch.from_numpy(mean), deviation)
    if config.training.initialise_from:
        initialise(model, Path(config.training.initialise_from))
    if config.training.activation_checkpointing:
        recompute(model)
    return model


def initialise(model: Model, folder: Path) -> None:
    """Copy the encoder of a trained model, and those of its heads that have the same shapes.

    Raises:
        InputError: the folder is no model, or its encoder is another one.
    """
    source, config = load_model(folder)
    if config.model.encoder != model.spec.encoder:
        theirs, ours = to_dict(config.model.encoder), to_dict(model.spec.encoder)
        different = ", ".join(key for key in ours if ours[key] != theirs[key])
        raise InputError(
            f"{folder}: its encoder differs from model.encoder in {different}; "
            "initialise_from needs the same encoder"
        )
    model.encoder.load_state_dict(source.encoder.state_dict())
    for kind, head in model.heads.items():
        if kind in source.heads:
            weights = source.heads[kind].state_dict()
            own = head.state_dict()
            if all(name in weights and weights[name].shape == own[name].shape for name in own):
                head.load_state_dict(weights)


@dataclass(frozen=True)
class _Saver:
    """Writes the model folder with the weights that the model has now."""

    folder: Path
    model: Model
    tokens: Tokens
    config: TrainConfig
    languages: tuple[str, ...]

    def __call__(self, metrics: dict[str, float]) -> None:
        about = ModelConfig(
            model=self.config.model,
            text=self.config.data.text,
            languages=self.languages,
            chunks=self.config.training.chunk_frames,
        )
        with complete_files(self.folder) as beside:
            save_model(beside, self.model, about)
            self.tokens.save(beside)
            card = model_card(self.model, about, self.config, metrics)
            (beside / "README.md").write_text(card, encoding="utf-8")
        write_best(self.folder / STATE, metrics)


def _trainer(spec: TrainingSpec, state: Path, callbacks: list[Callback]) -> L.Trainer:
    if spec.ema:
        callbacks.append(averaging(spec.ema))
    callbacks.append(Progress(spec.steps))
    callbacks.append(StateKeeper(state / LAST, spec.save_every or spec.validate_every))
    plugins: list[Any] = [WholeCheckpoints()]
    # Lightning would take bfloat16 in its place where there is no GPU.
    scaled = spec.precision == "16-mixed" and not torch.cuda.is_available()
    if scaled:
        plugins.append(MixedPrecision("16-mixed", "cpu"))
    return L.Trainer(
        default_root_dir=state,
        plugins=plugins,
        accelerator="auto",
        devices=1,
        max_steps=spec.steps,
        max_epochs=-1,
        precision=None if scaled else spec.precision,
        accumulate_grad_batches=spec.accumulate,
        val_check_interval=min(spec.validate_every, spec.steps) * spec.accumulate,
        check_val_every_n_epoch=None,
        callbacks=callbacks,
        logger=TensorBoardLogger(state, name="", version="logs"),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


@contextmanager
def _lightning_quiet() -> Iterator[None]:
    """Lightning's hints about workers and devices are not for our users; its errors are."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
