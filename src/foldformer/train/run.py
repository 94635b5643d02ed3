"""A training run, from its configuration to the model folder."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.strategies import DDPStrategy
from torch.utils.data import DataLoader

from foldformer.checkpoint import ModelConfig, complete_files, load_model, save_model
from foldformer.data.batches import Batch, Share, eval_loader, manifests_of, texts_of
from foldformer.data.selection import Survey, survey
from foldformer.data.statistics import feature_statistics, languages_in
from foldformer.data.tokens import TOKEN_FILES, Tokens
from foldformer.data.training import TrainLoader, selection_of, worker_error
from foldformer.errors import InputError, SpecError
from foldformer.model import Model
from foldformer.spec import to_dict
from foldformer.train.allocator import keep_freed_memory
from foldformer.train.callbacks import Averages, DataPosition, ModelFolder, Progress
from foldformer.train.card import CARD, model_card
from foldformer.train.changes import check_same, write_origin
from foldformer.train.config import TrainConfig, TrainingSpec
from foldformer.train.curve import Curve
from foldformer.train.distillation import distillation_of
from foldformer.train.finite import FiniteSteps
from foldformer.train.group import Group, joined
from foldformer.train.keeping import StateKeeper
from foldformer.train.module import TrainingModule
from foldformer.train.place import Place
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
from foldformer.train.strategies import Placed, Sharded, strategy_of
from foldformer.train.watch import say_error

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """What a run ended with."""

    folder: Path
    metrics: dict[str, float]


def train(
    config: TrainConfig,
    *,
    accept_changes: bool = False,
    skip_bad_batches: int = 0,
    place: Place | None = None,
    strategy: str = "ddp",
    origin: str = "",
    say: Callable[[str], object] = say_error,
) -> Trained:
    """Train what the configuration says, going on where an earlier run of it was stopped.

    Args:
        config: what to train, and on what.
        accept_changes: go on with an earlier run although its configuration or what its manifests
            say has changed since, as far as that is possible.
        skip_bad_batches: steps whose loss or gradient is not finite that may be left out.
        place: which of the processes of a training on several devices this is, each of which calls
            this function; see `foldformer.train.launch`. One alone unless given.
        strategy: how several devices hold the model: `ddp`, each a copy; or `fsdp`, each a share.
        origin: a section of the model card on what the model was made of.
        say: is told the reason if this process is ended while it waits for another one.

    Returns:
        The model folder, which holds the weights of the best validation, and its scores.

    Raises:
        SpecError: the configuration does not fit together or does not fit the data.
        InputError: data cannot be read, or the folder cannot be written; or another process has
            ended.
    """
    check_strategy(config, strategy)
    keep_freed_memory()
    with _lightning_quiet(), joined(place, say) as group, ExitStack() as held:
        if not group.leads:
            logging.getLogger("foldformer").setLevel(logging.ERROR)
        return _train(
            config, accept_changes, skip_bad_batches, place, strategy, origin, group, held
        )


def check_strategy(config: TrainConfig, strategy: str) -> None:
    """Refuse what cannot be trained in this way.

    Raises:
        SpecError: whole matrices are asked for, and each process would have a share of them.
    """
    whole = {
        "quantization_noise": "rounds whole matrices",
        "distillation": "calls the parts of a whole model one by one",
    }
    for key, does in whole.items():
        if strategy == "fsdp" and getattr(config.training, key) is not None:
            raise SpecError(
                f"training.{key}: {does}, and with --strategy fsdp no process holds one; take "
                "--strategy ddp"
            )


def _train(
    config: TrainConfig,
    accept_changes: bool,
    skip_bad_batches: int,
    place: Place | None,
    strategy: str,
    origin: str,
    group: Group,
    held: ExitStack,
) -> Trained:
    folder = Path(config.output)
    state = folder / STATE
    group.first(lambda: check_writable(folder))
    going_on = group.first(lambda: (state / LAST).exists())
    _check_shared(state, going_on, group)
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    tokens = group.first(lambda: _tokens(config, state if going_on else None))
    config = config.with_vocabulary(tokens.vocab_size)
    if going_on:
        group.first(lambda: check_same(state, config, accept_changes))
    surveys = group.first(lambda: _surveys(config, tokens))
    loader = TrainLoader(config.data, tokens, config.seed, group.rank, group.size, surveys)
    data, most = config.data, config.data.max_duration
    valid = eval_loader(data.valid, tokens, data.text, most, group.rank, group.size, longest=most)
    L.seed_everything(config.seed, verbose=False)
    model = _model(config, group, surveys)
    sharded = group.size > 1 and strategy == "fsdp"
    languages = group.first(lambda: languages_in(manifests_of(data.train)))
    saver = _Saver(folder, model, tokens, config, languages, origin, group, sharded)
    teaching = distillation_of(config, model, tokens)
    module = TrainingModule(model, tokens, config, group, sharded, teaching)
    # Whatever a user can have done wrong has been found by now; only then is anything written.
    spec = config.training
    keeper = ModelFolder(saver, data.text != "text", spec.validate_every)

    def begin() -> None:
        held.enter_context(sole_run(state))
        if going_on:
            check_checkpoint(state)
        with complete_files(state, TOKEN_FILES) as beside:
            write_origin(beside, config)
            tokens.save(beside)

    group.first(begin)
    finite = FiniteSteps(state, spec.clip, skip_bad_batches, group)
    curve = Curve(state, group)
    callbacks: list[Callback] = [DataPosition(loader, group), keeper, finite, curve]
    if spec.quantization_noise is not None:
        callbacks.append(QuantizationNoise(spec.quantization_noise, config.seed))
    if spec.ema:
        callbacks.append(Averages(spec.ema))
    if group.leads:
        callbacks.append(Progress(spec.steps))
    assert isinstance(valid.sampler, Share)
    num_valid = -group.largest(-len(valid.sampler.places))  # the smallest
    every = {spec.validate_every, spec.save_every or spec.validate_every}
    callbacks.append(StateKeeper(state / LAST, every, group, num_valid))
    trainer = _trainer(spec, state, callbacks, place, strategy_of(strategy, model, spec))
    group.expect()
    _fit(trainer, module, Steps(loader, spec.accumulate, group), valid, keeper, going_on)
    assert keeper.best is not None, "the last step is always validated"
    return Trained(folder, keeper.best)


def _check_shared(state: Path, going_on: bool, group: Group) -> None:
    """Refuse machines that do not see each other's files."""
    if group.largest(int(going_on != (state / LAST).exists())):
        raise group.agreed(
            InputError(
                f"{state / LAST}: not all machines find this file; `output` must be on a file "
                "system that they share"
            )
        )


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


