"""Italian.

Italian writes a number as one word; here it is divided after the hundreds and the thousands, so
that the vocabulary stays small and each part can be found again in the sound: "duecento
trentacinquemila seicento settantotto", without elision, as it is spoken here: "cento ottanta".
Compounds of three have their accent: "ventitré". Dates: "sabato tre marzo mille novecento
ottantaquattro", the first of a month as "primo". Times of twenty-four hours: "ore quindici e
trenta", "ore una e cinque", "ore zero" at midnight.

The telephone alphabet is that of Italian towns, "a come ancona"; j, k, w, x and y have only their
names in it.
"""

from foldformer.data.corpora._composed.grammars import Grammar, Word, Words, joined, units_of
from foldformer.data.corpora._composed.meanings import Date, Time


class Italian(Grammar):
    """Carlo Flora's Italian."""

    language = "it"
    speaker = "carlo-flora"

    def number(self, value: int) -> Words:
        """Thousands ending in "mila", hundreds ending in "cento", the rest."""
        thousands, rest = divmod(value, 1000)
        if not thousands:
            return self._below_thousand(rest)
        if thousands == 1:
            words = [self.play("digits/thousand")]
        else:
            *before, last = self._below_thousand(thousands)
            mila = self.play("digits/thousands")
            stem = last.text.replace("é", "e")
            words = [*before, Word(stem + mila.text, units_of([last, mila]))]
        return words + (self._below_thousand(rest) if rest else [])

    def _below_thousand(self, value: int) -> Words:
        hundreds, rest = divmod(value, 100)
        if not hundreds:
            return [self._below_hundred(rest)]
        hundred = self.play("digits/hundred")
        word = hundred if hundreds == 1 else joined([self.play(f"digits/{hundreds}"), hundred])
        return [word, self._below_hundred(rest)] if rest else [word]

    def _below_hundred(self, value: int) -> Word:
        tens, ones = divmod(value, 10)
        if tens < 2 or ones in (0, 1, 8):
            return self.play(f"digits/{value}")
        word = joined([self.play(f"digits/{tens}0"), self.play(f"digits/{ones}")])
        return Word(word.text[:-1] + "é", word.units) if ones == 3 else word

    def date(self, date: Date) -> Words:
        """Day, month, year."""
        words = self.weekday(date.weekday)
        words.append(self.play("digits/h-1") if date.day == 1 else self._below_hundred(date.day))
        words.append(self.month(date.month))
        return words if date.year is None else words + self._year(date.year)

    def _year(self, year: int) -> Words:
        """The centuries that were recorded in one breath where they fit."""
        century, rest = divmod(year, 100)
        if century not in (19, 20):
            return self.number(year)
        words = [self.play(f"digits/ore-{century}00")]
        return words + ([self._below_hundred(rest)] if rest else [])

    def time(self, time: Time, first: bool) -> Words:
        """ "ore" hour of twenty-four "e" minutes."""
        hour = self.play("digits/ore-una") if time.hour == 1 else self._below_hundred(time.hour)
        words = [*self.weekday(time.weekday), self.play("digits/hours"), hour]
        if time.minute:
            words += [self.play("digits/e"), self._below_hundred(time.minute)]
        return words
