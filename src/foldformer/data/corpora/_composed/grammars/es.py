"""Spanish as spoken in Mexico.

Dates in full, "sábado tres de marzo de mil novecientos ochenta y cuatro", the first of a month as
"primero". Times of twelve hours with their article: "a la una y cinco p m". The feminine of
numbers is used for hours alone. Before "mil" one is shortened: "veintiún mil", "treinta y un mil".
"""

from foldformer.data.corpora._composed.grammars import Grammar, Word, Words
from foldformer.data.corpora._composed.meanings import Date, Time

_BELOW_THIRTY = (
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince "
    "dieciséis diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro "
    "veinticinco veintiséis veintisiete veintiocho veintinueve"
).split()
_TENS = "treinta cuarenta cincuenta sesenta setenta ochenta noventa".split()
_HUNDREDS = (
    "doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos "
    "novecientos"
).split()
_MONTHS = (
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"
).split()
_WEEKDAYS = "lunes martes miércoles jueves viernes sábado domingo".split()
_ALPHABET = (
    "alfa bravo carlos delta eco francia gato hotel india japón kilo lima maría nancy óscar papa "
    "queso romeo sandra tango urgente víctor whiskey x-ray yankee zulú"
).split()
_AND = Word("y", ("digits/and",))
_OF = Word("de", ("digits/es-de",))
_THOUSAND = Word("mil", ("digits/thousand",))


class Spanish(Grammar):
    """Allison Smith's Spanish."""

    language = "es"
    speaker = "allison-smith"

    def number(self, value: int) -> Words:
        """Thousands, hundreds, tens "y" ones; a thousand is "mil" alone."""
        thousands, rest = divmod(value, 1000)
        if not thousands:
            return self._below_thousand(rest)
        words = [] if thousands == 1 else self._below_thousand(thousands, shortened=True)
        return [*words, _THOUSAND, *(self._below_thousand(rest) if rest else [])]

    def _below_thousand(self, value: int, shortened: bool = False) -> Words:
        hundreds, rest = divmod(value, 100)
        if not hundreds:
            return self._below_hundred(rest, shortened)
        if value == 100:
            return [Word("cien", ("digits/hundred",))]
        word = (
            Word("ciento", ("digits/100-and",))
            if hundreds == 1
            else Word(_HUNDREDS[hundreds - 2], (f"digits/{hundreds}00",))
        )
        return [word, *(self._below_hundred(rest, shortened) if rest else [])]

    def _below_hundred(self, value: int, shortened: bool = False) -> Words:
        if shortened and value == 21:
            return [Word("veintiún", ("digits/20-and", "digits/1M"))]
        tens, ones = divmod(value, 10)
        last = Word("un", ("digits/1M",)) if shortened and ones == 1 else _small(ones)
        if value < 30:
            return [last if value < 10 else _small(value)]
        word = Word(_TENS[tens - 3], (f"digits/{tens * 10}",))
        return [word, _AND, last] if ones else [word]

    def digits(self, digits: str) -> Words:
        """Digits one by one."""
        return [_small(int(digit)) for digit in digits]

    def date(self, date: Date) -> Words:
        """Day "de" month "de" year."""
        words = [] if date.weekday is None else [_weekday(date.weekday)]
        first = Word("primero", ("digits/h-1",))
        words += [first] if date.day == 1 else self._below_hundred(date.day)
        words += [_OF, Word(_MONTHS[date.month - 1], (f"digits/mon-{date.month - 1}",))]
        return words if date.year is None else [*words, _OF, *self.number(date.year)]

    def time(self, time: Time, first: bool) -> Words:
        """ "a la(s)" hour of twelve, "y" minutes, "a m" or "p m"."""
        words = [] if time.weekday is None else [_weekday(time.weekday)]
        hour = (time.hour - 1) % 12 + 1
        if hour == 1:
            words += [Word("a la", ("digits/at_s",)), Word("una", ("digits/1F",))]
        else:
            words += [Word("a las", ("digits/at",)), _small(hour)]
        if time.minute:
            words += [_AND, *self._below_hundred(time.minute)]
        half = "p" if time.hour >= 12 else "a"
        return [*words, Word(f"{half} m", (f"digits/{half}-m",))]

    def letters(self, letters: str) -> Words:
        """The letters themselves, named; y is "i griega"."""
        return [Word(letter, (f"letters/{letter}",)) for letter in letters]

    def phonetic(self, letters: str) -> Words:
        """The telephone alphabet of the recordings."""
        return [
            Word(_ALPHABET[ord(letter) - ord("a")], (f"phonetic/{letter}_p",)) for letter in letters
        ]


def _small(value: int) -> Word:
    return Word(_BELOW_THIRTY[value], (f"digits/{value}",))


def _weekday(weekday: int) -> Word:
    return Word(_WEEKDAYS[weekday], (f"digits/day-{(weekday + 1) % 7}",))
