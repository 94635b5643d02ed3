"""Heads: output layers with their losses. A kind is a file here with a HeadSpec and its module."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from foldformer.errors import SpecError
from foldformer.spec import Spec


class Head(nn.Module, ABC):
    """Maps encoder outputs to token scores and knows its loss. Token 0 is blank."""

    @abstractmethod
    def loss(self, x: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor) -> Tensor:
        """Negative log-likelihood of each utterance, in nats.

        Args:
            x: encoder outputs (B, T, D).
            lengths: valid frames of each utterance (B,).
            targets: token ids (B, U), without blanks; what lies past the length is ignored.
            target_lengths: tokens of each utterance (B,).

        Returns:
            (B,) losses.
        """

    @abstractmethod
    def outputs(self, x: Tensor, targets: Tensor, temperature: float = 1.0) -> Tensor:
        """Log-probabilities of what can come next, which another head of the kind can learn from.

        Args:
            x: encoder outputs (B, T, D).
            targets: token ids (B, U), 0 past the length.
            temperature: what the logits are divided by.

        Returns:
            (B, T, N) or, where it depends on the tokens before, (B, T, U+1, N), in float32 at
            least. What the N alternatives are depends on kind and vocabulary alone.
        """


@dataclass(frozen=True, kw_only=True)
class HeadSpec(Spec, ABC):
    """What every head has."""

    weight: float = 1.0
    """The factor of this head's loss in the sum; 0 keeps the head but does not train it."""

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise SpecError(f"weight: expected a number of 0 or more, got {self.weight}")

    @abstractmethod
    def build(self, d_model: int, vocab_size: int) -> Head:
        """The module for frames of width `d_model` and `vocab_size` tokens, blank included."""
