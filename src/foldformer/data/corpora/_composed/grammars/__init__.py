"""Grammars: a meaning to the words of a language and the recorded units that say them.

The folder is the registry: a language is a file named by its code, with one class derived from
`Grammar` in it, and its recordings in `data/corpora/units`. What a unit says is spelled in the
index of the units; a grammar orders units and joins them to written words.
"""

import importlib
import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from foldformer.data.corpora._composed.index import load_index
from foldformer.data.corpora._composed.meanings import (
    Date,
    Digits,
    Letters,
    Meaning,
    Number,
    Part,
    Phonetic,
    Time,
)


class UnsayableError(Exception):
    """The recordings of a language lack a word that the meaning needs."""


@dataclass(frozen=True)
class Word:
    """A word as it is written, and the recorded units that are played to say it.

    Where one recording holds several words ("a las", "p m"), they stand together in `text`.
    """

    text: str
    units: tuple[str, ...]


Words = list[Word]


class Grammar(ABC):
    """How one language says a meaning with the units that were recorded for it."""

    language: ClassVar[str]
    speaker: ClassVar[str]
    thousands: ClassVar[Sequence[int]] = range(1000)
    """The numbers of thousands that can be said, ascending; 0 for none."""
    below_thousand: ClassVar[Sequence[int]] = range(1000)
    """What can be said after the thousands, ascending."""
    other_letters: ClassVar[dict[str, str]] = {}
    """Units of letters that are not named like the letter."""

    def say(self, meaning: Meaning) -> Words:
        """The words of a meaning, in order.

        Raises:
            UnsayableError: a word that this language needs for it was not recorded.
        """
        words: Words = []
        for part in meaning:
            words += self._say_part(part, first=not words)
        return words

    def _say_part(self, part: Part, first: bool) -> Words:
        if isinstance(part, Number):
            if part.value // 1000 not in self.thousands:
                raise UnsayableError(f"{part} in {self.language}")
            if part.value % 1000 not in self.below_thousand:
                raise UnsayableError(f"{part} in {self.language}")
            return self.number(part.value)
        if isinstance(part, Date):
            return self.date(part)
        if isinstance(part, Time):
            return self.time(part, first)
        if isinstance(part, Digits):
            return [self.play(f"digits/{digit}") for digit in part.digits]
        if isinstance(part, Letters):
            return [
                self.play(self.other_letters.get(letter, f"letters/{letter}"))
                for letter in part.letters
            ]
        assert isinstance(part, Phonetic)
        return [self.play(f"phonetic/{letter}_p") for letter in part.letters]

    @abstractmethod
    def number(self, value: int) -> Words:
        """A whole number made of `thousands` and `below_thousand`."""

    @abstractmethod
    def date(self, date: Date) -> Words:
        """A date, perhaps without its year, perhaps with its weekday before it.

        Raises:
            UnsayableError: see `say`.
        """

    @abstractmethod
    def time(self, time: Time, first: bool) -> Words:
        """A time of day, perhaps with its weekday; `first`: nothing was said before it.

        Raises:
            UnsayableError: see `say`.
        """

    def play(self, unit: str) -> Word:
        """One unit, spelled as in the index."""
        return Word(load_index(self.language)[unit].words, (unit,))

    def weekday(self, weekday: int | None) -> Words:
        """The weekday (0 = Monday), or nothing."""
        return [] if weekday is None else [self.play(f"digits/day-{(weekday + 1) % 7}")]

    def month(self, month: int) -> Word:
        """The month (1 = January)."""
        return self.play(f"digits/mon-{month - 1}")


def joined(words: Sequence[Word], between: str = "") -> Word:
    """Several words written as one."""
    return Word(between.join(word.text for word in words), units_of(words))


def text_of(words: Sequence[Word]) -> str:
    """The transcript."""
    return " ".join(word.text for word in words)


def units_of(words: Sequence[Word]) -> tuple[str, ...]:
    """The units of all words, in order."""
    return tuple(unit for word in words for unit in word.units)


@cache
def languages() -> tuple[str, ...]:
    """The codes of the languages that have a grammar, sorted."""
    return tuple(sorted(info.name for info in pkgutil.iter_modules(__path__)))


@cache
def grammar_of(language: str) -> Grammar:
    """The grammar of one of `languages()`."""
    module = importlib.import_module(f"{__name__}.{language}")
    classes = [cls for _, cls in inspect.getmembers(module, inspect.isclass)]
    (found,) = [cls for cls in classes if cls.__module__ == module.__name__]
    assert issubclass(found, Grammar)
    return found()
