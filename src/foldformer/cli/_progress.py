"""What a user sees on stderr while recordings are heard: a bar, and what went wrong."""

import sys
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from foldformer.cli._logs import complain

if TYPE_CHECKING:
    from typing import NoReturn

    from tqdm import tqdm


class Progress:
    """A bar over recordings, if it is shown, and complaints about those that were bad.

    Attributes:
        complaints: how many there were.
    """

    def __init__(self) -> None:
        self.complaints = 0
        self._bar: tqdm[NoReturn] | None = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def begin(self, recordings: int, shown: bool) -> None:
        """So many recordings are to come; the bar needs tqdm, which a device may lack."""
        if shown and find_spec("tqdm") is not None:
            from tqdm import tqdm

            self._bar = tqdm(
                total=recordings,
                unit=" files",
                leave=False,
                file=sys.stderr,
                dynamic_ncols=True,
                mininterval=0,  # a recording takes longer than its line
            )

    def heard(self, name: str, seconds: float) -> None:
        """A recording has been heard so far."""
        if self._bar is not None:
            minutes, rest = divmod(int(seconds), 60)
            self._bar.set_postfix_str(f"{Path(name).name[-24:]} {minutes}:{rest:02}")

    def next(self) -> None:
        """A recording is done."""
        if self._bar is not None:
            self._bar.update()

    def complain(self, error: Exception) -> None:
        """Print what is wrong with a recording."""
        self.complaints += 1
        if self._bar is not None:
            self._bar.clear()
        complain(error)
