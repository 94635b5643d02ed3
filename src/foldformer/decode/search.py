"""What all searches share: a hypothesis, and `init_state`, `advance`, `hypotheses`.

A whole utterance is one chunk of a stream: offline and streaming decoding are the same code.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from torch import Tensor

State = TypeVar("State")

BLANK = 0
"""The id of the blank token, in every head and in the runtimes."""


@dataclass(frozen=True)
class Hypothesis:
    """Tokens that an utterance may consist of."""

    tokens: tuple[int, ...] = ()
    """Token ids, without blanks."""
    score: float = 0.0
    """Log-probability in nats, as far as the search has summed it."""
    frames: tuple[int, ...] = ()
    """The encoder frame at which each token was emitted, counted from the start of the stream."""
    log_probs: tuple[float, ...] = ()
    """The log-probability of each token at its frame, in nats."""


def until(hypothesis: Hypothesis, end: int) -> Hypothesis:
    """The tokens at frames before `end`; the score stays that of the whole hypothesis."""
    kept = sum(frame < end for frame in hypothesis.frames)
    return replace(
        hypothesis,
        tokens=hypothesis.tokens[:kept],
        frames=hypothesis.frames[:kept],
        log_probs=hypothesis.log_probs[:kept],
    )


class Search(ABC, Generic[State]):
    """Finds hypotheses for the encoder outputs of one stream, chunk by chunk.

    The state is plain data, made by `init_state` and never changed: it can be kept, copied and
    sent elsewhere. It grows with the tokens found, so a stream begins a new one now and then.
    The head that a search is given should be in evaluation mode.
    """

    @abstractmethod
    def init_state(self) -> State:
        """The state before the first frame."""

    @abstractmethod
    def advance(self, state: State, encoder_out: Tensor) -> State:
        """The state after the next frames (T, D) of encoder outputs; T may be 0."""

    @abstractmethod
    def hypotheses(self, state: State) -> list[Hypothesis]:
        """What the frames so far may consist of, best first; at least one."""

    def decode(self, encoder_out: Tensor, lengths: Tensor) -> list[list[Hypothesis]]:
        """The hypotheses of each utterance, best first.

        Args:
            encoder_out: encoder outputs (B, T, D).
            lengths: valid frames of each utterance (B,).
        """
        return [
            self.hypotheses(self.advance(self.init_state(), x[:length]))
            for x, length in zip(encoder_out, lengths.tolist(), strict=True)
        ]
