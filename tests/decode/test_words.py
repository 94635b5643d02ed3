"""Words with times, of hypotheses whose tokens and times are known."""

import pytest

from foldformer.decode.transcript import Transcript
from foldformer.decode.words import words_of


def transcript(*tokens: tuple[str, float, float]) -> Transcript:
    """Tokens with their times and scores."""
    text = " ".join("".join(symbol for symbol, _, _ in tokens).replace("▁", " ").split())
    symbols, times, scores = zip(*tokens, strict=True) if tokens else ((), (), ())
    return Transcript(text, symbols, times, scores, sum(scores))


PIECES = transcript(("▁hel", 0.4, -1.0), ("lo", 0.52, -0.5), ("▁world", 0.8, -0.25))
CHARACTERS = transcript(
    ("a", 0.4, -1.0), ("b", 0.48, -0.5), ("▁", 0.6, -3.0), ("c", 1.2, -0.25), ("▁", 1.4, -2.0)
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (PIECES, [("hello", 0.4, 0.72, -1.5), ("world", 0.8, 1.0, -0.25)]),
        (CHARACTERS, [("ab", 0.4, 0.68, -1.5), ("c", 1.2, 1.4, -0.25)]),
        (transcript(), []),
        (transcript(("▁", 0.1, -1.0)), []),
        # The next word comes before the first one has lasted 0.2 s, or with it.
        (transcript(("▁a", 0.4, 0.0), ("▁b", 0.48, 0.0)),
         [("a", 0.4, 0.48, 0.0), ("b", 0.48, 0.68, 0.0)]),
        (transcript(("▁a", 0.4, 0.0), ("▁b", 0.4, 0.0)),
         [("a", 0.4, 0.4, 0.0), ("b", 0.4, 0.6, 0.0)]),
        # A token may hold the end of a word and the start of the next.
        (transcript(("a", 0.4, -1.0), ("b▁c", 0.6, -2.0)),
         [("ab", 0.4, 0.6, -3.0), ("c", 0.6, 0.8, -2.0)]),
        (transcript(("▁late", 2.9, 0.0)), [("late", 2.9, 3.0, 0.0)]),
    ],
)  # fmt: skip
def test_words(given: Transcript, expected: list[tuple[str, float, float, float]]) -> None:
    found = words_of(given, end=3.0)
    assert [(word.text, word.start, word.end, word.score) for word in found] == expected
    assert " ".join(word.text for word in found) == given.text
