"""Grammars: a meaning to the words of a language and the recorded units that say them.

The folder is the registry: a language is a file named by its code, with one class derived from
`Grammar` in it, and its recordings in `data/corpora/units`.
"""

import importlib
import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

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
from foldformer.errors import SpecError
from foldformer.spec import nearest


class UnsayableError(Exception):
    """The recordings of a language lack a word that the meaning needs."""


@dataclass(frozen=True)
class Word:
    """A word as it is written, and the recorded units that are played to say it."""

    text: str
    units: tuple[str, ...]


Words = list[Word]


class Grammar(ABC):
    """How one language says a meaning with the units that were recorded for it."""

    language: str
    speaker: str

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
            return self.number(part.value)
        if isinstance(part, Digits):
            return self.digits(part.digits)
        if isinstance(part, Date):
            return self.date(part)
        if isinstance(part, Time):
            return self.time(part, first)
        if isinstance(part, Letters):
            return self.letters(part.letters)
        assert isinstance(part, Phonetic)
        return self.phonetic(part.letters)

    @abstractmethod
    def number(self, value: int) -> Words:
        """A whole number from 0 to 999,999."""

    @abstractmethod
    def digits(self, digits: str) -> Words:
        """Digits one by one."""

    @abstractmethod
    def date(self, date: Date) -> Words:
        """A date, perhaps without its year, perhaps with its weekday before it."""

    @abstractmethod
    def time(self, time: Time, first: bool) -> Words:
        """A time of day, perhaps with its weekday; `first`: nothing was said before it."""

    @abstractmethod
    def letters(self, letters: str) -> Words:
        """Letters by their names."""

    @abstractmethod
    def phonetic(self, letters: str) -> Words:
        """Letters by the words of the telephone alphabet."""

    def draw_number(self, random: Random) -> int:
        """A number that the language can say: one to six digits, mostly three or more."""
        size = random.choices((1, 2, 3, 4, 5, 6), weights=(2, 12, 26, 28, 16, 16))[0]
        return random.randrange(10 ** (size - 1) if size > 1 else 0, 10**size)


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
    """The grammar of a language.

    Raises:
        SpecError: there is none.
    """
    if language not in languages():
        raise SpecError(f"languages: unknown language {language!r}{nearest(language, languages())}")
    module = importlib.import_module(f"{__name__}.{language}")
    classes = [cls for _, cls in inspect.getmembers(module, inspect.isclass)]
    grammar: Grammar = next(cls for cls in classes if cls.__module__ == module.__name__)()
    return grammar
