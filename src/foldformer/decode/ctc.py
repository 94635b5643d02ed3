"""Searches over the frame-wise probabilities of a CTC head."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from foldformer.decode.bootstrap import Array
from foldformer.decode.search import BLANK, Hypothesis, Search
from foldformer.nn.heads.ctc import CtcHead


@dataclass(frozen=True)
class CtcGreedyState:
    """The best path so far."""

    hypothesis: Hypothesis = field(default_factory=Hypothesis)
    last_token: int = BLANK
    """The token of the last frame, blank included: the same token after it is no new one."""
    num_frames: int = 0


class CtcGreedySearch(Search[CtcGreedyState]):
    """Takes the best token of each frame, drops repetitions and blanks.

    A token's frame is the first of its run; the score is that of the path, not of the tokens.
    """

    def __init__(self, head: CtcHead) -> None:
        self.head = head

    def init_state(self) -> CtcGreedyState:
        """The state before the first frame."""
        return CtcGreedyState()

    @torch.no_grad()
    def advance(self, state: CtcGreedyState, encoder_out: Tensor) -> CtcGreedyState:
        """The state after the next frames (T, D) of encoder outputs."""
        scores, path = self.head.log_probs(encoder_out).max(-1)
        found = state.hypothesis
        tokens, frames, log_probs = list(found.tokens), list(found.frames), list(found.log_probs)
        score, last_token = found.score, state.last_token
        steps = zip(path.tolist(), scores.tolist(), strict=True)
        for frame, (token, log_prob) in enumerate(steps, start=state.num_frames):
            score += log_prob
            if token not in (BLANK, last_token):
                tokens.append(token)
                frames.append(frame)
                log_probs.append(log_prob)
            last_token = token
        hypothesis = Hypothesis(tuple(tokens), score, tuple(frames), tuple(log_probs))
        return CtcGreedyState(hypothesis, last_token, state.num_frames + len(path))

    def hypotheses(self, state: CtcGreedyState) -> list[Hypothesis]:
        """The best path's tokens: one hypothesis."""
        return [state.hypothesis]


@dataclass(frozen=True)
class Alignments:
    """Those of a prefix that end alike: in a blank, or in the prefix's last token."""

    total: float = -math.inf
    """Log of their probabilities' sum."""
    best: float = -math.inf
    """Log-probability of the most probable one."""
    frames: tuple[int, ...] = ()
    """In that one, the frame at which each token begins."""
    log_probs: tuple[float, ...] = ()
    """The log-probability of each token there."""

    def stay(self, log_prob: float) -> "Alignments":
        """One frame later, without a new token."""
        return replace(self, total=self.total + log_prob, best=self.best + log_prob)

    def begin(self, log_prob: float, frame: int) -> "Alignments":
        """One frame later, with a new token that begins there."""
        return Alignments(
            self.total + log_prob,
            self.best + log_prob,
            (*self.frames, frame),
            (*self.log_probs, log_prob),
        )

    def join(self, other: "Alignments") -> "Alignments":
        """Both together."""
        better = self if self.best >= other.best else other
        return replace(better, total=float(np.logaddexp(self.total, other.total)))


@dataclass(frozen=True)
class Prefix:
    """Tokens that an utterance may begin with."""

    blank: Alignments = Alignments(0.0, 0.0)
    token: Alignments = Alignments()

    @cached_property
    def all(self) -> Alignments:
        """All of its alignments."""
        return self.blank.join(self.token)


@dataclass(frozen=True)
class CtcBeamState:
    """The prefixes that are followed, by their tokens, best first."""

    prefixes: Mapping[tuple[int, ...], Prefix] = field(default_factory=lambda: {(): Prefix()})
    num_frames: int = 0


class CtcBeamSearch(Search[CtcBeamState]):
    """Prefix beam search (Graves, ICML 2014, without a language model).

    The score of a hypothesis sums over all alignments that stay in the beam; its frames are those
    of the most probable one.

    Args:
        head: gives the log-probabilities of each frame's token.
        beam_size: prefixes kept after each frame, 1 or more.
    """

    def __init__(self, head: CtcHead, beam_size: int) -> None:
        if beam_size < 1:
            raise ValueError(f"beam_size: expected 1 or more, got {beam_size}")
        self.head = head
        self.beam_size = beam_size

    def init_state(self) -> CtcBeamState:
        """The state before the first frame."""
        return CtcBeamState()

    @torch.no_grad()
    def advance(self, state: CtcBeamState, encoder_out: Tensor) -> CtcBeamState:
        """The state after the next frames (T, D) of encoder outputs."""
        prefixes = state.prefixes
        rows = self.head.log_probs(encoder_out).double().cpu().numpy()
        for frame, row in enumerate(rows, start=state.num_frames):
            prefixes = self._step(prefixes, row, frame)
        return CtcBeamState(prefixes, state.num_frames + len(rows))

    def hypotheses(self, state: CtcBeamState) -> list[Hypothesis]:
        """The hypotheses in the beam, best first."""
        found = [(tokens, prefix.all) for tokens, prefix in state.prefixes.items()]
        return [
            Hypothesis(tokens, each.total, each.frames, each.log_probs) for tokens, each in found
        ]

    def _step(
        self, prefixes: Mapping[tuple[int, ...], Prefix], row: Array, frame: int
    ) -> dict[tuple[int, ...], Prefix]:
        """The best prefixes after one frame with log-probabilities (V,)."""
        places = {tokens: place for place, tokens in enumerate(prefixes)}
        before = np.array([prefix.all.total for prefix in prefixes.values()])
        longer = before[:, None] + row  # of each prefix with each token more (N, V)
        longer[:, BLANK] = -math.inf
        kept: dict[tuple[int, ...], Prefix] = {}
        for tokens, prefix in prefixes.items():
            if tokens:  # the same token is a new one after a blank alone
                last = tokens[-1]
                longer[places[tokens], last] = prefix.blank.total + row[last]
        for tokens, prefix in prefixes.items():
            token = prefix.token
            if tokens:
                last = tokens[-1]
                token = token.stay(float(row[last]))
                parent = places.get(tokens[:-1])
                if parent is not None:  # which leads to this one, too
                    longer[parent, last] = -math.inf
                    token = token.join(self._begun(prefixes, tokens, row, frame))
            kept[tokens] = Prefix(prefix.all.stay(float(row[BLANK])), token)
        names = list(prefixes)
        flat = longer.ravel()
        number = min(self.beam_size, flat.size)
        for index in np.argpartition(-flat, number - 1)[:number]:
            if flat[index] > -math.inf:
                place, token_id = divmod(int(index), len(row))
                tokens = (*names[place], token_id)
                begun = self._begun(prefixes, tokens, row, frame)
                kept[tokens] = Prefix(Alignments(), begun)
        ranked = sorted(kept.items(), key=lambda each: each[1].all.total, reverse=True)
        possible = [each for each in ranked if each[1].all.total != -math.inf]
        return dict(possible[: self.beam_size])

    @staticmethod
    def _begun(
        prefixes: Mapping[tuple[int, ...], Prefix], tokens: tuple[int, ...], row: Array, frame: int
    ) -> Alignments:
        """Those of a prefix whose last token begins at this frame."""
        *earlier, last = tokens
        prefix = prefixes[tuple(earlier)]
        source = prefix.blank if earlier and earlier[-1] == last else prefix.all
        return source.begin(float(row[last]), frame)
