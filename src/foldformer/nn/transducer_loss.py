"""The transducer loss (Graves 2012, arXiv:1211.3711), with gradients from occupation probabilities.

An alignment walks from (t=0, u=0) to the end: a *blank* arc goes from frame t to frame t+1, a
*label* arc emits token u and stays in its frame; the last arc is a blank. The recursions go over
the anti-diagonals n = t + u, all utterances at once, in float64. The padding of an utterance is a
corridor of arcs of probability 1 from its own end to the common end (T, U), so that the recursions
need no masks.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Logits worked on at a time: temporaries stay in a core's cache, and are small beside the logits.
_BLOCK_CPU = 2**18
_BLOCK_GPU = 2**24


def transducer_loss(
    logits: Tensor,
    targets: Tensor,
    lengths: Tensor,
    target_lengths: Tensor,
    blank: int = 0,
    *,
    overwrite_logits: bool = False,
) -> Tensor:
    """-log P(targets | logits), summed over all alignments, of each utterance, in nats.

    Beside the logits and their gradient, memory holds a few numbers per (t, u), none per token.
    Half precision is safe: everything but the logits and their gradient is float32 or float64.
    Padding may hold anything, also nan. A token of logit -inf is impossible; an utterance without
    a possible alignment has loss inf and gradient 0.

    One token in two frames has two alignments, each of three symbols; with two equally probable
    symbols they sum to 2 / 8:

    >>> one, two = torch.tensor([1]), torch.tensor([2])
    >>> transducer_loss(torch.zeros(1, 2, 2, 2), one[None], two, one).neg().exp()
    tensor([0.2500])

    Args:
        logits: unnormalised scores (B, T, U+1, V), floating point.
        targets: token ids (B, U), without blanks; what lies past the length is ignored.
        lengths: valid frames of each utterance (B,), from 1 to T.
        target_lengths: tokens of each utterance (B,), from 0 to U.
        blank: the id of the blank token.
        overwrite_logits: let the backward pass write the gradient over the logits, which halves
            its memory. For logits that nothing else uses: whatever needs their values in a later
            backward pass gets PyTorch's error about an in-place operation.

    Returns:
        (B,) losses: float64 for float64 logits, else float32.

    Raises:
        ValueError: shapes, types or values that do not fit together.
    """
    _check_shapes(logits, targets, lengths, target_lengths, blank)
    frames, tokens = lengths.tolist(), target_lengths.tolist()
    _check_values(logits, targets, frames, tokens, blank)
    losses: Tensor = _TransducerLoss.apply(  # type: ignore[no-untyped-call]  # apply has no types
        logits, targets, frames, tokens, blank, overwrite_logits
    )
    return losses


class _TransducerLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        targets: Tensor,
        frames: list[int],
        tokens: list[int],
        blank: int,
        overwrite: bool,
    ) -> Tensor:
        working = torch.promote_types(logits.dtype, torch.float32)
        lattice = _Lattice(logits.shape, logits.device)
        for cells in _blocks(logits, frames, tokens):
            log_probs = torch.log_softmax(logits[cells], -1, dtype=working)
            lattice.blank[cells] = log_probs[..., blank].double()
            labels, positions = _labels(targets, cells)
            lattice.label[cells][:, :-1] = log_probs[:, positions, labels].double()
        lattice.lead_to_end(frames, tokens)
        alpha = lattice.alpha()
        log_likelihood = alpha[-1, :, -1]
        if ctx.needs_input_grad[0]:
            beta = lattice.beta()
            arcs = lattice.occupation(alpha, beta, log_likelihood, working)
            ctx.save_for_backward(logits, targets, *arcs)
            ctx.rest = (frames, tokens, blank, overwrite)
        return -log_likelihood.to(working)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        logits, targets, blank_arcs, label_arcs = ctx.saved_tensors
        frames, tokens, blank, overwrite = ctx.rest
        grad = logits if overwrite else torch.empty_like(logits)
        for cells in _blocks(logits, frames, tokens):
            factor = grad_loss[cells[0]]
            grad[cells] = _gradient(
                torch.softmax(logits[cells], -1, dtype=grad_loss.dtype),
                *_labels(targets, cells),
                blank_arcs[cells] * factor,
                label_arcs[cells][:, :-1] * factor,
                blank,
            )
        for b, (num_frames, num_tokens) in enumerate(zip(frames, tokens, strict=True)):
            grad[b, num_frames:] = 0
            grad[b, :num_frames, num_tokens + 1 :] = 0
        return grad, None, None, None, None, None


class _Lattice:
    """Log-probabilities of the arcs, stored by anti-diagonal: (N+1, B, U+1) with N = T + U.

    `blank` and `label` are views (B, T+1, U+1) of the same memory: the arcs that leave (t, u).
    """

    def __init__(self, shape: torch.Size, device: torch.device) -> None:
        batch, frames, width, _ = shape
        by_diagonal = (frames + width, batch, width)
        strides = (width, batch * width, batch * width + 1)
        self.arcs = torch.full((2, *by_diagonal), -torch.inf, dtype=torch.float64, device=device)
        self.blank, self.label = (
            arcs.as_strided((batch, frames + 1, width), strides, arcs.storage_offset())
            for arcs in self.arcs
        )

    def lead_to_end(self, frames: list[int], tokens: list[int]) -> None:
        """Open the corridors from the end of each utterance, (frames, tokens), to (T, U)."""
        for b, (num_frames, num_tokens) in enumerate(zip(frames, tokens, strict=True)):
            self.blank[b, num_frames:, num_tokens] = 0
            self.label[b, -1, num_tokens:] = 0

    def alpha(self) -> Tensor:
        """(N+1, B, U+1): log-probability of reaching a cell from (0, 0)."""
        table = torch.full_like(self.arcs[0], -torch.inf)
        table[0, :, 0] = 0
        cells, behind, ahead = table.unbind(), table[..., :-1].unbind(), table[..., 1:].unbind()
        blank, label = self.arcs[0].unbind(), self.arcs[1, ..., :-1].unbind()
        for n in range(len(cells) - 1):
            torch.add(cells[n], blank[n], out=cells[n + 1])
            torch.logaddexp(ahead[n + 1], behind[n] + label[n], out=ahead[n + 1])
        return table

    def beta(self) -> Tensor:
        """(N+1, B, U+1): log-probability of reaching the end (T, U) from a cell."""
        table = torch.full_like(self.arcs[0], -torch.inf)
        table[-1, :, -1] = 0
        cells, behind, ahead = table.unbind(), table[..., :-1].unbind(), table[..., 1:].unbind()
        blank, label = self.arcs[0].unbind(), self.arcs[1, ..., :-1].unbind()
        for n in reversed(range(len(cells) - 1)):
            torch.add(cells[n + 1], blank[n], out=cells[n])
            torch.logaddexp(behind[n], ahead[n + 1] + label[n], out=behind[n])
        return table

    def occupation(
        self, alpha: Tensor, beta: Tensor, log_likelihood: Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """Probabilities (B, T, U+1) that an alignment takes the blank and the label arc of a cell.

        Works in place: the arcs are lost.
        """
        possible = log_likelihood.masked_fill(log_likelihood.isinf(), 0).unsqueeze(-1)
        self.arcs[:, :-1] += alpha[:-1] - possible
        self.arcs[0, :-1] += beta[1:]
        self.arcs[1, :-1, :, :-1] += beta[1:, :, 1:]
        self.arcs.exp_()
        return self.blank[:, :-1].to(dtype), self.label[:, :-1].to(dtype)


def _blocks(
    logits: Tensor, frames: list[int], tokens: list[int]
) -> Iterator[tuple[int, slice, slice]]:
    """Indices (utterance, frames, tokens + 1) of blocks that cover all cells but the padding."""
    size = _BLOCK_CPU if logits.device.type == "cpu" else _BLOCK_GPU
    for b, (num_frames, num_tokens) in enumerate(zip(frames, tokens, strict=True)):
        step = max(1, size // ((num_tokens + 1) * logits.shape[-1]))
        for start in range(0, num_frames, step):
            yield b, slice(start, min(start + step, num_frames)), slice(0, num_tokens + 1)


def _gradient(
    probs: Tensor, labels: Tensor, positions: Tensor, by_blank: Tensor, by_label: Tensor, blank: int
) -> Tensor:
    """d loss / d logits = visits * probs - taken arcs; in place of `probs` (T, U+1, V)."""
    visits = by_blank.clone()
    visits[:, :-1] += by_label
    probs *= visits.unsqueeze(-1)
    probs[..., blank] -= by_blank
    probs[:, positions, labels] -= by_label
    return probs


def _labels(targets: Tensor, cells: tuple[int, slice, slice]) -> tuple[Tensor, Tensor]:
    """The tokens of one utterance (U,), and their positions (U,) in a block."""
    labels = targets[cells[0], : cells[2].stop - 1].long()
    return labels, torch.arange(len(labels), device=labels.device)


def _check_shapes(
    logits: Tensor, targets: Tensor, lengths: Tensor, target_lengths: Tensor, blank: int
) -> None:
    if logits.dim() != 4 or not logits.is_floating_point():
        raise ValueError(
            "logits: expected floating-point numbers of shape (B, T, U+1, V), "
            f"got {logits.dtype} of shape {tuple(logits.shape)}"
        )
    batch, _, width, vocab_size = logits.shape
    expected = {
        "targets": (targets, (batch, width - 1)),
        "lengths": (lengths, (batch,)),
        "target_lengths": (target_lengths, (batch,)),
    }
    for name, (tensor, shape) in expected.items():
        if tensor.shape != shape:
            raise ValueError(
                f"{name}: expected shape {shape} beside logits of shape {tuple(logits.shape)}, "
                f"got {tuple(tensor.shape)}"
            )
        if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
            raise ValueError(f"{name}: expected whole numbers, got {tensor.dtype}")
    if not 0 <= blank < vocab_size:
        raise ValueError(f"blank: expected an id from 0 to {vocab_size - 1}, got {blank}")


def _check_values(
    logits: Tensor, targets: Tensor, frames: list[int], tokens: list[int], blank: int
) -> None:
    _, max_frames, width, vocab_size = logits.shape
    for b, (num_frames, num_tokens) in enumerate(zip(frames, tokens, strict=True)):
        if not 1 <= num_frames <= max_frames:
            raise ValueError(f"lengths[{b}]: expected 1 to {max_frames} frames, got {num_frames}")
        if not 0 <= num_tokens < width:
            raise ValueError(
                f"target_lengths[{b}]: expected 0 to {width - 1} tokens, got {num_tokens}"
            )
    for b, (row, num_tokens) in enumerate(zip(targets.tolist(), tokens, strict=True)):
        for u, token in enumerate(row[:num_tokens]):
            if not 0 <= token < vocab_size or token == blank:
                raise ValueError(
                    f"targets[{b}, {u}]: expected an id from 0 to {vocab_size - 1} other than "
                    f"blank ({blank}), got {token}"
                )
