"""Distillation: a model, the student, learns what a trained one, its teacher, computes.

Of the teacher it takes the frames after each use of a layer (Romero et al., arXiv:1412.6550), and
the distribution of what comes next (Hinton et al., arXiv:1503.02531). Both hear the same features,
under the same mask. The teacher is no part of the student: neither a checkpoint nor the optimiser,
nor an average of the weights, holds anything of it.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from foldformer.checkpoint import load_model
from foldformer.data.batches import Batch
from foldformer.data.tokens import Tokens
from foldformer.errors import InputError
from foldformer.model import Model
from foldformer.nn.heads import Head
from foldformer.spec import kind_of
from foldformer.train.config import DistillationSpec, TrainConfig


class Distillation:
    """The loss of a student with a teacher.

    It is no module, so that whoever collects the parameters or copies the student leaves the
    teacher out. The same object serves all copies.

    Args:
        spec: the weights of the parts.
        teacher: a trained model, whose parameters are frozen here.
    """

    def __init__(self, spec: DistillationSpec, teacher: Model) -> None:
        self.spec = spec
        self.teacher = teacher.eval().requires_grad_(False)

    def __deepcopy__(self, memo: object) -> "Distillation":
        """The same: the average of a student's weights has no teacher of its own."""
        return self

    def losses(self, student: Model, batch: Batch, chunk: int | None) -> Tensor:
        """The loss of each utterance, (B,), in nats.

        hidden * sum_t mean_places |s_t - h_t|^2 / |h_t|^2 + sum_heads weight * (output * D + data *
        L): s and h are the frames of student and teacher at places of the same depth, L a head's
        own loss, and D the divergence of `divergence`, summed over frames. So all is a sum over
        utterances, like L, and does not depend on how they are put into batches.

        Args:
            student: what is trained.
            batch: utterances.
            chunk: encoder frames a chunk, or None for the full context.
        """
        spec = self.spec
        ours: list[Tensor] = []
        x, lengths = student.encoder(
            batch.features, batch.feature_lengths, chunk, after=ours.append if spec.hidden else None
        )
        theirs: list[Tensor] = []
        with torch.no_grad():
            y, _ = self._at(x.device).encoder(
                batch.features,
                batch.feature_lengths,
                chunk,
                student.encoder.left_context,
                after=theirs.append if spec.hidden else None,
            )
        parts = []
        if spec.hidden:
            parts.append(spec.hidden * hidden_error(ours, theirs, lengths))
        if spec.data:
            own = student.head_losses(x, lengths, batch.targets, batch.target_lengths)
            parts += [
                spec.data * s.weight * own[kind_of(s)] for s in student.spec.heads if s.weight
            ]
        if spec.output:
            for each in student.spec.heads:
                if each.weight:
                    heads = student.head(kind_of(each)), self.teacher.head(kind_of(each))
                    found = self._divergence(*heads, x, y, lengths, batch)
                    parts.append(spec.output * each.weight * found)
        return torch.stack(parts).sum(dim=0)

    def _divergence(
        self, ours: Head, theirs: Head, x: Tensor, y: Tensor, lengths: Tensor, batch: Batch
    ) -> Tensor:
        temperature = self.spec.temperature
        with torch.no_grad():
            wanted = theirs.outputs(y, batch.targets, temperature)
        found = ours.outputs(x, batch.targets, temperature)
        # The gradient of a softened distribution is smaller by the square (Hinton et al., 2).
        return temperature**2 * divergence(found, wanted, lengths, batch.target_lengths)

    def _at(self, device: torch.device) -> Model:
        """The teacher, on the device of the student."""
        if self.teacher.encoder.norm.weight.device != device:
            self.teacher.to(device)
        return self.teacher


def losses_of(
    model: Model, batch: Batch, chunk: int | None, teaching: Distillation | None = None
) -> Tensor:
    """The loss of each utterance, (B,), in nats: the model's own, or the one with a teacher."""
    if teaching is not None:
        return teaching.losses(model, batch, chunk)
    losses: Tensor = model(
        batch.features, batch.feature_lengths, batch.targets, batch.target_lengths, chunk
    )
    return losses


