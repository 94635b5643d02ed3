"""Searches with a transducer head, as sherpa-onnx defines them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from foldformer.decode.search import BLANK, Hypothesis, Search
from foldformer.nn.heads.transducer import TransducerHead


@dataclass(frozen=True)
class TransducerState:
    """The hypotheses that are followed, and the frames that they account for."""

    hypotheses: tuple[Hypothesis, ...] = (Hypothesis(),)
    num_frames: int = 0


class TransducerGreedySearch(Search[TransducerState]):
    """Takes the best token at each step; a blank, or `max_symbols` tokens, end a frame.

    The score is that of the steps taken. With `max_symbols=1` this is `TransducerBeamSearch` with
    a beam of 1, and the greedy search of sherpa-onnx.

    Args:
        head: the predictor and joiner.
        max_symbols: tokens that one frame can emit, 1 or more.
        unk: a token that counts as a blank, as `<unk>` does in sherpa-onnx.
    """

    def __init__(
        self, head: TransducerHead, max_symbols: int = 1, *, unk: int | None = None
    ) -> None:
        if max_symbols < 1:
            raise ValueError(f"max_symbols: expected 1 or more, got {max_symbols}")
        self.head = head
        self.max_symbols = max_symbols
        self.blanks = (BLANK, unk)

    def init_state(self) -> TransducerState:
        """The state before the first frame."""
        return TransducerState()

    @torch.no_grad()
    def advance(self, state: TransducerState, encoder_out: Tensor) -> TransducerState:
        """The state after the next frames (T, D) of encoder outputs."""
        (found,) = state.hypotheses
        tokens, frames, log_probs = list(found.tokens), list(found.frames), list(found.log_probs)
        score = found.score
        decoder_out = self.head.predictor(_contexts(self.head, [tokens]))[0]
        for frame, x in enumerate(self.head.project(encoder_out), start=state.num_frames):
            for _ in range(self.max_symbols):
                best, place = _log_probs(self.head, x, decoder_out).max(-1)
                score, token = score + best.item(), int(place)
                if token in self.blanks:
                    break
                tokens.append(token)
                frames.append(frame)
                log_probs.append(best.item())
                decoder_out = self.head.predictor(_contexts(self.head, [tokens]))[0]
        hypothesis = Hypothesis(tuple(tokens), score, tuple(frames), tuple(log_probs))
        return TransducerState((hypothesis,), state.num_frames + len(encoder_out))

    def hypotheses(self, state: TransducerState) -> list[Hypothesis]:
        """The one hypothesis followed."""
        return list(state.hypotheses)


class TransducerBeamSearch(Search[TransducerState]):
    """Modified beam search: a blank or one token a frame, for `beam_size` hypotheses at a time.

    Of all continuations of all hypotheses the `beam_size` best are kept, then those with equal
    tokens are merged: their probabilities are added, and the frames of the better one stay,
    with the log-probabilities of its tokens.

    Args:
        head: the predictor and joiner.
        beam_size: hypotheses kept after each frame, 1 or more; sherpa-onnx: `max_active_paths`.
        length_norm: rank by score / (tokens + the predictor's context), as icefall and
            sherpa-onnx do, and not by score. The scores themselves stay as they are.
        unk: a token that counts as a blank, as `<unk>` does in sherpa-onnx.
    """

    def __init__(
        self,
        head: TransducerHead,
        beam_size: int = 4,
        *,
        length_norm: bool = True,
        unk: int | None = None,
    ) -> None:
        if beam_size < 1:
            raise ValueError(f"beam_size: expected 1 or more, got {beam_size}")
        self.head = head
        self.beam_size = beam_size
        self.length_norm = length_norm
        self.blanks = (BLANK, unk)

    def init_state(self) -> TransducerState:
        """The state before the first frame."""
        return TransducerState()

    @torch.no_grad()
    def advance(self, state: TransducerState, encoder_out: Tensor) -> TransducerState:
        """The state after the next frames (T, D) of encoder outputs."""
        hypotheses = state.hypotheses
        for frame, x in enumerate(self.head.project(encoder_out), start=state.num_frames):
            hypotheses = self._step(hypotheses, x, frame)
        return TransducerState(hypotheses, state.num_frames + len(encoder_out))

    def hypotheses(self, state: TransducerState) -> list[Hypothesis]:
        """The hypotheses in the beam, best first."""
        context = len(self.head.predictor.start_context())

        def rank(hypothesis: Hypothesis) -> float:
            length = len(hypothesis.tokens) + context
            return hypothesis.score / length if self.length_norm else hypothesis.score

        return sorted(state.hypotheses, key=rank, reverse=True)

    def _step(
        self, hypotheses: tuple[Hypothesis, ...], x: Tensor, frame: int
    ) -> tuple[Hypothesis, ...]:
        decoder_out = self.head.predictor(_contexts(self.head, [h.tokens for h in hypotheses]))
        log_probs = _log_probs(self.head, x, decoder_out).double()
        scores = log_probs + log_probs.new_tensor([[h.score] for h in hypotheses])
        best, places = scores.flatten().topk(min(self.beam_size, scores.numel()))
        merged: dict[tuple[int, ...], Hypothesis] = {}
        for score, place in zip(best.tolist(), places.tolist(), strict=True):
            which, token = divmod(place, scores.shape[1])
            made = replace(hypotheses[which], score=score)
            if token not in self.blanks:
                made = Hypothesis(
                    tokens=(*made.tokens, token),
                    score=score,
                    frames=(*made.frames, frame),
                    log_probs=(*made.log_probs, log_probs[which, token].item()),
                )
            if better := merged.get(made.tokens):
                made = replace(better, score=_log_add(better.score, score))
            merged[made.tokens] = made
        return tuple(merged.values())


def _contexts(head: TransducerHead, histories: Sequence[Sequence[int]]) -> Tensor:
    """What the predictor sees (N, context) after each of N sequences of tokens."""
    start = head.predictor.start_context()
    rows = [[*start, *tokens[-len(start) :]][-len(start) :] for tokens in histories]
    return torch.tensor(rows, device=head.predictor.weight.device)


def _log_probs(head: TransducerHead, encoder_out: Tensor, decoder_out: Tensor) -> Tensor:
    logits: Tensor = head.joiner(encoder_out, decoder_out)
    return logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))


def _log_add(high: float, low: float) -> float:
    """log(exp(high) + exp(low)) for high >= low."""
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
