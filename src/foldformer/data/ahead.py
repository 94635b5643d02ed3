"""The next item is fetched while the present one is worked on."""

import queue
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_POLL = 0.1  # seconds between two looks at whether anybody still wants an item


@dataclass(frozen=True)
class _End:
    """After the last item: the error that ended them, if one did."""

    error: BaseException | None = None


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items and the same error at the same place, one of them fetched ahead by a thread.

    Most of the work of a batch is done in C, which lets other threads run: decoding, resampling and
    the operations of features. Where processes make the batches, the thread hides the rest: taking
    one out of the memory of its process, which has to answer for it, and planning the next.

    So up to two items wait to be taken: one here, and one that the thread holds. When the iterator
    is closed, the thread ends with the item that it is fetching.
    """
    fetched: queue.Queue[tuple[T] | _End] = queue.Queue(maxsize=1)
    unwanted = threading.Event()

    def put(found: tuple[T] | _End) -> None:
        while not unwanted.is_set():
            try:
                fetched.put(found, timeout=_POLL)
            except queue.Full:
                continue
            return

    def fetch() -> None:
        try:
            for item in items:
                put((item,))
                if unwanted.is_set():
                    return
        except BaseException as error:
            put(_End(error))
        else:
            put(_End())

    thread = threading.Thread(target=fetch, name="ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(found := fetched.get(), _End):
            yield found[0]
        if found.error is not None:
            raise found.error
    finally:
        unwanted.set()
        # The thread may collect this as garbage; and Python that ends lets nobody wait for threads.
        if threading.current_thread() is not thread and not sys.is_finalizing():
            thread.join()