def matching(ours: int, theirs: int) -> list[tuple[int, int]]:
    """Places of the same depth in two stacks of so many layers, counted from 0.

    All places where both have the same number, else as many as the smaller one has.

    >>> matching(3, 3), matching(2, 6)
    ([(0, 0), (1, 1), (2, 2)], [(0, 2), (1, 5)])
    """
    fewer = min(ours, theirs)
    return [((n * ours - 1) // fewer, (n * theirs - 1) // fewer) for n in range(1, fewer + 1)]


def hidden_error(student: Sequence[Tensor], teacher: Sequence[Tensor], lengths: Tensor) -> Tensor:
    """sum_t mean_places |s_t - h_t|^2 / |h_t|^2 of each utterance, (B,); padding does not count.

    Args:
        student: frames (B, T, D) after each use of a layer.
        teacher: those of the teacher, of another number of uses perhaps; see `matching`.
        lengths: valid frames (B,).
    """
    total = torch.zeros(len(lengths), device=lengths.device)
    pairs = matching(len(student), len(teacher))
    for ours, theirs in pairs:
        s, h = _at_least_float(student[ours]), _at_least_float(teacher[theirs])
        error = (s - h).square().sum(-1) / h.square().sum(-1).clamp(min=1e-6)
        total = total + _valid(error, lengths).sum(1)
    return total / len(pairs)


def divergence(student: Tensor, teacher: Tensor, lengths: Tensor, target_lengths: Tensor) -> Tensor:
    """sum_t KL(teacher || student) of each utterance, (B,), in nats; padding does not count.

    For a lattice the mean over the numbers of tokens emitted before, so that a frame has the same
    weight as for a head without one.

    Args:
        student: log-probabilities (B, T, N), or (B, T, U+1, N).
        teacher: the same.
        lengths: valid frames (B,).
        target_lengths: tokens (B,).
    """
    found = (teacher.exp() * (teacher - student)).sum(-1)
    if found.dim() == 3:
        places = torch.arange(found.shape[2], device=found.device)
        emitted = (places <= target_lengths[:, None])[:, None]
        found = torch.where(emitted, found, 0).sum(2) / (target_lengths[:, None] + 1)
    return _valid(found, lengths).sum(1)


def _valid(x: Tensor, lengths: Tensor) -> Tensor:
    """(B, T) with zeros past the lengths."""
    return torch.where(torch.arange(x.shape[1], device=x.device) < lengths[:, None], x, 0)


def _at_least_float(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def distillation_of(config: TrainConfig, student: Model, tokens: Tokens) -> Distillation | None:
    """The distillation that a training asks for; None if it asks for none.

    Raises:
        InputError: the teacher is no model, or one that this student cannot learn from.
    """
    spec = config.training.distillation
    if spec is None:
        return None
    folder = Path(spec.teacher)
    teacher, about = load_model(folder)
    if about.text != config.data.text:
        raise _unfit(folder, f"writes {about.text}, and data.text is {config.data.text}")
    own, theirs = tokens.symbols, Tokens.load_symbols(folder).symbols
    if theirs != own:
        raise _unfit(
            folder,
            f"has other tokens ({len(theirs)}, and there are {len(own)} of the student); "
            "take the teacher's with tokens.folder",
        )
    ours, other = student.spec.encoder, about.model.encoder
    if ours.subsampling.num_mels != other.subsampling.num_mels:
        raise _unfit(
            folder,
            f"hears {other.subsampling.num_mels} features a frame "
            f"(subsampling.num_mels), the student {ours.subsampling.num_mels}",
        )
    if spec.hidden and ours.d_model != other.d_model:
        raise _unfit(
            folder,
            f"has frames of width {other.d_model}, the student of {ours.d_model}; with "
            "training.distillation.hidden 0 the outputs alone are compared",
        )
    lacking = [
        kind_of(s) for s in student.spec.heads if s.weight and kind_of(s) not in teacher.heads
    ]
    if spec.output and lacking:
        raise _unfit(
            folder,
            f"has no {lacking[0]} head, only {', '.join(teacher.heads)}; with "
            "training.distillation.output 0 the heads are not compared",
        )
    return Distillation(spec, teacher)


def _unfit(folder: Path, why: str) -> InputError:
    return InputError(f"{folder}: cannot be the teacher (training.distillation): it {why}")
