"""What a process of the command is given: streams that may be closed, and signals to end."""

import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from foldformer.errors import Stopped

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
"""In the order of their file descriptors."""

ENDS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Signals that ask a process to end."""

_OF_THE_MACHINE = frozenset((
    errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOENT, errno.ENOSPC, errno.EROFS,
))  # fmt: skip
"""Errors that no mistake of ours leads to: a full disk, no folder for temporary files, ..."""

_TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
"""Of this process, and of all. Pipes and processes need them too, so it is not about writing."""


def open_streams() -> None:
    """Give a closed standard stream a place to go: `foldformer ... >&-`, or a service without any.

    Otherwise the next file to be opened, a model say, would get its number, and whatever a library
    prints would go into that file.
    """
    for number, (name, mode) in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            if not _is_open(number):
                nowhere = os.open(os.devnull, os.O_RDWR)
                if nowhere != number:
                    os.dup2(nowhere, number)
                    os.close(nowhere)
            # SIM115: it stays open to the end of the process.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):  # a letter that the terminal cannot show: \xe9
        sys.stdout.reconfigure(errors="backslashreplace")


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def abandon_stdout() -> None:
    """Drop what it still holds, which could only fail again at the end of the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def reason_of(error: OSError) -> str | None:
    """What the user can mend of an error of the system; None where the mistake is ours.

    Python names no file where one that is open cannot be written to. What stands in a folder of the
    user's is named by who writes it; the rest is said here.
    """
    if error.filename:
        return f"{error.filename}: {error.strerror}"
    if error.errno in _TOO_MANY_FILES:
        return (
            f"no more files can be opened: {error.strerror}; allow more of them with `ulimit -n`, "
            "or end other programs"
        )
    if error.errno not in _OF_THE_MACHINE:
        return None
    try:
        sys.stdout.flush()
    except OSError:
        abandon_stdout()
    return (
        f"standard output or a temporary file cannot be written: {error.strerror}; make room, or "
        "name another folder in TMPDIR"
    )


@contextmanager
def ended_in_order() -> Iterator[None]:
    """SIGTERM, and a terminal that is closed, end the process as Ctrl-C does: it clears up first.

    Whoever takes these signals over meanwhile, as a training does, decides for that time. One that
    is ignored, as under nohup, stays ignored.
    """
    process = os.getpid()

    def stop(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)  # once more: at once
        if os.getpid() != process:  # one that was forked off has nothing to clear up
            os.kill(os.getpid(), number)
            return
        raise Stopped(number, "stopped")

    taken = []
    if threading.current_thread() is threading.main_thread():
        taken = [number for number in ENDS if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
