"""Russian, as far as its recordings go.

They lack the hundreds above one, the feminine of one and two, "тысяч", ordinals in the
cases of dates, and "час". So numbers are 0 to 199 after no thousand, after "тысяча", or after
thousands that end in three or four ("двадцать три тысячи"), up to 194; there are no dates, and no
times in the hour after 01:00. Times are read as two numbers: "в пятнадцать ноль пять", "в восемь
ноль ноль"; the weekday stands in the nominative before them, as in a timetable: "среда в пятнадцать
тридцать".

Letters are the English ones by their Russian names: "эй", "би", "си"; w is "дабл-ю".
"""

from foldformer.data.corpora._composed.grammars import Grammar, UnsayableError, Words
from foldformer.data.corpora._composed.meanings import Date, Time


class Russian(Grammar):
    """The Russian voice of ivrvoice.ru."""

    language = "ru"
    speaker = "ivrvoice-ru"
    thousands = (0, 1, *(n for n in range(200) if n % 10 in (3, 4) and n % 100 not in (13, 14)))
    below_thousand = range(200)
    other_letters = {"w": "letters/ww"}  # noqa: RUF012 - declared as a ClassVar by the base

    def number(self, value: int) -> Words:
        """Thousands in their case, a hundred, the rest."""
        thousands, rest = divmod(value, 1000)
        if not thousands:
            return self._below_two_hundred(rest)
        if thousands == 1:
            words = [self.play("digits/thousand")]
        else:
            words = [*self._below_two_hundred(thousands), self.play("digits/h-thousand")]
        return words + (self._below_two_hundred(rest) if rest else [])

    def _below_two_hundred(self, value: int) -> Words:
        hundred = [self.play("digits/hundred")] if value >= 100 else []
        rest = value % 100
        if hundred and not rest:
            return hundred
        if rest < 20 or rest % 10 == 0:
            return [*hundred, self.play(f"digits/{rest}")]
        return [*hundred, self.play(f"digits/{rest // 10}0"), self.play(f"digits/{rest % 10}")]

    def date(self, date: Date) -> Words:
        """Not to be said: no ordinal was recorded in the form that dates have."""
        raise UnsayableError(f"{date} in ru")

    def time(self, time: Time, first: bool) -> Words:
        """ "в" hour of twenty-four, minutes in two digits."""
        if time.hour == 1:
            raise UnsayableError(f"{time} in ru: час")
        words = [*self.weekday(time.weekday), self.play("digits/at")]
        words += self._below_two_hundred(time.hour)
        if time.minute < 10:
            words.append(self.play("digits/0"))
        return words + self._below_two_hundred(time.minute)
