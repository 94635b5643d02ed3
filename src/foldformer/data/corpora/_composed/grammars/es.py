"""Spanish as spoken in Mexico.

Dates in full, "sábado tres de marzo de mil novecientos ochenta y cuatro", the first of a month as
"primero". Times of twelve hours with their article: "a la una y cinco p m". The feminine of
numbers is used for hours alone. Before "mil" one is shortened: "veintiún mil", "treinta y un mil".
"""

from foldformer.data.corpora._composed.grammars import Grammar, Word, Words
from foldformer.data.corpora._composed.meanings import Date, Time


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
        words.append(self.play("digits/thousand"))
        return words + (self._below_thousand(rest) if rest else [])

    def _below_thousand(self, value: int, shortened: bool = False) -> Words:
        hundreds, rest = divmod(value, 100)
        if not hundreds:
            return self._below_hundred(rest, shortened)
        if value == 100:
            return [self.play("digits/hundred")]
        words = [self.play("digits/100-and" if hundreds == 1 else f"digits/{hundreds}00")]
        return words + (self._below_hundred(rest, shortened) if rest else [])

    def _below_hundred(self, value: int, shortened: bool = False) -> Words:
        if shortened and value == 21:
            return [Word("veintiún", ("digits/20-and", "digits/1M"))]
        tens, ones = divmod(value, 10)
        last = self.play("digits/1M" if shortened and ones == 1 else f"digits/{ones}")
        if value < 10:
            return [last]
        if value < 30 or ones == 0:
            return [self.play(f"digits/{value}")]
        return [self.play(f"digits/{tens}0"), self.play("digits/and"), last]

    def date(self, date: Date) -> Words:
        """Day "de" month "de" year."""
        of = self.play("digits/es-de")
        first = [self.play("digits/h-1")]
        words = self.weekday(date.weekday)
        words += first if date.day == 1 else self._below_hundred(date.day)
        words += [of, self.month(date.month)]
        return words if date.year is None else [*words, of, *self.number(date.year)]

    def time(self, time: Time, first: bool) -> Words:
        """ "a la(s)" hour of twelve, "y" minutes, "a m" or "p m"."""
        hour = (time.hour - 1) % 12 + 1
        article, number = ("digits/at_s", "digits/1F") if hour == 1 else ("digits/at", None)
        words = self.weekday(time.weekday)
        words += [self.play(article), self.play(number or f"digits/{hour}")]
        if time.minute:
            words += [self.play("digits/and"), *self._below_hundred(time.minute)]
        return [*words, self.play("digits/p-m" if time.hour >= 12 else "digits/a-m")]
