"""What two processes do together for test_together.py: `python together.py FOLDER`.

Started by itself, since the processes import this file. Each writes what it found into FOLDER; and
the one that has started them writes what a single process finds.
"""

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import soundfile
import torch
from lhotse import CutSet, Recording, SupervisionSegment
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.profiler import profile

from foldformer.data.batches import Batch
from foldformer.data.tokens import TokensSpec
from foldformer.errors import InputError, Stopped
from foldformer.model import ModelSpec
from foldformer.spec import from_dict, to_dict
from foldformer.train.config import DistillationSpec, TrainConfig
from foldformer.train.distillation import Distillation, losses_of
from foldformer.train.finite import FiniteSteps
from foldformer.train.group import Group, joined
from foldformer.train.launch import launch
from foldformer.train.module import TrainingModule
from foldformer.train.place import Place
from foldformer.train.run import train
from foldformer.train.shards import whole
from foldformer.train.state import sole_run
from foldformer.train.steps import Steps
from foldformer.train.strategies import Placed, strategy_of

ENCODER = {
    "d_model": 8,
    "num_layers": 6,
    "uses": 3,
    "mixer": {"kind": "attention", "num_heads": 2},
    "feed_forward": {"kind": "dense", "d_ff": 12},
    "linear": {"kind": "residual", "rank": 3},
    "subsampling": {"channels": 5},
    "left_context": 8,
}
HEADS = [{"kind": "ctc"}, {"kind": "transducer", "predictor_dim": 6, "joiner_dim": 6}]
TEXTS = ["ab", "b", "abba baab", "a ab a ba b", "baa", "bb ab", "aab a", "b b ba abab"]
STRATEGIES = ("ddp", "fsdp")


def batch_of(*rows: int, bad: bool = False) -> Batch:
    """Utterances with made-up features: row r is the same in every batch."""
    tokens = TokensSpec().build(["ab"])
    ids = [torch.tensor(tokens.encode(TEXTS[row])) for row in rows]
    features = []
    for row in rows:
        numbers = torch.Generator().manual_seed(row)
        features.append(torch.randn(80 + 16 * row, 80, dtype=torch.float64, generator=numbers))
    if bad:
        features[0][7, 7] = torch.nan
    return Batch(
        features=torch.nn.utils.rnn.pad_sequence(features, batch_first=True),
        feature_lengths=torch.tensor([len(f) for f in features]),
        targets=torch.nn.utils.rnn.pad_sequence(ids, batch_first=True),
        target_lengths=torch.tensor([len(i) for i in ids]),
        ids=[f"u{row}" for row in rows],
        texts=[TEXTS[row] for row in rows],
        languages=["" for row in rows],
    )


CYCLE = {"depth": {"kind": "sequential", "order": "cycle"}}


TAUGHT = {"num_layers": 6, "uses": 1, "linear": {"kind": "residual"}}


def teaching_of(vocab_size: int) -> Distillation:
    """A dense teacher of the same depth, to learn all from."""
    torch.manual_seed(7)
    spec = {"vocab_size": vocab_size, "encoder": ENCODER | TAUGHT, "heads": HEADS}
    teacher = from_dict(ModelSpec, spec).build().double()
    for parameter in teacher.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return Distillation(DistillationSpec(teacher="t"), teacher)


def module_of(
    group: Group,
    accumulate: int,
    sharded: bool,
    heads: Any = HEADS,
    encoder: Any = ENCODER,
    taught: bool = False,
) -> TrainingModule:
    tokens = TokensSpec().build(["ab"])
    config = from_dict(
        TrainConfig,
        {
            "output": "m",
            "data": {"train": "a", "valid": "b"},
            "model": {"encoder": encoder, "heads": heads},
            "training": {"accumulate": accumulate, "learning_rate": 0.1, "warmup": 0},
        },
    ).with_vocabulary(tokens.vocab_size)
    torch.manual_seed(3)
    model = config.model.build().double()
    # The residuals begin with zeros; here they should count.
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    teaching = teaching_of(tokens.vocab_size) if taught else None
    return TrainingModule(model, tokens, config, group, sharded, teaching).train()


class Seen(Callback):
    """The gradient of the first step, and the weights after each."""

    def __init__(self) -> None:
        self.gradient: dict[str, Tensor] = {}
        self.weights: list[Tensor] = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        if not self.gradient:
            named = pl_module.model.named_parameters()
            self.gradient = whole({n: p.grad for n, p in named if p.grad is not None})
            self.gradient = {n: g for n, g in self.gradient.items() if g is not None}
            self.gradient = {n: g.clone() for n, g in self.gradient.items()}

    def on_train_batch_end(self, trainer, pl_module, *rest: object) -> None:
        weights = [p.detach() for p in pl_module.parameters()]
        weights = [w.to_local() if hasattr(w, "to_local") else w for w in weights]
        self.weights.append(torch.cat([w.flatten() for w in weights]))


