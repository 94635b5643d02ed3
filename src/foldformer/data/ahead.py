"""The next item is fetched while the present one is worked on."""

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")

_POLL = 0.1  # seconds between two looks at whether anybody still wants an item


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items and the same error at the same place, one of them fetched ahead by a thread.

    That hides what is not computing: taking a batch out of the memory of a worker process, which
    has to answer for it, and planning the batch that the worker makes next.
    """
    fetched: queue.Queue[tuple[bool, T | BaseException | None]] = queue.Queue(maxsize=1)
    unwanted = threading.Event()

    def put(more: bool, item: T | BaseException | None) -> None:
        while not unwanted.is_set():
            try:
                fetched.put((more, item), timeout=_POLL)
            except queue.Full:
                continue
            return

    def fetch() -> None:
        try:
            for item in items:
                put(True, item)
                if unwanted.is_set():
                    return
        except BaseException as error:
            put(False, error)
        else:
            put(False, None)

    thread = threading.Thread(target=fetch, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            more, item = fetched.get()
            if not more:
                break
            yield item  # type: ignore[misc]
        if item is not None:
            raise item  # type: ignore[misc]
    finally:
        unwanted.set()
        thread.join()
