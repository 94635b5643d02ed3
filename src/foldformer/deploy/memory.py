"""Memory that this process need not keep while an export runs: that of loading it.

Two things are left when a model is loaded. Weights were copied and packed, and the C library's
allocator keeps what that took. And pages of the libraries' files are resident that only loading
touched. Both can go back to the system; what is needed after all is read from the file again.

Linux with glibc alone: elsewhere nothing is done.
"""

import ctypes
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

Memory = Literal["quick", "small", "system"]
"""quick: what loading took goes back, and the buffers of a chunk stay for the next one. small: they
go back too, after each chunk, and cost a page fault for each 4 kB of them in the next one. system:
nothing is touched."""

# Of glibc's malloc.h and Linux' mman.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MADV_DONTNEED = 4

_ELSEWHERE = (AttributeError, OSError, TypeError)
"""What comes of asking the C library for a function of glibc's: musl, macOS, Windows."""

_SMALL = 2**16
_LARGE = 2**25
"""The largest threshold that glibc takes."""

_Span = tuple[int, int]


def give_back(memory: Memory) -> bool:
    """Let the allocator give freed memory back, from now on; best before libraries are loaded.

    Returns:
        Whether it does: not for `system`, nor where this is not glibc.
    """
    return memory != "system" and give_back_above(_SMALL) and _set(_M_ARENA_MAX, 1)


class Loading:
    """Around the loading of an export, in a process whose libraries are loaded already."""

    def __init__(self, memory: Memory = "quick", libraries: bool = True) -> None:
        """Begin.

        Args:
            memory: what is to be kept.
            libraries: whether pages of their files are given back too.
        """
        self._returning = give_back(memory)
        self._before = set(_unwritten()) if self._returning and libraries else set()

    def end(self) -> None:
        """The export is loaded, and has best run once: give back what only that took."""
        if not self._returning:
            return
        # Of files that were mapped before too: a library that another thread loads just now might
        # still write into its pages.
        _forget(span for span in _unwritten() if span in self._before)
        ctypes.CDLL(None).malloc_trim(0)
        # Also for `small`: blocks that go back one by one, as soon as they are free, would be
        # fetched anew many times in a chunk.
        give_back_above(_LARGE)


def after_call(memory: Memory) -> Callable[[], object]:
    """What to do after each chunk of a stream, or recording: give back its buffers, if `small`."""
    if memory != "small":
        return _nothing
    try:
        return partial(ctypes.CDLL(None).malloc_trim, 0)
    except _ELSEWHERE:
        return _nothing


def _nothing() -> None:
    """Where buffers stay, or the system does as it likes."""


def give_back_above(size: int) -> bool:
    """Let freed blocks of so many bytes and more go back to the system at once, from now on.

    Returns:
        Whether they do: not where this is not glibc.
    """
    return _set(_M_MMAP_THRESHOLD, size) and _set(_M_TRIM_THRESHOLD, size)


def _set(option: int, value: int) -> bool:
    try:
        return bool(ctypes.CDLL(None).mallopt(option, value))
    except _ELSEWHERE:
        return False


def _unwritten() -> Iterator[_Span]:
    """(start, end) of each part of a file that is mapped for reading, and as it is in the file."""
    span: _Span | None = None
    try:
        with open("/proc/self/smaps", "rb") as file:
            for line in file:
                words = line.split()
                if not words[0].endswith(b":"):  # 7f00-7f10 r--p 00000000 fe:00 1234 /lib/libc.so
                    span = None
                    if len(words) > 5 and words[5].startswith(b"/") and words[1][1::2] == b"-p":
                        span = _span(words[0])
                elif span is not None and words[:2] == [b"Anonymous:", b"0"]:
                    yield span
    except OSError:
        return


def _span(text: bytes) -> _Span:
    start, end = text.split(b"-")
    return int(start, 16), int(end, 16)


def _forget(spans: Iterator[_Span]) -> None:
    """Let go of the pages; whoever reads them again gets them from the file."""
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in spans:
        madvise(start, end - start, _MADV_DONTNEED)  # refused for locked pages, which then stay
