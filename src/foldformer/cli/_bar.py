"""How far a command is: a bar or lines on stderr, where that is a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Advance(Protocol):
    """Called with the number of units that are done, that of all, and what is to be said."""

    def __call__(self, done: int, number: int, said: str = "") -> None: ...


@contextmanager
def bar(unit: str, *, logged: bool = False) -> Iterator[Advance]:
    """A bar over units.

    Args:
        unit: what is counted.
        logged: whether it stays, and is written into files, too, every 15 s. For what takes hours,
            and may go on where an earlier call stopped: units are then counted one by one.
    """
    from tqdm import tqdm

    with tqdm(
        unit=f" {unit}",
        leave=logged,
        disable=False if logged else None,
        dynamic_ncols=True,
        mininterval=0.1 if sys.stderr.isatty() else 15.0,
    ) as shown:

        def advance(done: int, number: int, said: str = "") -> None:
            if logged and shown.n == 0:  # those before were done by an earlier call
                shown.initial = shown.n = shown.last_print_n = done - 1
            shown.total = number
            shown.set_postfix_str(said, refresh=False)
            shown.update(done - shown.n)

        yield advance


def tell(what: str) -> None:
    """A line on what is done next, where a bar would have nothing to count."""
    if sys.stderr.isatty():
        print(what, file=sys.stderr, flush=True)
