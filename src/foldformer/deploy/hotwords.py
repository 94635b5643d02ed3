"""Phrases that a search is to prefer, in the form that sherpa-onnx reads."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foldformer.data.tokens import Tokens, normalise
from foldformer.errors import InputError

SCORE = 1.5
"""Nats that each token of a phrase is raised by, unless told otherwise."""

_SCORE = re.compile(r"(.*\S)\s+:(-?[0-9]{1,6}\.?[0-9]{0,6})")
"""The runtime reads it as a float, and fails for one that is out of a float's range."""

_ALMOST = re.compile(r".*:\s*[-+]?[0-9.]+(e[-+]?[0-9]+)?")
"""What is meant as one, and is none."""


@dataclass(frozen=True)
class Hotwords:
    """Phrases, and how much each of their tokens is raised, in nats.

    Attributes:
        phrases: words as the model writes them; `phrase :2.5` has a score of its own.
        score: of phrases without their own.
    """

    phrases: tuple[str, ...]
    score: float = SCORE

    def write(self, folder: Path, tokens: Tokens) -> Path:
        """Write the file that the runtime reads, into a folder.

        Raises:
            InputError: no phrase, or one with letters that the model cannot write.
        """
        lines = [_line(phrase, tokens) for phrase in self.phrases]
        if not lines:
            raise InputError("hotwords: there are none; expected a phrase a line")
        path = folder / "hotwords.txt"
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path


def read_hotwords(path: Path, score: float) -> Hotwords:
    """The phrases of a file, one a line.

    Raises:
        InputError: it cannot be read, or there is none in it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8; expected a phrase a line") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    phrases = tuple(line for line in map(str.strip, lines) if line)
    if not phrases:
        raise InputError(f"{path}: is empty; expected a phrase a line")
    return Hotwords(phrases, score)


def _line(phrase: str, tokens: Tokens) -> str:
    match = _SCORE.fullmatch(phrase.strip())
    text, score = (match[1], f" :{match[2]}") if match else (phrase, "")
    unknown: Sequence[str] = list(tokens.count_unknown([text]))
    almost = match is None and _ALMOST.fullmatch(phrase.strip())
    if almost and (unknown or " :" in phrase):  # which the runtime takes for one
        raise InputError(
            f"hotwords: {phrase!r}: a score of its own is written `phrase :2.5`, after a space "
            "and with one to six digits on both sides of a point"
        )
    if unknown or not normalise(text):
        what = f"the model cannot write {unknown[0]!r}" if unknown else "holds no word"
        raise InputError(f"hotwords: {phrase!r}: {what}; leave it out")
    if any(word.startswith(":") for word in normalise(text).split()):
        raise InputError(
            f"hotwords: {phrase!r}: the runtime takes a word that begins with a colon for a score; "
            "leave it out"
        )
    return normalise(text) + score
