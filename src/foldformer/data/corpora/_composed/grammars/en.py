"""English as spoken in the United States.

Numbers without "and" and written without hyphens, as in most speech corpora: "one hundred twenty
three". Years in pairs where English does so: "nineteen eighty four", "two thousand five",
"twenty twelve". Times of twelve hours: "three oh five p m", "twelve a m" at midnight.
"""

from foldformer.data.corpora._composed.grammars import Grammar, Word, Words
from foldformer.data.corpora._composed.meanings import Date, Time

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
).split()
_MONTHS = (
    "january february march april may june july august september october november december"
).split()
_WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
_ALPHABET = (
    "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar "
    "papa quebec romeo sierra tango uniform victor whiskey x-ray yankee zulu"
).split()


class English(Grammar):
    """Allison Smith's English."""

    language = "en"
    speaker = "allison-smith"

    def number(self, value: int) -> Words:
        """Thousands, hundreds, the rest; no "and"."""
        if value < 1000:
            return self._below_thousand(value)
        words = [*self._below_thousand(value // 1000), _one("thousand")]
        return words + (self._below_thousand(value % 1000) if value % 1000 else [])

    def _below_thousand(self, value: int) -> Words:
        if value < 100:
            return self._below_hundred(value)
        words = [_small(value // 100), _one("hundred")]
        return words + (self._below_hundred(value % 100) if value % 100 else [])

    def _below_hundred(self, value: int) -> Words:
        if value < 20:
            return [_small(value)]
        return [_tens(value), *([_small(value % 10)] if value % 10 else [])]

    def digits(self, digits: str) -> Words:
        """Digits one by one, 0 as "zero"."""
        return [_small(int(digit)) for digit in digits]

    def date(self, date: Date) -> Words:
        """Month, day as an ordinal, year."""
        words = [] if date.weekday is None else [_weekday(date.weekday)]
        words.append(Word(_MONTHS[date.month - 1], (f"digits/mon-{date.month - 1}",)))
        words += self._ordinal(date.day)
        return words if date.year is None else words + self._year(date.year)

    def _ordinal(self, day: int) -> Words:
        if day <= 20:
            return [Word(_ORDINALS[day - 1], (f"digits/h-{day}",))]
        if day == 30:
            return [Word("thirtieth", ("digits/h-30",))]
        return [_tens(day), Word(_ORDINALS[day % 10 - 1], (f"digits/h-{day % 10}",))]

    def _year(self, year: int) -> Words:
        century, rest = divmod(year, 100)
        if century % 10 == 0 and rest < 10:
            return self.number(year)
        words = self._below_hundred(century)
        if rest == 0:
            return [*words, _one("hundred")]
        return words + ([_one("oh")] if rest < 10 else []) + self._below_hundred(rest)

    def time(self, time: Time, first: bool) -> Words:
        """Hour of twelve, minutes, "a m" or "p m"; "at" after a day."""
        words = [] if time.weekday is None else [_weekday(time.weekday)]
        if words or not first:
            words.append(_one("at"))
        words += self._below_hundred((time.hour - 1) % 12 + 1)
        if time.minute:
            words += [_one("oh")] if time.minute < 10 else []
            words += self._below_hundred(time.minute)
        half = "p" if time.hour >= 12 else "a"
        return [*words, Word(f"{half} m", (f"digits/{half}-m",))]

    def letters(self, letters: str) -> Words:
        """The letters themselves, named; z is "zee"."""
        return [Word(letter, (f"letters/{letter}",)) for letter in letters]

    def phonetic(self, letters: str) -> Words:
        """The alphabet of radio operators."""
        return [
            Word(_ALPHABET[ord(letter) - ord("a")], (f"phonetic/{letter}_p",)) for letter in letters
        ]


def _one(word: str) -> Word:
    return Word(word, (f"digits/{word}",))


def _small(value: int) -> Word:
    return Word(_ONES[value], (f"digits/{value}",))


def _tens(value: int) -> Word:
    tens = value // 10
    return Word(_TENS[tens - 2], (f"digits/{tens * 10}",))


def _weekday(weekday: int) -> Word:
    return Word(_WEEKDAYS[weekday], (f"digits/day-{(weekday + 1) % 7}",))
