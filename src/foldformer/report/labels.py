"""Names in a figure: beside their points, and over nothing else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

_LETTER, _LINE = 11.5, 19.0  # about the size of a letter, as large as on a phone
_DEEP = 4.0  # of a line, below the foot of its letters
_GAP = 10.0  # between the middle of a point and its name
_STEPS = 40  # of a line between two corners, to see what it crosses


@dataclass(frozen=True)
class Box:
    """A part of a figure; `top` is less than `bottom`."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Box") -> bool:
        """Whether the two have a place in common."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def holds(self, other: "Box") -> bool:
        """Whether the other one is in this one as a whole."""
        across = self.left <= other.left and other.right <= self.right
        return across and self.top <= other.top and other.bottom <= self.bottom


@dataclass(frozen=True)
class Place:
    """Where a name stands: the foot of its line, and which of its ends is at `x`."""

    x: float
    y: float
    anchor: str

    def box(self, label: str) -> Box:
        """The room that the name takes there."""
        length = _LETTER * len(label)
        left = self.x - length * {"start": 0.0, "middle": 0.5, "end": 1.0}[self.anchor]
        return Box(left, self.y + _DEEP - _LINE, left + length, self.y + _DEEP)


class Labels:
    """Finds places of names, one after the other.

    Args:
        frame: in which they have to be.
        taken: where there is something already, points and intervals.
        line: corners of a line that is crossed only where there is no other place.
    """

    def __init__(
        self, frame: Box, taken: Sequence[Box], line: Sequence[tuple[float, float]] = ()
    ) -> None:
        self._frame = frame
        self._taken = list(taken)
        self._line = [
            Box(a + share * (c - a), b + share * (d - b), a + share * (c - a), b + share * (d - b))
            for (a, b), (c, d) in pairwise(line)
            for share in (step / _STEPS for step in range(1, _STEPS))
        ]

    def beside(self, x: float, y: float, ends: tuple[float, float], label: str) -> Place | None:
        """A free place for the name of a point, the nearest; None where there is none.

        Args:
            x: of the point.
            y: of the point.
            ends: upper and lower, of its interval.
            label: the name.
        """
        places = [(place, place.box(label)) for place in _places(x, y, *ends)]
        for others in ([*self._taken, *self._line], self._taken):
            for place, box in places:
                if self._frame.holds(box) and not any(map(box.meets, others)):
                    self._taken.append(box)
                    return place
        return None


def _places(x: float, y: float, top: float, bottom: float) -> Iterator[Place]:
    """Right and left of the point, above and below its interval, and beside that to its ends."""
    middle = _LINE / 2 - _DEEP  # from the foot of a line upwards
    yield Place(x + _GAP, y + middle, "start")
    yield Place(x - _GAP, y + middle, "end")
    yield Place(x, min(top, y - _GAP) - _DEEP - 1, "middle")
    yield Place(x, max(bottom, y + _GAP) + _LINE - _DEEP + 1, "middle")
    for step in range(1, round(2 * (bottom - top) / _LINE) + 2):
        for height in (y - step * _LINE / 2, y + step * _LINE / 2):
            if top <= height <= bottom:
                yield Place(x + _GAP, height + middle, "start")
                yield Place(x - _GAP, height + middle, "end")