def fit(
    module: TrainingModule, place: Place, name: str, batches: list[Batch], *callbacks: Callback
) -> None:
    accumulate = module.config.training.accumulate
    trainer = L.Trainer(
        accelerator="cpu",
        devices=place.devices,
        strategy=strategy_of(name, module.model, module.config.training),
        plugins=[Placed(place)],
        max_steps=len(batches) // accumulate,
        accumulate_grad_batches=accumulate,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, Steps(batches, accumulate, module.group))


def gradients(
    place: Place,
    group: Group,
    accumulate: int,
    name: str,
    encoder: Any = ENCODER,
    taught: bool = False,
) -> dict[str, Tensor]:
    """Of four batches with 2, 23, 6 and 12 tokens, say: two in each process, or one."""
    batches = [batch_of(0), batch_of(1, 2, 3), batch_of(4, 5), batch_of(6, 7)]
    own = batches[group.rank :: 2][:accumulate]
    seen = Seen()
    module = module_of(group, accumulate, name == "fsdp", encoder=encoder, taught=taught)
    fit(module, place, name, own, seen)
    return seen.gradient


def joined_gradient(
    accumulate: int, encoder: Any = ENCODER, taught: bool = False
) -> dict[str, Tensor]:
    """The same of one batch in this process."""
    module = module_of(Group(), 1, False, encoder=encoder, taught=taught)
    model = module.model
    batch = batch_of(*range(8 if accumulate == 2 else 4))
    losses = losses_of(model, batch, None, module.distillation)
    (losses.sum() / batch.target_lengths.sum()).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def calls(place: Place, group: Group) -> dict[str, int]:
    """How often the shards are put together and their gradients reduced in a step."""
    with profile() as recorded:
        fit(module_of(group, 1, True), place, "fsdp", [batch_of(group.rank)])
    counts = {event.key: event.count for event in recorded.key_averages()}
    return {key: n for key, n in counts.items() if "all_gather (" in key or "reduce_sc" in key}


def not_finite(place: Place, group: Group, name: str, folder: Path) -> dict[str, Any]:
    """The second process has two bad batches, of which one may be left out."""
    batches = [batch_of(group.rank, bad=bad and group.rank == 1) for bad in (False, True, True)]
    seen, finite = Seen(), FiniteSteps(folder / f"bad-{name}", 1.0, 1, group)
    error: BaseException | None = None
    try:
        fit(module_of(group, 1, name == "fsdp"), place, name, batches, finite, seen)
    except (InputError, SystemExit) as end:
        error = end
    kept = [a.equal(b) for a, b in zip(seen.weights, seen.weights[1:], strict=False)]
    return {"skipped": finite.skipped, "kept": kept, "error": repr(error)}


def without_a_weight(place: Place, group: Group) -> int:
    """A head that is not trained has no gradient, and nobody waits for it."""
    heads = [HEADS[0], HEADS[1] | {"weight": 0}]
    seen = Seen()
    fit(module_of(group, 1, False, heads), place, "ddp", [batch_of(0), batch_of(1)], seen)
    return len(seen.weights)


def agreements(group: Group) -> dict[str, Any]:
    def fails() -> None:
        raise InputError("no such thing")

    try:
        group.first(fails)
    except (InputError, SystemExit) as end:
        error = repr(end)
    return {
        "total": group.total(group.rank + 3),
        "largest": group.largest(5 - group.rank),
        "gathered": group.gathered({"rank": group.rank}),
        "first": group.first(lambda: f"of {group.rank}"),
        "error": error,
    }


def config_of(folder: Path, name: str, **training: Any) -> TrainConfig:
    """A training with everything that draws random numbers or keeps a state of its own."""
    encoder = ENCODER | {
        "feed_forward": {"kind": "dense", "d_ff": 12, "dropout": 0.1},
        "depth": {"kind": "sequential", "dropout": 0.1, "stochastic_depth": 0.3},
    }
    return from_dict(
        TrainConfig,
        {
            "output": str(folder / name),
            "data": {"train": str(folder / "train.jsonl"), "valid": str(folder / "valid.jsonl")}
            | {"max_duration": 3.0, "max_utterance": 3.0},
            "model": {"encoder": encoder, "heads": [{"kind": "ctc", "dropout": 0.1}]},
            "training": {"steps": 9, "save_every": 4, "validate_every": 4, "warmup": 2}
            | {"learning_rate": 1e-2, "ema": 0.9, "chunks": ["160ms"], "threads": 1}
            | training,
        },
    )


