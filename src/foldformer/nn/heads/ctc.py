"""Connectionist temporal classification (Graves et al. 2006): one token or blank a frame."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foldformer.errors import SpecError
from foldformer.nn.heads import Head, HeadSpec


@dataclass(frozen=True, kw_only=True)
class CtcSpec(HeadSpec):
    """A linear map to the vocabulary."""

    dropout: float = 0.0
    """Share of the encoder outputs' numbers set to 0 in training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.dropout < 1:
            raise SpecError(f"dropout: expected a number from 0 to below 1, got {self.dropout}")

    def build(self, d_model: int, vocab_size: int) -> "CtcHead":
        """The module for encoder outputs of width `d_model`."""
        return CtcHead(self, d_model, vocab_size)


class CtcHead(Head):
    """log_softmax(x @ weight + bias) and the CTC loss."""

    def __init__(self, spec: CtcSpec, d_model: int, vocab_size: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(spec.dropout)
        self.output = nn.Linear(d_model, vocab_size)

    def log_probs(self, x: Tensor) -> Tensor:
        """Log-probabilities (..., V) of encoder outputs (..., D), in float32 at least."""
        logits: Tensor = self.output(self.dropout(x))
        return logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))

    def outputs(self, x: Tensor, targets: Tensor, temperature: float = 1.0) -> Tensor:
        """Log-probabilities (B, T, V) of each frame's token; see `Head.outputs`."""
        if temperature == 1:
            return self.log_probs(x)
        return (self.log_probs(x) / temperature).log_softmax(-1)

    def loss(self, x: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor) -> Tensor:
        """-log P(targets | x) of each utterance, in nats; see `Head.loss`.

        An utterance that has no alignment, because it has fewer frames than tokens plus one blank
        between each pair of equal neighbours, has loss 0 and gradient 0: leave it out of averages.
        """
        return nn.functional.ctc_loss(
            self.log_probs(x).transpose(0, 1),
            targets,
            lengths,
            target_lengths,
            reduction="none",
            zero_infinity=True,
        )
