"""Items come as they are, one of them before it is asked for."""

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from foldformer.data.ahead import ahead


def test_all_items_come_in_order() -> None:
    assert list(ahead(iter(range(100)))) == list(range(100))
    assert list(ahead(iter([]))) == []


def test_the_next_item_is_made_while_one_is_worked_on() -> None:
    made = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    fetched = ahead(items())
    assert next(fetched) == 0
    assert made[1].wait(30)  # though nobody has asked for it


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("two")

    fetched = ahead(items())
    assert next(fetched) == 1
    with pytest.raises(KeyError, match="two"):
        next(fetched)
    assert next(fetched, None) is None


def test_nothing_runs_on_when_nobody_wants_more() -> None:
    before = threading.active_count()
    ended = threading.Event()

    def items() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            ended.set()

    fetched = ahead(items())
    assert next(fetched) == 0
    assert threading.active_count() == before + 1
    fetched.close()
    assert threading.active_count() == before
    del fetched
    assert ended.is_set()


def test_the_thread_itself_may_be_the_one_that_ends_it() -> None:
    """As when it collects garbage."""
    closed = threading.Event()
    holder: list[Iterator[int]] = []

    def items() -> Iterator[int]:
        yield 0
        while not holder:
            yield 1
        holder[0].close()
        closed.set()
        yield 2

    fetched = ahead(items())
    assert next(fetched) == 0
    thread = next(each for each in threading.enumerate() if each.name == "ahead")
    holder.append(fetched)
    assert closed.wait(30)
    thread.join(30)
    assert not thread.is_alive()


def test_it_may_be_left_open_to_the_end_of_python() -> None:
    script = "from foldformer.data.ahead import ahead; left = ahead(iter(range(9))); next(left)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
