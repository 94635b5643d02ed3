"""How far trainings have come, and how long the rest will take."""

import os
import re
import shutil
import statistics
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from foldformer.experiment.plan import Run

WIDTH = 80
"""Columns of a line."""

_TAIL = 4096  # bytes of a log in which its last line of progress stands


def share_done(log: Path, steps: int) -> float:
    """The share of a training's steps that its log says are done, 0 to 1."""
    found = re.findall(rf"(\d+)/{steps} \[", _tail(log))
    return int(found[-1]) / steps if found else 0.0


def shown_loss(log: Path) -> str:
    """The last loss that a training has shown; empty before."""
    found = re.findall(r"loss ([0-9.e+-]+)", _tail(log))
    return found[-1].rstrip(".") if found else ""


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


class Clock:
    """Expected times: those of the plan, corrected by what runs have really taken.

    Args:
        jobs: runs side by side.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._ratios: list[float] = []

    def took(self, run: Run, minutes: float) -> None:
        """A run that was done from its beginning to its end has taken so long."""
        self._ratios.append(minutes / run.minutes)

    def minutes(self, run: Run) -> float:
        """A run will take so long."""
        return run.minutes * (statistics.median(self._ratios) if self._ratios else 1.0)

    def left(self, waiting: Iterable[Run], active: Mapping[str, float]) -> float:
        """Minutes until all is done.

        Args:
            waiting: runs that have not begun.
            active: {name: minutes that it still needs} of those that have.
        """
        work = sum(self.minutes(run) for run in waiting) + sum(active.values())
        return max([work / self._jobs, *active.values()])


def spoken(minutes: float) -> str:
    """A time in a few letters: 45 s, 12 min, 3.4 h."""
    if minutes < 1:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def counted(number: int, one: str) -> str:
    """A number of things, each called `one`: 1 run, 3 runs."""
    return f"{number} {one}{'' if number == 1 else 's'}"


class Screen:
    """Lines that stay, and on a terminal one below that is replaced; elsewhere one a minute."""

    def __init__(self, every: float = 60.0) -> None:
        self._terminal = sys.stdout.isatty()
        self._every = every
        self._shown = time.monotonic()
        self._last = ""

    def say(self, line: str) -> None:
        """A line that stays, with the time of day."""
        self._clear()
        print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)

    def show(self, line: str) -> None:
        """A line that the next one replaces."""
        now = time.monotonic()
        if self._terminal:
            if line != self._last:
                width = min(WIDTH, shutil.get_terminal_size().columns) - 1
                print(f"\r{line[:width]:<{width}}", end="", flush=True)
                self._last = line
        elif now - self._shown >= self._every:
            self._shown = now
            print(line, flush=True)

    def _clear(self) -> None:
        if self._terminal and self._last:
            print("\r\x1b[K", end="")
            self._last = ""
