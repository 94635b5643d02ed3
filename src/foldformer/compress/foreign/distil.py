"""A folded foreign model learns from the original what the fold has cost it."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foldformer.compress.foreign.course import Course, validate
from foldformer.compress.foreign.files import numbers_of
from foldformer.compress.foreign.inputs import Windows
from foldformer.compress.foreign.losses import Comparison, check_learnable
from foldformer.compress.foreign.stacks import layers_of
from foldformer.errors import InputError, SpecError
from foldformer.files import complete_files
from foldformer.spec import Spec, to_dict

STATE = "recovery.pt"

_Said = dict[str, object]
"""What an earlier call has to have been told, for this one to go on from it."""

_CHANGED = {"batches": "other data to learn from", "valid": "other data to measure on"}
"""What is said of digests that differ."""


@dataclass(frozen=True, kw_only=True)
class DistilSpec(Spec):
    """How a folded model learns from the original."""

    steps: int = 1000
    """Steps, of one batch each."""
    learning_rate: float = 2e-4
    """Of AdamW, at its peak; it falls to zero along a cosine."""
    warmup: int | None = None
    """Steps in which the learning rate rises to its peak; a tenth of all unless given."""
    hidden: float = 1.0
    """Weight of the error of what comes out of each layer, as a share of its energy."""
    output: float = 1.0
    """Weight of the divergence from the original's scores, where the model gives `logits`; else of
    1 - the cosine between the means over frames of the last hidden states."""
    data: float = 0.0
    """Weight of the model's own loss, in nats a token, from `labels` in the batches."""
    alone: int = 0
    """Steps at the beginning in which each layer learns by itself, from what those before it make
    of the input now, to give what the original's does."""
    validate_every: int = 500
    """Steps between validations, where there is something to validate on; there is one before the
    first step and one after the last."""
    seed: int = 0
    """Of the order of the batches."""
    save_every: int = 100
    """Steps after which what has been learnt is kept."""

    def __post_init__(self) -> None:
        for name in ("steps", "save_every", "validate_every"):
            if getattr(self, name) < 1:
                raise SpecError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        for name in ("warmup", "hidden", "output", "data", "alone"):
            if (got := getattr(self, name)) is not None and not got >= 0:
                raise SpecError(f"{name}: expected 0 or more, got {got}")
        if not self.hidden + self.output + self.data > 0:
            raise SpecError("hidden, output and data: all are 0, so nothing would be learnt")
        if not self.learning_rate > 0:
            raise SpecError(f"learning_rate: expected more than 0, got {self.learning_rate}")

    @property
    def rising(self) -> int:
        """Steps in which the learning rate rises."""
        return max(1, self.steps // 10) if self.warmup is None else self.warmup


def distil(
    student: nn.Module,
    teacher: nn.Module,
    lists: Iterable[str],
    batches: Sequence[Mapping[str, Any]],
    spec: DistilSpec,
    folder: str | Path,
    *,
    valid: Sequence[Mapping[str, Any]] = (),
    progress: Callable[[int, float], None] = lambda step, loss: None,
    validated: Callable[[Mapping[str, float]], None] = lambda row: None,
) -> dict[str, float] | None:
    """Train a folded model until it does what the original does. The student is changed.

    Only what is in the lists of layers learns: embeddings and heads stay those of the original.
    Stopped at any moment, the same call goes on from the last step that was kept, and ends with the
    same weights: those of the best validation, or without one of the last step.

    Args:
        student: folded.
        teacher: the original.
        lists: the lists of layers whose outputs are compared.
        batches: what to call both with, and with `spec.data` the `labels` that the student has a
            loss for; they are gone through again and again, in a new order each time.
        spec: for how long, and so on.
        folder: where what has been learnt is kept, in `recovery.pt`, and validations are noted, in
            `curve.json`.
        valid: the same as `batches`, to measure on; nothing is learnt from them.
        progress: called after each step with the number of steps and the loss.
        validated: called with the row of each validation.

    Returns:
        The row of the best validation; None without any.

    Raises:
        InputError: there is no batch, or one without labels that asks for them; the folder cannot
            be written, or what is kept there was learnt with another specification, plan or data;
            or the model gives neither `logits` nor a `last_hidden_state` to compare, and `output`
            is not 0.
        SpecError: the loss is not finite.
    """
    if not batches:
        raise InputError("batches: there is none to learn from")
    names = list(lists)
    teacher.eval()
    if spec.output:
        check_learnable(teacher, batches[0])
    student.eval()  # without dropout: there is one right answer for each frame
    learns = _learning(student, names)
    optimizer = torch.optim.AdamW(learns.values(), lr=spec.learning_rate, weight_decay=0.0)
    said = _said(spec, batches, valid)
    course = Course(Path(folder), learns)
    first = _resume(Path(folder), student, optimizer, course, said)
    with Comparison(
        student, teacher, names, hidden=spec.hidden, output=spec.output, data=spec.data > 0
    ) as comparison:

        def measure(step: int) -> None:
            validated(course.note(step, validate(comparison, valid, spec.data)))

        if valid and course.best is None:
            measure(0)
        for step in range(first, spec.steps):
            batch = batches[_place(spec.seed, step, len(batches))]
            losses = comparison.losses(batch, apart=step < spec.alone)
            loss = losses.distillation
            if losses.data is not None:
                loss = loss + spec.data * losses.data
            if not loss.isfinite():
                raise SpecError(f"loss: is not finite at step {step + 1}; lower learning_rate")
            optimizer.param_groups[0]["lr"] = spec.learning_rate * _factor(spec, step)
            optimizer.zero_grad()
            torch.autograd.backward([loss])
            nn.utils.clip_grad_norm_(learns.values(), 1.0)
            optimizer.step()
            course.hear(batch)
            progress(step + 1, float(loss.detach()))
            if valid and _is_due(step + 1, spec.validate_every, spec.steps):
                measure(step + 1)
            if _is_due(step + 1, spec.save_every, spec.steps):
                _keep(Path(folder), student, optimizer, course, said, step + 1)
    course.take_best()
    return course.best


def goes_on(
    folder: str | Path,
    spec: DistilSpec,
    batches: Sequence[Mapping[str, Any]],
    valid: Sequence[Mapping[str, Any]] = (),
) -> bool:
    """Whether `distil` finds something in the folder to go on from: then all weights come from it.

    Before any work is done. Arguments as of `distil`.

    Raises:
        InputError: what is kept there is damaged, or was learnt in another way.
    """
    path = Path(folder) / STATE
    if not path.is_file():
        return False
    _check_said(path, _read(path, mapped=True)["said"], _said(spec, batches, valid))
    return True


def _learning(student: nn.Module, lists: Sequence[str]) -> dict[str, nn.Parameter]:
    """What learns, by its names in the student."""
    layers = nn.ModuleList(layer for name in lists for layer in layers_of(student, name))
    own = {id(parameter) for parameter in layers.parameters() if parameter.requires_grad}
    return {name: each for name, each in student.named_parameters() if id(each) in own}


def _is_due(step: int, every: int, steps: int) -> bool:
    return step % every == 0 or step == steps


def _place(seed: int, step: int, count: int) -> int:
    """The batch of a step: each once before any is used again."""
    epoch, place = divmod(step, count)
    generator = torch.Generator().manual_seed(1_000_003 * seed + epoch)
    return int(torch.randperm(count, generator=generator)[place])


def _factor(spec: DistilSpec, step: int) -> float:
    if step < spec.rising:
        return (step + 1) / spec.rising
    return 0.5 * (1 + math.cos(math.pi * (step - spec.rising) / max(1, spec.steps - spec.rising)))


def _said(
    spec: DistilSpec, batches: Sequence[Mapping[str, Any]], valid: Sequence[Mapping[str, Any]]
) -> _Said:
    return {"spec": to_dict(spec), "batches": _digest(batches), "valid": _digest(valid)}


def _digest(batches: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 of what the model is called with, or of where it comes from."""
    if isinstance(batches, Windows):
        return batches.digest()
    found = hashlib.sha256()
    for batch in batches:
        for key, value in batch.items():
            if isinstance(value, Tensor):
                found.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
                found.update(value.detach().cpu().contiguous().numpy().data)
    return found.hexdigest()


def _keep(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    course: Course,
    said: _Said,
    step: int,
) -> None:
    with complete_files(folder) as beside:
        torch.save(
            {
                "said": said,
                "step": step,
                "weights": {name: t.detach() for name, t in numbers_of(model).items()},
                "optimizer": optimizer.state_dict(),
                "course": course.state(),
            },
            beside / STATE,
        )


def _resume(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    course: Course,
    said: _Said,
) -> int:
    """The first step that is still to be done; what was kept before it is taken up."""
    path = folder / STATE
    if not path.is_file():
        return 0
    kept = _read(path)
    weights: dict[str, Tensor] = kept["weights"]
    _check_said(path, kept["said"], said)
    wanted = {name: tensor.shape for name, tensor in numbers_of(model).items()}
    if {name: tensor.shape for name, tensor in weights.items()} != wanted:
        raise _other(path, ["plan"])
    with torch.no_grad():
        for name, tensor in numbers_of(model).items():
            tensor.copy_(weights[name])
    optimizer.load_state_dict(kept["optimizer"])
    course.load(kept["course"])
    return int(kept["step"])


def _read(path: Path, *, mapped: bool = False) -> dict[str, Any]:
    """What `_keep` has kept; mapped, only what is looked at is read."""
    try:
        kept: dict[str, Any] = torch.load(path, weights_only=True, mmap=mapped)
        if kept.keys() != {"said", "step", "weights", "optimizer", "course"}:
            raise ValueError(f"has {', '.join(map(str, kept))}")
    except Exception as error:  # whatever a damaged file leads to
        raise InputError(f"{path}: is damaged ({error}); remove it to begin anew") from None
    return kept


def _check_said(path: Path, earlier: _Said, now: _Said) -> None:
    """That an earlier call was told the same."""
    old, new = _flat(earlier), _flat(now)
    changed = [
        _CHANGED.get(key, f"{key} {json.dumps(old.get(key))} -> {json.dumps(new.get(key))}")
        for key in {**old, **new}
        if old.get(key) != new.get(key)
    ]
    if changed:
        raise _other(path, changed)


def _flat(said: _Said) -> dict[str, object]:
    spec = said["spec"]
    assert isinstance(spec, dict)
    return {**spec, **said, "spec": None}


def _other(path: Path, changed: Sequence[str]) -> InputError:
    return InputError(
        f"{path}: holds a learning that began in another way: {'; '.join(changed)}; choose another "
        "folder, or remove it to begin anew"
    )
