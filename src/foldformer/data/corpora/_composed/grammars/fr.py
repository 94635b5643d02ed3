"""French as spoken in Canada.

Traditional spelling: hyphens between numbers below a hundred except around "et": "vingt-trois",
"soixante et onze", "quatre-vingt-dix-sept"; plural s in "quatre-vingts" and "deux cents" at the end
of a number, not in years. Dates without "le": "samedi trois mars mille neuf cent
quatre-vingt-quatre", the first of a month as "premier". Times of twenty-four hours: "quinze heures
quarante-cinq".

Left out, because "une" was not recorded: times whose hour or minute ends in it (01:15, 21:15,
15:01, 15:31). Midnight and noon are "zéro heure" and "douze heures".
"""

from foldformer.data.corpora._composed.grammars import (
    Grammar,
    UnsayableError,
    Word,
    Words,
    joined,
)
from foldformer.data.corpora._composed.meanings import Date, Time


class French(Grammar):
    """June Wallack's French."""

    language = "fr"
    speaker = "june-wallack"

    def number(self, value: int) -> Words:
        """Thousands, hundreds, the rest, as a cardinal."""
        return self._number(value, plural=True)

    def _number(self, value: int, plural: bool) -> Words:
        thousands, rest = divmod(value, 1000)
        if not thousands:
            return self._below_thousand(rest, plural)
        words = [] if thousands == 1 else self._below_thousand(thousands, plural=False)
        words.append(self.play("digits/thousand"))
        return words + (self._below_thousand(rest, plural) if rest else [])

    def _below_thousand(self, value: int, plural: bool) -> Words:
        """`plural`: the number ends here, so that "cent" and "quatre-vingt" take an s."""
        hundreds, rest = divmod(value, 100)
        if not hundreds:
            return self._below_hundred(rest, plural)
        hundred = self.play("digits/hundred")
        if hundreds == 1:
            words = [hundred]
        else:
            ending = "s" if plural and rest == 0 else ""
            words = [self.play(f"digits/{hundreds}"), Word(hundred.text + ending, hundred.units)]
        return words + (self._below_hundred(rest, plural) if rest else [])

    def _below_hundred(self, value: int, plural: bool = False) -> Words:
        if value == 80 and plural:
            return [Word("quatre-vingts", ("digits/80",))]
        if value < 20 or value % 10 == 0:
            return [self.play(f"digits/{value}")]
        tens = value // 10 * 10 if value < 70 else value // 20 * 20
        words = [self.play(f"digits/{tens}"), self.play(f"digits/{value - tens}")]
        if value % 10 == 1 and value < 80:
            return [words[0], self.play("digits/et"), words[1]]
        return [joined(words, "-")]

    def date(self, date: Date) -> Words:
        """Day, month, year."""
        words = self.weekday(date.weekday)
        words += [self.play("digits/h-1")] if date.day == 1 else self._below_hundred(date.day)
        words.append(self.month(date.month))
        return words if date.year is None else words + self._number(date.year, plural=False)

    def time(self, time: Time, first: bool) -> Words:
        """Hour of twenty-four "heures" minutes; "à" after a day."""
        if time.hour in (1, 21) or time.minute in (1, 21, 31, 41, 51):
            raise UnsayableError(f"{time} in fr: une")
        words = self.weekday(time.weekday)
        if words or not first:
            words.append(self.play("digits/at"))
        words += self._below_hundred(time.hour)
        words.append(self.play("hours" if time.hour else "digits/oclock"))
        return words + (self._below_hundred(time.minute) if time.minute else [])
