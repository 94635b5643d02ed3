"""What a folded model is trained on: how far it is from the original, and from the data."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldformer.compress.foreign.calibration import frame_mask
from foldformer.compress.foreign.stacks import layers_of, model_type
from foldformer.errors import InputError

LABELS = "labels"
"""Key of a batch: what the model ought to write, (B, U), with `IGNORED` where nothing is asked."""

IGNORED = -100
"""A label that counts nothing, as in PyTorch and `transformers`."""


class Losses(NamedTuple):
    """Of one batch, each a mean over its frames or tokens.

    Attributes:
        distillation: the error of the layers' outputs and the divergence of the scores, weighted.
        data: the model's own loss, in nats a token; None where none is asked for.
    """

    distillation: Tensor
    data: Tensor | None


class Comparison:
    """A folded model beside its original, while it is in force.

    Args:
        student: folded.
        teacher: the original.
        lists: the lists of layers whose outputs are compared.
        hidden: weight of the error of these, as a share of their energy.
        output: weight of the divergence from the original's scores or embeddings.
        data: whether the model's own loss is computed, from `labels` in the batches.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        lists: Sequence[str],
        *,
        hidden: float,
        output: float,
        data: bool,
    ) -> None:
        self._student, self._teacher = student, teacher
        self._ours, self._theirs = _Outputs(student, lists), _Outputs(teacher, lists)
        self._hidden, self._output, self._data = hidden, output, data

    def __enter__(self) -> "Comparison":
        self._ours.__enter__()
        self._theirs.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._ours.__exit__()
        self._theirs.__exit__()

    def losses(self, batch: Mapping[str, Any], *, apart: bool = False) -> Losses:
        """Those of a batch.

        Args:
            batch: what both are called with, and `labels`.
            apart: whether each layer learns by itself: no gradient flows from one into those before
                it, and neither scores nor data teach anything.

        Raises:
            InputError: it has no labels, and the model's own loss is asked for.
        """
        if self._data and LABELS not in batch:
            raise InputError(
                "data: weighs the model's own loss, and there are batches without labels"
            )
        self._ours.apart = apart
        for outputs in (self._ours, self._theirs):
            outputs.taken()  # of calls between two steps, as `progress` may make to see how it is
        given = without_labels(batch)
        with torch.no_grad():
            wanted = self._teacher(**given)
        asks = self._data and not apart
        found = self._student(**(batch if asks else given))
        errors = []
        for x, y in zip(self._ours.taken(), self._theirs.taken(), strict=True):
            mask = frame_mask(batch, y.shape[:-1])
            if mask is not None:
                x, y = x[mask], y[mask]
            errors.append((x - y).square().sum() / y.square().sum())
        distillation = self._hidden * torch.stack(errors).mean()
        if self._output and not apart:
            distillation = distillation + self._output * _divergence(found, wanted, batch)
        return Losses(distillation, found.loss if asks else None)


def without_labels(batch: Mapping[str, Any]) -> dict[str, Any]:
    """What a batch calls a model with."""
    return {key: value for key, value in batch.items() if key != LABELS}


def count_labels(batch: Mapping[str, Any]) -> int:
    """Tokens that the model's own loss of a batch is a mean over, about: models may shift them."""
    return int((batch[LABELS] != IGNORED).sum())


@torch.no_grad()
def data_loss(model: nn.Module, batches: Iterable[Mapping[str, Any]]) -> float:
    """A model's own loss, in nats a token, over batches with `labels`."""
    total = count = 0.0
    for batch in batches:
        labels = count_labels(batch)
        total += labels * float(model(**batch).loss)
        count += labels
    return total / max(1.0, count)


@torch.no_grad()
def check_learnable(model: nn.Module, batch: Mapping[str, Any]) -> None:
    """Check that there is something in what an original gives that a fold can learn to give.

    Raises:
        InputError: it gives neither `logits` nor a `last_hidden_state`.
    """
    found = model(**without_labels(batch))
    if all(getattr(found, name, None) is None for name in ("logits", "last_hidden_state")):
        raise InputError(
            f"{type(model).__name__}: gives neither logits nor last_hidden_state to learn from; in "
            "Python, DistilSpec(output=0) learns from what comes out of its layers alone"
        )


def check_data_loss(model: nn.Module) -> None:
    """Check that a text says what a model ought to give: for Whisper and causal language models.

    Raises:
        InputError: it does not.
    """
    config = getattr(model, "config", None)
    writes = getattr(model, "can_generate", lambda: False)()
    causal = writes and not getattr(config, "is_encoder_decoder", False)
    whisper = writes and model_type(model) == "whisper"
    if not (causal or whisper) or LABELS not in inspect.signature(model.forward).parameters:
        raise InputError(
            f"{type(model).__name__}: has no loss on the data, since it writes no text to be "
            "compared with theirs, as Whisper and causal language models do; leave out "
            "training.distillation.data"
        )


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
