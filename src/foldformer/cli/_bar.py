"""How far a command is: a bar or lines on stderr, where that is a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar over units; called with the number of those done, and of all."""
    from tqdm import tqdm

    with tqdm(unit=f" {unit}", leave=False, disable=None, dynamic_ncols=True) as shown:

        def advance(done: int, number: int) -> None:
            shown.total = number
            shown.update(done - shown.n)

        yield advance


def tell(what: str) -> None:
    """A line on what is done next, where a bar would have nothing to count."""
    if sys.stderr.isatty():
        print(what, file=sys.stderr, flush=True)
