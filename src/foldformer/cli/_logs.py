"""What a process of the command writes to the standard error."""

import logging


def show_logs(debug: bool) -> None:
    """Warnings and errors; everything with `debug`."""
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
    )
