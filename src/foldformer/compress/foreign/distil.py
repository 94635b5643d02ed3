"""A folded foreign model learns from the original what the fold has cost it."""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldformer.compress.foreign.calibration import frame_mask
from foldformer.compress.foreign.files import numbers_of
from foldformer.compress.foreign.stacks import layers_of
from foldformer.errors import InputError, SpecError
from foldformer.files import complete_files
from foldformer.spec import Spec, to_dict

STATE = "recovery.pt"

_Said = dict[str, object]
"""What an earlier call has to have been told, for this one to go on from it."""


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
    alone: int = 0
    """Steps at the beginning in which each layer learns by itself, from what those before it make
    of the input now, to give what the original's does."""
    seed: int = 0
    """Of the order of the batches."""
    save_every: int = 100
    """Steps after which what has been learnt is kept."""

    def __post_init__(self) -> None:
        for name in ("steps", "save_every"):
            if getattr(self, name) < 1:
                raise SpecError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        for name in ("warmup", "hidden", "output", "alone"):
            if (got := getattr(self, name)) is not None and not got >= 0:
                raise SpecError(f"{name}: expected 0 or more, got {got}")
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
    progress: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Train a folded model until it does what the original does. The student is changed.

    Only what is in the lists of layers learns: embeddings and heads stay those of the original.
    Stopped at any moment, the same call goes on from the last step that was kept, and ends with the
    same weights.

    Args:
        student: folded.
        teacher: the original.
        lists: the lists of layers whose outputs are compared.
        batches: what to call both with; they are gone through again and again, in a new order each
            time.
        spec: for how long, and so on.
        folder: where what has been learnt is kept, in `recovery.pt`.
        progress: called after each step with the number of steps and the loss.

    Raises:
        InputError: there is no batch, the folder cannot be written, or what is kept there was
            learnt with another specification, plan or data; or the model gives neither `logits` nor
            a `last_hidden_state` to compare, and `output` is not 0.
        SpecError: the loss is not finite.
    """
    if not batches:
        raise InputError("batches: there is none to learn from")
    names = list(lists)
    teacher.eval()
    if spec.output:
        check_learnable(teacher, batches[0])
    student.eval()  # without dropout: there is one right answer for each frame
    layers = nn.ModuleList(layer for name in names for layer in layers_of(student, name))
    parameters = [p for p in layers.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=spec.learning_rate, weight_decay=0.0)
    said: _Said = {"spec": to_dict(spec), "batches": _digest(batches)}
    first = _resume(Path(folder), student, optimizer, said)
    with _Outputs(student, names) as ours, _Outputs(teacher, names) as theirs:
        for step in range(first, spec.steps):
            batch = batches[_place(spec.seed, step, len(batches))]
            ours.apart = step < spec.alone
            loss = _loss(student, teacher, ours, theirs, batch, spec)
            if not loss.isfinite():
                raise SpecError(f"loss: is not finite at step {step + 1}; lower learning_rate")
            optimizer.param_groups[0]["lr"] = spec.learning_rate * _factor(spec, step)
            optimizer.zero_grad()
            torch.autograd.backward([loss])
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            progress(step + 1, float(loss.detach()))
            if (step + 1) % spec.save_every == 0 or step + 1 == spec.steps:
                _keep(Path(folder), student, optimizer, said, step + 1)


@torch.no_grad()
def check_learnable(model: nn.Module, batch: Mapping[str, Any]) -> None:
    """Check that there is something in what an original gives that a fold can learn to give.

    Raises:
        InputError: it gives neither `logits` nor a `last_hidden_state`.
    """
    found = model(**batch)
    if all(getattr(found, name, None) is None for name in ("logits", "last_hidden_state")):
        raise InputError(
            f"{type(model).__name__}: gives neither logits nor last_hidden_state to learn from; in "
            "Python, DistilSpec(output=0) learns from what comes out of its layers alone"
        )


def _loss(
    student: nn.Module,
    teacher: nn.Module,
    ours: "_Outputs",
    theirs: "_Outputs",
    batch: Mapping[str, Any],
    spec: DistilSpec,
) -> Tensor:
    for outputs in (ours, theirs):
        outputs.taken()  # of calls between two steps, as `progress` may make to see how it stands
    with torch.no_grad():
        wanted = teacher(**batch)
    found = student(**batch)
    errors = []
    for x, y in zip(ours.taken(), theirs.taken(), strict=True):
        mask = frame_mask(batch, y.shape[:-1])
        if mask is not None:
            x, y = x[mask], y[mask]
        errors.append((x - y).square().sum() / y.square().sum())
    loss = spec.hidden * torch.stack(errors).mean()
    if spec.output and not ours.apart:
        loss = loss + spec.output * _divergence(found, wanted, batch)
    return loss


def _divergence(found: Any, wanted: Any, batch: Mapping[str, Any]) -> Tensor:
    """Of the scores from the original's, or of the embeddings where there are no scores."""
    if getattr(wanted, "logits", None) is not None:
        x, y = found.logits.log_softmax(dim=-1), wanted.logits.log_softmax(dim=-1)
        mask = frame_mask(batch, y.shape[:-1])
        if mask is not None:
            x, y = x[mask], y[mask]
        return F.kl_div(x, y, log_target=True, reduction="none").sum(dim=-1).mean()
    x, y = found.last_hidden_state, wanted.last_hidden_state
    mask = frame_mask(batch, y.shape[:-1])
    weights = y.new_ones(y.shape[:-1]) if mask is None else mask.to(y)
    x, y = ((z * weights[..., None]).sum(dim=1) for z in (x, y))
    return 1 - F.cosine_similarity(x, y).mean()


