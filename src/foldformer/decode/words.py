"""From tokens to words with times."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from foldformer.data.tokens import SPACE
from foldformer.decode.transcript import Transcript

TAIL = 0.2
"""Seconds that a word is taken to last after its last token was decided."""


@dataclass(frozen=True)
class Word:
    """A word, and when it was decided.

    Attributes:
        text: without spaces.
        start: seconds from the start of the recording at which its first token was decided.
        end: `TAIL` after its last token, at most the start of the next word.
        score: the sum of the log-probabilities of its tokens, in nats.
    """

    text: str
    start: float
    end: float
    score: float


def spelled(symbols: Sequence[str]) -> list[tuple[str, list[int]]]:
    """The words that tokens spell, each with the places of its tokens; "▁" is a space.

    >>> spelled(["▁he", "ll", "o", "▁", "you▁a"])
    [('hello', [0, 1, 2]), ('you', [4]), ('a', [4])]
    """
    words: list[tuple[str, list[int]]] = []
    begins = True
    for place, symbol in enumerate(symbols):
        for part, text in enumerate(symbol.split(SPACE)):
            begins = begins or part > 0
            if text and begins:
                words.append((text, [place]))
            elif text:
                begun, places = words[-1]
                words[-1] = begun + text, [*places, place]
            begins = begins and not text
    return words


def words_of(transcript: Transcript, end: float) -> list[Word]:
    """The words of a transcript, in their order; no word ends after `end`, in seconds.

    A model decides on a token when it has heard enough of it: the times of CTC and transducer
    tokens are those peaks, not the borders of sounds.
    """
    times, scores = transcript.times, transcript.scores
    words = [
        Word(text, times[places[0]], times[places[-1]] + TAIL, sum(scores[p] for p in places))
        for text, places in spelled(transcript.tokens)
    ]
    borders = [word.start for word in words[1:]] + [end] * bool(words)
    return [
        replace(word, end=round(max(word.start, min(word.end, border)), 3))
        for word, border in zip(words, borders, strict=True)
    ]