def _surveys(config: TrainConfig, tokens: Tokens) -> list[Survey]:
    choice = selection_of(config.data, tokens)
    return [survey(path, choice) for path in manifests_of(config.data.train)]


def _model(config: TrainConfig, group: Group, surveys: list[Survey]) -> Model:
    model = config.model.build()
    mean, deviation = group.first(lambda: feature_statistics(surveys))
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
    """Writes the model folder with the weights that the model has now; all processes call it."""

    folder: Path
    model: Model
    tokens: Tokens
    config: TrainConfig
    languages: tuple[str, ...]
    origin: str
    group: Group
    sharded: bool

    def __call__(self, metrics: dict[str, float]) -> None:
        model = self._whole_model()
        if not self.group.leads:
            return
        about = ModelConfig(
            model=self.config.model,
            text=self.config.data.text,
            languages=self.languages,
            chunks=self.config.training.chunk_frames,
        )
        with complete_files(self.folder, TOKEN_FILES) as beside:
            save_model(beside, model, about)
            self.tokens.save(beside)
            card = model_card(model, about, self.config, metrics, self.origin)
            (beside / CARD).write_text(card, encoding="utf-8")
        write_best(self.folder / STATE, metrics)

    def _whole_model(self) -> Model:
        """The model; put together, for the first process, if each has a share of the weights."""
        if not self.sharded:
            return self.model
        from foldformer.train.shards import whole

        weights = whole(self.model.state_dict())
        if not self.group.leads:
            return self.model
        with torch.device("meta"):
            model = self.config.model.build()
        model.load_state_dict(weights, assign=True)
        return model


def _trainer(
    spec: TrainingSpec,
    state: Path,
    callbacks: list[Callback],
    place: Place | None,
    strategy: DDPStrategy,
) -> L.Trainer:
    plugins: list[Any] = [WholeCheckpoints()]
    # Lightning would take bfloat16 in its place where there is no GPU.
    scaled = spec.precision == "16-mixed" and not torch.cuda.is_available()
    if scaled:
        plugins.append(MixedPrecision("16-mixed", "cpu"))
    devices: dict[str, Any] = {"accelerator": "auto", "devices": 1}
    if place is not None:
        plugins.append(Placed(place))
        devices = {
            "accelerator": "gpu" if torch.cuda.is_available() else "cpu",
            "devices": place.devices,
            "num_nodes": place.nodes,
            "strategy": strategy,
            # Weights that are gathered in it could not be trained any more.
            "inference_mode": not isinstance(strategy, Sharded),
        }
    return L.Trainer(
        default_root_dir=state,
        plugins=plugins,
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
        **devices,
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