def write_corpus(folder: Path) -> None:
    cuts = []
    for i in range(9):
        samples = np.random.default_rng(i).standard_normal(9600 + 1000 * i) / 10
        soundfile.write(folder / f"{i}.wav", samples, 16000)
        cut = Recording.from_file(folder / f"{i}.wav").to_cut()
        cut.supervisions = [
            SupervisionSegment(cut.id, cut.id, 0, cut.duration, text="ab ba"[i % 4 :])
        ]
        cuts.append(cut)
    CutSet(cuts).to_file(folder / "train.jsonl")
    CutSet(cuts[::2]).to_file(folder / "valid.jsonl")


@contextlib.contextmanager
def told_to_stop(last: Path) -> Iterator[None]:
    """This process, and only it, gets a signal once the state has been saved."""
    ended = threading.Event()

    def wait() -> None:
        while not last.exists() and not ended.is_set():
            time.sleep(0.001)
        if not ended.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=wait)
    thread.start()
    yield
    ended.set()
    thread.join()


def trainings(folder: Path, at: Callable[[], Place]) -> dict[str, str]:
    """Whole runs of both kinds, and one that is stopped by a signal to the second process."""
    ended = {}
    for name in STRATEGIES:
        train(config_of(folder, name), place=at(), strategy=name)
        stopped = config_of(folder, f"{name}-stopped")
        last = Path(stopped.output) / "training" / "last.ckpt"
        place = at()
        with told_to_stop(last) if place.rank == 1 else contextlib.nullcontext():
            try:
                train(stopped, place=place, strategy=name)
            except (Stopped, SystemExit) as end:
                ended[name] = repr(end)
        train(stopped, place=at(), strategy=name)
        train(config_of(folder, f"fewer-{name}", steps=8), place=at(), strategy=name)
        more = config_of(folder, f"more-{name}", steps=11)
        train(more, place=at(), strategy=name, accept_changes=True)
        for kind in CHEAPER:
            train(cheaper(folder, f"{kind}-{name}", kind, 2), place=at(), strategy=name)
    return ended


CHEAPER = {"fp32": "32", "fp16": "16-mixed"}


def cheaper(folder: Path, name: str, kind: str, accumulate: int) -> TrainConfig:
    """A training that recomputes activations and sums gradients, in half precision or not.

    Nothing in it is random, and its weights stay as they are: so any number of processes have the
    same gradient in the last step, which the optimiser's averages then are.
    """
    config = config_of(
        folder,
        name,
        accumulate=accumulate,
        precision=CHEAPER[kind],
        activation_checkpointing=accumulate == 2,
        steps=9,
        learning_rate=0.0,
        betas=[0.0, 0.0],
        clip=0.0,
        ema=0.0,
    )
    model = {"encoder": ENCODER, "heads": [{"kind": "ctc"}]}
    return from_dict(TrainConfig, {**to_dict(config), "model": model})


def locked(folder: Path, place: Place) -> str:
    """Training into a folder that another run, here that of the first process, holds."""
    config = config_of(folder, "held")
    state = Path(config.output) / "training"
    with sole_run(state) if place.rank == 0 else contextlib.nullcontext():
        try:
            train(config, place=place)
        except (InputError, SystemExit) as end:
            return repr(end)
    return ""


def work(folder: Path, place: Place, say: Callable[[str], object]) -> int:
    attempts = iter(range(1000))

    def at() -> Place:
        return replace(place, attempt=str(next(attempts)))

    found: dict[str, Any] = {}
    with joined(at(), say) as group:
        found["agreements"] = agreements(group)
        for accumulate in (1, 2):
            for name in STRATEGIES:
                key = f"gradient {name} {accumulate}"
                found[key] = gradients(place, group, accumulate, name)
        for accumulate in (1, 2):
            key = f"gradient taught {accumulate}"
            found[key] = gradients(place, group, accumulate, "ddp", taught=True)
        found["gradient cycle"] = gradients(place, group, 1, "fsdp", ENCODER | CYCLE)
        found["calls"] = calls(place, group)
        found["without a weight"] = without_a_weight(place, group)
        for name in STRATEGIES:
            found[f"not finite {name}"] = not_finite(place, group, name, folder)
    found["trainings"] = trainings(folder, at)
    found["locked"] = locked(folder, at())
    torch.save(found, folder / f"{place.rank}.pt")
    return place.rank


if __name__ == "__main__":
    into = Path(sys.argv[1])
    write_corpus(into)
    train(config_of(into, "more-ddp", steps=8))
    shutil.copytree(into / "more-ddp", into / "more-fsdp")
    for kind in CHEAPER:
        train(cheaper(into, f"{kind}-alone", kind, 4))
    assert launch(partial(work, into), devices=2) == 0
    alone: dict[Any, Any] = {n: joined_gradient(n) for n in (1, 2)}
    alone |= {f"taught {n}": joined_gradient(n, taught=True) for n in (1, 2)}
    torch.save({**alone, "cycle": joined_gradient(1, ENCODER | CYCLE)}, into / "alone.pt")
