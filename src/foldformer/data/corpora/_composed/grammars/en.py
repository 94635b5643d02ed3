"""English as spoken in the United States.

Numbers without "and" and written without hyphens, as in most speech corpora: "one hundred twenty
three". Years in pairs where English does so: "nineteen eighty four", "two thousand five",
"twenty twelve". Times of twelve hours: "three oh five p m", "twelve a m" at midnight. The letter z
is "zee".
"""

from foldformer.data.corpora._composed.grammars import Grammar, Word, Words
from foldformer.data.corpora._composed.meanings import Date, Time


class English(Grammar):
    """Allison Smith's English."""

    language = "en"
    speaker = "allison-smith"

    def number(self, value: int) -> Words:
        """Thousands, hundreds, the rest; no "and"."""
        if value < 1000:
            return self._below_thousand(value)
        words = [*self._below_thousand(value // 1000), self.play("digits/thousand")]
        return words + (self._below_thousand(value % 1000) if value % 1000 else [])

    def _below_thousand(self, value: int) -> Words:
        if value < 100:
            return self._below_hundred(value)
        words = [self.play(f"digits/{value // 100}"), self.play("digits/hundred")]
        return words + (self._below_hundred(value % 100) if value % 100 else [])

    def _below_hundred(self, value: int) -> Words:
        if value < 20 or value % 10 == 0:
            return [self.play(f"digits/{value}")]
        return [self._tens(value), self.play(f"digits/{value % 10}")]

    def _tens(self, value: int) -> Word:
        return self.play(f"digits/{value // 10 * 10}")

    def date(self, date: Date) -> Words:
        """Month, day as an ordinal, year."""
        words = [*self.weekday(date.weekday), self.month(date.month)]
        if date.day > 20 and date.day % 10:
            words += [self._tens(date.day), self.play(f"digits/h-{date.day % 10}")]
        else:
            words.append(self.play(f"digits/h-{date.day}"))
        return words if date.year is None else words + self._year(date.year)

    def _year(self, year: int) -> Words:
        century, rest = divmod(year, 100)
        if century % 10 == 0 and rest < 10:
            return self.number(year)
        words = self._below_hundred(century)
        if rest == 0:
            return [*words, self.play("digits/hundred")]
        return words + self._minutes(rest)

    def _minutes(self, value: int) -> Words:
        return [self.play("digits/oh")] * (value < 10) + self._below_hundred(value)

    def time(self, time: Time, first: bool) -> Words:
        """Hour of twelve, minutes, "a m" or "p m"; "at" after a day."""
        words = self.weekday(time.weekday)
        if words or not first:
            words.append(self.play("digits/at"))
        words += self._below_hundred((time.hour - 1) % 12 + 1)
        words += self._minutes(time.minute) if time.minute else []
        return [*words, self.play("digits/p-m" if time.hour >= 12 else "digits/a-m")]
