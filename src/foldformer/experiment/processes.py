"""Ending processes that this one has started, and ending in order when a signal comes."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from foldformer.errors import Stopped

_GRACE = 120.0  # seconds in which a training that is stopped saves its state


def end(processes: "Sequence[subprocess.Popen[bytes]]") -> None:
    """Let them save what they have, and wait for their ends."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    until = time.monotonic() + _GRACE
    for process in processes:
        try:
            process.wait(timeout=max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """SIGTERM and Ctrl-C stop the runner in order; once more, and it does not wait."""

    def stop(number: int, frame: object) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        # Not print: the signal may have come in the middle of one.
        os.write(2, b"\nstopping: trainings save first; once more: stop at once\n")
        raise Stopped(number, "stopped; trainings save, and the same command goes on from there")

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    for each in before:
        signal.signal(each, stop)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
