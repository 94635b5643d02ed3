"""Processes that end in several ways, for test_launch.py: `python launching.py`.

Started by itself, since the processes import this file. The last of them wait for the end of the
one that has started them.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

import torch.distributed as dist

from foldformer.errors import FoldformerError, InputError, Stopped
from foldformer.train.group import joined
from foldformer.train.launch import launch
from foldformer.train.place import Place

Say = Callable[[str], object]


def large(place: Place, say: Say) -> bytes:
    """A result of more than a pipe holds."""
    return b"x" * 200_000 if place.rank == 0 else b""


def fails_alone(place: Place, say: Say) -> None:
    """The second process has an error that the first one does not know of, and waits for."""
    with joined(place, say) as group:
        if group.rank == 1:
            raise InputError("a file is missing")
        dist.barrier()


def told_to_stop(place: Place, say: Say) -> None:
    """Both get one signal that the process which has started them got."""
    got: list[int] = []
    both = threading.Event()

    def note(number: int, frame: object) -> None:
        got.append(number)
        both.set()

    signal.signal(signal.SIGTERM, note)
    with joined(place, say) as group:
        dist.barrier()
        if group.leads:
            os.kill(os.getppid(), signal.SIGTERM)
        while not got:
            time.sleep(0.01)
        time.sleep(0.2)
        raise group.agreed(Stopped(got[0], f"stopped by {len(got)} signal"))


def waits(place: Place, say: Say) -> None:
    """With a process of its own, like those that prepare batches."""
    helper = subprocess.Popen(["sleep", "600"], start_new_session=False)
    os.write(1, f"{os.getpid()} {helper.pid}\n".encode())
    time.sleep(600)


def outcome(work: Callable[[Place, Say], object]) -> str:
    try:
        return f"returned {len(launch(work, devices=2, go_on=partial(str, 'go on')))}"
    except (FoldformerError, Stopped) as end:
        return repr(end)


if __name__ == "__main__":
    for each in (large, fails_alone, told_to_stop, waits):
        print(each.__name__, outcome(each), sep=": ", flush=True)
    sys.exit()
