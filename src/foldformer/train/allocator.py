"""The C library's allocator, told to keep the memory of a step for the next one."""

import ctypes

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let malloc keep what is freed, for this process and from now on.

    A training step on a CPU frees what it has allocated, a few hundred megabytes. Left alone, glibc
    gives much of that back to the system and asks for it again in the next step, which then pays
    for every page: up to 7 % of a step. The most that the process ever held stays about the same.

    Returns:
        Whether the C library knows these settings; glibc does, others need none of them.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, _LARGEST))
