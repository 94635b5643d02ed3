"""Meanings drawn at random, of the kinds asked for, that a language can say, of one split."""

import datetime
from collections.abc import Iterator, Sequence
from random import Random

from foldformer.data.corpora._composed.grammars import Grammar, UnsayableError, Words
from foldformer.data.corpora._composed.meanings import (
    Date,
    Digits,
    Letters,
    Meaning,
    Number,
    Part,
    Phonetic,
    Time,
    split_of,
    written,
)

KINDS = ("numbers", "digits", "dates", "times", "letters")
"""What can be asked for; utterances of two parts need the kinds of both."""

_FIRST_DAY = datetime.date(1900, 1, 1).toordinal()
_LAST_DAY = datetime.date(2039, 12, 31).toordinal()
_LEAP_YEAR = datetime.date(2000, 1, 1).toordinal()
_FRUITLESS = 2000  # draws in a row that bring nothing new before the kinds count as exhausted


def draw_meanings(
    grammar: Grammar, kinds: Sequence[str], split: str, random: Random, repeat: bool
) -> Iterator[tuple[Meaning, Words]]:
    """Meanings of one split and their words in one language, each once, in a random order.

    Every part of a meaning belongs to the split, so that a test date does not turn up in training
    as half of an utterance. Ends when nothing new is found, or, with `repeat`, begins anew.
    """
    seen: set[str] = set()
    fruitless = 0
    while fruitless < _FRUITLESS or (repeat and seen):
        if fruitless >= _FRUITLESS:
            seen.clear()
            fruitless = 0
        fruitless += 1
        meaning = _draw(grammar, kinds, random)
        if any(split_of(part) != split for part in meaning) or written(meaning) in seen:
            continue
        try:
            words = grammar.say(meaning)
        except UnsayableError:
            continue
        seen.add(written(meaning))
        fruitless = 0
        yield meaning, words


def _draw(grammar: Grammar, kinds: Sequence[str], random: Random) -> Meaning:
    kind = random.choice(kinds)
    if kind == "numbers":
        number = Number(_number(grammar, random))
        house = number.value < 1000 and "letters" in kinds and random.random() < 0.3
        return (number, Letters(_string(random, _ALPHABET, 3, 4))) if house else (number,)
    if kind == "digits":
        return (Digits(_string(random, "0123456789", 3, 8)),)
    if kind == "dates":
        if "times" in kinds and random.random() < 0.35:
            return (_day(random), _time(random, weekday=False))
        return (_date(random),)
    if kind == "times":
        return (_time(random, weekday=random.random() < 0.5),)
    return _letters(random, with_digits="digits" in kinds)


def _number(grammar: Grammar, random: Random) -> int:
    """Below a hundred, below a thousand, or any number, small ones more often."""
    size = random.random()
    if size < 0.14:
        return random.randrange(100)
    rest = random.choice(grammar.below_thousand)
    if size < 0.4:
        return rest
    thousands = grammar.thousands[int(len(grammar.thousands) * random.random() ** 3)]
    return thousands * 1000 + (rest if random.random() < 0.9 else 0)


_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def _string(random: Random, symbols: str, shortest: int, longest: int) -> str:
    return "".join(random.choices(symbols, k=random.randint(shortest, longest)))


def _date(random: Random) -> Part:
    date = datetime.date.fromordinal(random.randint(_FIRST_DAY, _LAST_DAY))
    return Date(date.month, date.day, date.year, date.weekday() if random.random() < 0.25 else None)


def _day(random: Random) -> Part:
    date = datetime.date.fromordinal(_LEAP_YEAR + random.randrange(366))
    return Date(date.month, date.day, None, random.randrange(7) if random.random() < 0.5 else None)


def _time(random: Random, weekday: bool) -> Part:
    minutes = (random.randrange(60), 5 * random.randrange(12))[random.random() < 0.3]
    return Time(random.randrange(24), minutes, random.randrange(7) if weekday else None)


def _letters(random: Random, with_digits: bool) -> Meaning:
    spelled = Phonetic if random.random() < 0.4 else Letters
    if with_digits and random.random() < 0.3:
        code = Digits(_string(random, "0123456789", 2, 4))
        return (spelled(_string(random, _ALPHABET, 2, 3)), code)
    return (spelled(_string(random, _ALPHABET, 3, 6)),)
