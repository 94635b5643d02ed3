"""A heartbeat between the processes of a training: nobody waits for one that has ended."""

import os
import sys
import threading
import time
from collections.abc import Callable

from torch.distributed.distributed_c10d import Store

from foldformer.train.place import Place

BEAT = 1.0
"""Seconds between two signs of life."""

LOST = 40.0
"""Seconds without one after which a process counts as ended."""

_FAREWELL = 5.0  # seconds that a process has to end by itself before it is ended
_FAILED = "failed"


class Watch:
    """Lets the others hear of this process, and ends it when one of them has ended.

    A process waits inside of the libraries for what the others send, where no exception reaches it,
    and some connections never say that the other end has gone. So two threads watch: one talks
    to the store where the processes have met, and may be stuck in that; the other one judges.
    The first process hears all the others, and they hear it.

    Args:
        place: of this process.
        store: a connection of its own to where the processes have met.
        say: is told why this process is ended.
    """

    def __init__(self, place: Place, store: Store, say: Callable[[str], object]) -> None:
        self._place = place
        self._store = store
        self._say = say
        self._peers = range(1, place.size) if place.rank == 0 else range(1)
        self._heard: dict[int, tuple[bytes, float]] = {}
        self._failed = ""
        self._expects = True
        self._ended = threading.Event()
        self._beat(0)

    def start(self) -> None:
        """Begin, when this process has arrived: whoever has been heard may not fall silent."""
        for work in (self._talk, self._judge):
            threading.Thread(target=work, daemon=True).start()

    def expect(self) -> None:
        """All are there and at work: from now on nobody may be silent."""
        now = time.monotonic()
        self._heard = {peer: (self._heard.get(peer, (b"", now))[0], now) for peer in self._peers}
        self._expects = True

    def excuse(self) -> None:
        """Until all are expected again, they may be silent: reading texts may take all of one."""
        self._expects = False

    def stop(self) -> None:
        """End, since this process does."""
        self._ended.set()

    def tell(self, reason: str) -> None:
        """Let the others know why this process ends; of several reasons the first one counts."""
        try:
            who = f"process {self._place.rank + 1} of {self._place.size}"
            self._store.compare_set(_FAILED, "", f"{who}: {reason}")
        except RuntimeError:  # they are gone
            return

    def reason(self) -> str:
        """Why a connection has broken: what the process at its other end has told, if it could."""
        until = time.monotonic() + _FAREWELL
        while not (why := self._why()) and time.monotonic() < until:
            time.sleep(BEAT / 4)
        return why or (
            f"another one of the {self._place.size} training processes has ended, or cannot be "
            "reached any more; the same command goes on from the last saved step"
        )

    def _beat(self, count: int) -> None:
        self._store.set(str(self._place.rank), str(count))

    def _talk(self) -> None:
        count = 0
        while not self._ended.wait(BEAT):
            count += 1
            try:
                self._beat(count)
                if self._store.check([_FAILED]):
                    self._failed = self._store.get(_FAILED).decode()
                # To ask for what is not there would be to wait for it.
                here = [peer for peer in self._peers if self._store.check([str(peer)])]
                beats = self._store.multi_get([str(peer) for peer in here])
            except RuntimeError:  # whoever does not come back is found by the other thread
                continue
            now = time.monotonic()
            for peer, beat in zip(here, beats, strict=True):
                if peer not in self._heard or beat != self._heard[peer][0]:
                    self._heard[peer] = beat, now

    def _judge(self) -> None:
        while not self._ended.wait(BEAT):
            if why := self._why():
                if not self._ended.wait(_FAREWELL):
                    self._say(why)
                    # From outside of the main thread, which may wait for ever.
                    os._exit(2)
                return

    def _why(self) -> str:
        if self._failed:
            return self._failed
        now = time.monotonic()
        heard = sorted(self._heard.copy().items())
        silent = [rank + 1 for rank, (_, when) in heard if now - when > LOST]
        if not silent or not self._expects:
            return ""
        names = ", ".join(map(str, silent))
        return (
            f"process {names} of {self._place.size} has ended, or its machine: nothing was heard "
            f"of it for {LOST:g} s; the same command goes on from the last saved step"
        )


def say_error(why: str) -> None:
    """Print the reason for an end; not with `print`: another thread may be in the middle of one."""
    line = f"foldformer: error: {why}\n".encode(errors="backslashreplace")
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, line)
