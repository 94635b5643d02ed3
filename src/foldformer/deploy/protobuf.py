"""Protocol buffers, read field by field and without a schema.

See https://protobuf.dev/programming-guides/encoding/. Bytes that nobody asks for are not touched:
of a mapped file, only the pages with the fields that are looked at are read.
"""

import mmap
from collections.abc import Iterator

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


class DamagedError(Exception):
    """These bytes are no protocol buffer; the message says why."""


class Message:
    """A message, or a text, a packed list or a number of fixed width: bytes in a buffer."""

    def __init__(self, data: "mmap.mmap | bytes", start: int, end: int) -> None:
        self._data, self._start, self._end = data, start, end

    @classmethod
    def of(cls, data: "mmap.mmap | bytes") -> "Message":
        """The message that is the whole buffer."""
        return cls(data, 0, len(data))

    @property
    def size(self) -> int:
        """Bytes in it."""
        return self._end - self._start

    def __bytes__(self) -> bytes:
        return self._data[self._start : self._end]

    def __str__(self) -> str:
        return bytes(self).decode()

    def fields(self) -> Iterator[tuple[int, "int | Message"]]:
        """(number of the field, an integer or bytes), in their order.

        Raises:
            DamagedError: a field is of no known form, or reaches beyond the message.
        """
        at = self._start
        while at < self._end:
            key, at = self._varint(at)
            field, form = key >> 3, key & 7
            if form == _VARINT:
                number, at = self._varint(at)
                yield field, number
                continue
            if form == _BYTES:
                length, at = self._varint(at)
            elif form in (_EIGHT, _FOUR):
                length = 8 if form == _EIGHT else 4
            else:
                raise DamagedError(f"field {field} is of no known form")
            if at + length > self._end:
                raise DamagedError(f"it ends {at + length - self._end} bytes too early")
            yield field, Message(self._data, at, at + length)
            at += length

    def messages(self, *wanted: int) -> Iterator[tuple[int, "Message"]]:
        """The fields of these numbers, all of which hold bytes.

        Raises:
            DamagedError: as for `fields`, or one of them holds an integer.
        """
        for field, value in self.fields():
            if field in wanted:
                if isinstance(value, int):
                    raise DamagedError(f"field {field} is a number")
                yield field, value

    def integers(self) -> Iterator[int]:
        """The integers of a packed list."""
        at = self._start
        while at < self._end:
            number, at = self._varint(at)
            yield number

    def _varint(self, at: int) -> tuple[int, int]:
        """(the integer at `at`, where it ends)."""
        number = shift = 0
        while at < self._end and shift < 70:
            byte = self._data[at]
            at += 1
            number |= (byte & 127) << shift
            if byte < 128:
                return number, at
            shift += 7
        raise DamagedError("a number has no end")