class _Outputs:
    """What comes out of each layer of a model, taken by hooks while it is in force."""

    def __init__(self, model: nn.Module, lists: Sequence[str]) -> None:
        self._layers = [layer for name in lists for layer in layers_of(model, name)]
        self._found: list[Tensor] = []
        self._hooks = ExitStack()
        self.apart = False
        """Whether no gradient flows from one layer into those before it."""

    def __enter__(self) -> "_Outputs":
        for layer in self._layers:
            for handle in (
                layer.register_forward_pre_hook(self._part, with_kwargs=True),
                layer.register_forward_hook(self._take),
            ):
                self._hooks.callback(handle.remove)
        return self

    def _part(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self.apart:
            return None
        return tuple(map(_detached, args)), {k: _detached(v) for k, v in kwargs.items()}

    def __exit__(self, *error: object) -> None:
        self._hooks.close()

    def _take(self, module: nn.Module, args: object, output: Any) -> None:
        self._found.append(output if isinstance(output, Tensor) else output[0])

    def taken(self) -> list[Tensor]:
        """Those of the last call."""
        found, self._found = self._found, []
        return found


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


def _place(seed: int, step: int, count: int) -> int:
    """The batch of a step: each once before any is used again."""
    epoch, place = divmod(step, count)
    generator = torch.Generator().manual_seed(1_000_003 * seed + epoch)
    return int(torch.randperm(count, generator=generator)[place])


def _factor(spec: DistilSpec, step: int) -> float:
    if step < spec.rising:
        return (step + 1) / spec.rising
    return 0.5 * (1 + math.cos(math.pi * (step - spec.rising) / max(1, spec.steps - spec.rising)))


def _digest(batches: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 of what the model is called with."""
    found = hashlib.sha256()
    for batch in batches:
        for key, value in batch.items():
            if isinstance(value, Tensor):
                found.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
                found.update(value.detach().cpu().contiguous().numpy().data)
    return found.hexdigest()


def _keep(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, said: _Said, step: int
) -> None:
    with complete_files(folder) as beside:
        torch.save(
            {
                "said": said,
                "step": step,
                "weights": {name: t.detach() for name, t in numbers_of(model).items()},
                "optimizer": optimizer.state_dict(),
            },
            beside / STATE,
        )


def _resume(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, said: _Said) -> int:
    """The first step that is still to be done; what was kept before it is taken up."""
    path = folder / STATE
    if not path.is_file():
        return 0
    try:
        kept = torch.load(path, weights_only=True)
        earlier, step, weights = kept["said"], kept["step"], kept["weights"]
        shapes = {name: tensor.shape for name, tensor in weights.items()}
    except Exception as error:  # whatever a damaged file leads to
        raise InputError(f"{path}: is damaged ({error}); remove it to begin anew") from None
    wanted = {name: tensor.shape for name, tensor in numbers_of(model).items()}
    if earlier != said or shapes != wanted:
        raise InputError(
            f"{path}: was made with another specification, plan or data; choose another folder, or "
            "remove it to begin anew"
        )
    with torch.no_grad():
        for name, tensor in numbers_of(model).items():
            tensor.copy_(weights[name])
    optimizer.load_state_dict(kept["optimizer"])
    return int(step)
