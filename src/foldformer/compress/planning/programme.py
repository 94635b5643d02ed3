"""The dynamic programme: of all ways to cut a depth into groups, and of all options of all their
matrices, those of least total error for each number of bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Group = tuple[int, int]
"""(i, j): from stage i to stage j > i; of neighbouring layers, layers i .. j-1."""

_STEPS = 65536
"""Units of bytes at most that a whole model is counted in."""

_MOST = 256
"""Options at most for the matrices of one name in a group."""


@dataclass(frozen=True)
class Options:
    """What can become of the matrices of one name in a group; one option an entry.

    Attributes:
        bytes: (N,) whole numbers.
        errors: (N,) 0 or more; errors of different matrices add up.
    """

    bytes: NDArray[np.int64]
    errors: NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """A group on the way, and the index of the option chosen for each of its matrices."""

    group: Group
    choices: tuple[int, ...]


class Frontier:
    """The least error for every number of bytes, and the way to it.

    A stage is a place between groups: 0 before the first layer, `num_stages` after the last. Each
    group leads from one stage to a later one; a way from the first to the last stage is a grouping.
    Its error is the sum over its groups and their matrices, and its bytes likewise. `least[j]` is
    the least error with which stage j can be reached, for every number of bytes; it is that of
    the stage before a group, joined with one option of each of the group's matrices in turn.

    Bytes are counted in units, each option rounded up, so that no way costs more than is said. The
    unit is the largest number that divides the bytes of all options if that is fine enough: then
    nothing is rounded. It does not depend on the budget, so a larger budget never has more error.
    Where large matrices have more than 256 options that none beats, 256 at about equal distances
    are tried, the smallest and the best among them: no single matrix has a finer choice than that.

    >>> cheap_or_exact = Options(np.array([1, 4]), np.array([0.5, 0.0]))
    >>> frontier = Frontier(2, {(0, 1): [cheap_or_exact], (1, 2): [cheap_or_exact]})
    >>> frontier.smallest, frontier.largest
    (2, 8)
    >>> frontier.error(7)
    0.5
    >>> frontier.steps(7)
    [Step(group=(0, 1), choices=(1,)), Step(group=(1, 2), choices=(0,))]
    """

    def __init__(
        self,
        num_stages: int,
        groups: Mapping[Group, Sequence[Options]],
        steps: int = _STEPS,
        most: int = _MOST,
    ) -> None:
        """Solve it for all budgets at once.

        Args:
            num_stages: the last stage.
            groups: what can be done with the matrices of each group that may be formed.
            steps: units that the largest model is counted in, at most.
            most: options for the matrices of one name in a group, at most; 2 or more.
        """
        self._groups = groups
        self.unit = _unit(num_stages, groups, steps)
        self._pruned = {
            group: [_thinned(_pruned(options, self.unit), most) for options in matrices]
            for group, matrices in groups.items()
        }
        self._least: list[NDArray[np.float64]] = [np.zeros(1)]
        self._before: list[NDArray[np.int32]] = [np.zeros(1, np.int32)]
        for stage in range(1, num_stages + 1):
            self._reach(stage)

    def _reach(self, stage: int) -> None:
        """`least` of a stage, and from which stage each of its entries comes."""
        ways = {
            first: self._joined(first, stage)[-1]
            for first, last in self._groups
            if last == stage and self._least[first].size
        }
        size = max((way.size for way in ways.values()), default=0)
        least, before = np.full(size, np.inf), np.zeros(size, np.int32)
        for first, way in sorted(ways.items()):  # of equal ones the smallest group
            longer = np.concatenate([way, np.full(size - way.size, way[-1])])
            better = longer <= least
            least[better], before[better] = longer[better], first
        self._least.append(least)
        self._before.append(before)

    def _joined(self, first: int, last: int) -> list[NDArray[np.float64]]:
        """`least[first]`, and what it becomes with each matrix of the group (first, last)."""
        curves = [self._least[first]]
        for units, errors, _ in self._pruned[first, last]:
            curves.append(_join(curves[-1], units, errors))
        return curves

    @property
    def smallest(self) -> int:
        """Bytes below which there is no way."""
        return int(np.argmax(np.isfinite(self._least[-1]))) * self.unit

    @property
    def largest(self) -> int:
        """Bytes from which on more of them buy nothing."""
        return _first(self._least[-1], self._least[-1].size - 1) * self.unit

    def error(self, budget: int) -> float:
        """The least total error with at most `budget` bytes; infinite below `smallest`."""
        place = min(budget // self.unit, self._least[-1].size - 1)
        return float(self._least[-1][place]) if place >= 0 else float("inf")

    def steps(self, budget: int) -> list[Step]:
        """The groups and choices that have that error.

        Raises:
            ValueError: the budget is below `smallest`.
        """
        if not np.isfinite(self.error(budget)):
            raise ValueError(f"budget: expected {self.smallest} or more, got {budget}")
        stage = len(self._least) - 1
        place = min(budget // self.unit, self._least[-1].size - 1)
        found: list[Step] = []
        while stage:
            place = _first(self._least[stage], place)
            first = int(self._before[stage][place])
            choices, place = self._choices(first, stage, place)
            found.append(Step((first, stage), choices))
            stage = first
        return found[::-1]

    def _choices(self, first: int, last: int, place: int) -> tuple[tuple[int, ...], int]:
        """The options of a group that led to a place, and the place before the group.

        The curves are computed again: keeping those of all groups would take more memory than the
        model.
        """
        curves = self._joined(first, last)
        place = min(place, curves[-1].size - 1)
        chosen: list[int] = []
        for matrix in reversed(range(len(curves) - 1)):
            units, errors, indices = self._pruned[first, last][matrix]
            place = _first(curves[matrix + 1], place)
            before = curves[matrix]
            possible = np.flatnonzero(units <= place)
            places = np.minimum(place - units[possible], before.size - 1)
            option = possible[np.argmin(before[places] + errors[possible])]
            chosen.append(int(indices[option]))
            place = int(min(place - units[option], before.size - 1))
        return tuple(chosen[::-1]), place


def _unit(num_stages: int, groups: Mapping[Group, Sequence[Options]], steps: int) -> int:
    """The bytes of a unit, so that `steps` of them hold the largest way."""
    largest = [0] * (num_stages + 1)
    for (first, last), matrices in sorted(groups.items(), key=lambda item: item[0][1]):
        most = sum(int(options.bytes.max()) for options in matrices)
        largest[last] = max(largest[last], largest[first] + most)
    every = [options.bytes for matrices in groups.values() for options in matrices]
    divisor = max(int(np.gcd.reduce(np.concatenate(every))), 1) if every else 1
    return divisor * max(-(-largest[-1] // (divisor * steps)), 1)


_Pruned = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]


def _pruned(options: Options, unit: int) -> _Pruned:
    """(units, errors, index) of the options that no other one beats, in order of units."""
    units = -(-options.bytes // unit)
    order = np.lexsort((options.errors, units))
    errors = options.errors[order]
    best = np.minimum.accumulate(np.concatenate([[np.inf], errors[:-1]]))
    kept = order[errors < best]
    return units[kept], options.errors[kept], kept


def _thinned(pruned: _Pruned, most: int) -> _Pruned:
    """So many of them at most: the smallest, and the best of each of equal parts of the rest."""
    units, errors, indices = pruned
    if len(units) <= most:
        return pruned
    ends = np.linspace(units[0], units[-1], most)
    kept = np.unique(np.searchsorted(units, ends, side="right") - 1)
    return units[kept], errors[kept], indices[kept]


def _join(
    curve: NDArray[np.float64], units: NDArray[np.int64], errors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The least sums of a curve and one option, for at most so many units."""
    size = curve.size
    joined = np.full(size + int(units[-1]), np.inf)
    sums = np.empty_like(curve)
    for place, error in zip(units.tolist(), errors.tolist(), strict=True):
        np.add(curve, error, out=sums)
        target = joined[place : place + size]
        np.minimum(target, sums, out=target)
    return np.minimum.accumulate(joined)


def _first(curve: NDArray[np.float64], place: int) -> int:
    """The fewest units with the same error; a curve falls."""
    return int(curve.size - np.searchsorted(curve[::-1], curve[place], side="right"))
