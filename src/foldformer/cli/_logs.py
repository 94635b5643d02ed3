"""What a process of the command writes to the standard error."""

import contextlib
import logging
import re
import sys

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def show_logs(debug: bool) -> None:
    """Warnings and errors; everything with `debug`."""
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
    )


def complain(error: object) -> None:
    """Print what is wrong, as one line.

    What a terminal would take for a new line or a command, as names of files may hold, is escaped.
    """
    line = _CONTROL.sub(lambda found: repr(found[0])[1:-1], str(error))
    say(f"foldformer: error: {line}")


def say(line: str) -> None:
    """Print a line, if there is anybody left to read it: the terminal may have been closed."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)
