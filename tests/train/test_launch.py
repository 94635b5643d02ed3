"""Whatever happens to a process, all of them end, and one error says why."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from torch.distributed import HashStore, PrefixStore

from foldformer.errors import InputError
from foldformer.train import watch
from foldformer.train.group import store_at
from foldformer.train.launch import launch
from foldformer.train.place import Place
from foldformer.train.watch import Watch


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_processes_end_together(ended: Callable[[int], bool]) -> None:
    script = Path(__file__).with_name("launching.py")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, script], env=environment, **pipes) as started:
        assert started.stdout is not None
        lines = [started.stdout.readline().rstrip("\n") for _ in range(5)]
        assert lines[:3] == [
            "large: returned 200000",
            "fails_alone: InputError('a file is missing')",
            "told_to_stop: Stopped('stopped by 1 signal')",
        ]
        waiting = [int(number) for line in lines[3:] for number in line.split()]
        assert len(waiting) == 4
        assert not any(map(ended, waiting))
        started.kill()
        until(lambda: all(map(ended, waiting)))
        assert started.stderr is not None
        assert "Traceback" not in started.stderr.read()


def test_a_port_that_is_taken_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as taken:
        port = taken.getsockname()[1]
        for name, value in (("NODE_RANK", 0), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", port)):
            monkeypatch.setenv(name, str(value))
        message = rf"^port {port} of this machine \(MASTER_PORT\) cannot be listened at: .*in use.*"
        with pytest.raises(InputError, match=f"{message} set another MASTER_PORT$"):
            launch(print, devices=1, nodes=2)


ARRIVES = """
import sys
from foldformer.train import watch
from foldformer.train.group import store_at
from foldformer.train.group import joined
from foldformer.train.place import Place
watch.LOST = 2.0
rank, port = map(int, sys.argv[1:])
with joined(Place(rank=rank, size=3, local_rank=rank, port=port)):
    pass
"""


def test_a_process_that_is_killed_before_all_have_come(tmp_path: Path) -> None:
    """The third never comes; the first one waits for it, but not without the second."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = tmp_path / "arrives.py"
    script.write_text(ARRIVES)
    first, second = (
        subprocess.Popen(
            [sys.executable, script, str(rank), str(port)], stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    )
    beats = PrefixStore("watch/0", store_at("127.0.0.1", port))
    until(lambda: beats.check(["0"]) and beats.check(["1"]))
    second.kill()
    second.communicate()
    _, err = first.communicate(timeout=60)
    assert first.returncode == 2
    assert err == (
        "foldformer: error: process 2 of 3 has ended, or its machine: nothing was heard of it for "
        "2 s; the same command goes on from the last saved step\n"
    )


def place_of(rank: int) -> Place:
    return Place(rank=rank, size=3, local_rank=rank)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Hearts that beat fast; a process that is ended is noted here."""
    monkeypatch.setattr(watch, "BEAT", 0.01)
    monkeypatch.setattr(watch, "LOST", 0.5)
    monkeypatch.setattr(watch, "_FAREWELL", 0.1)
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    return ended


def test_a_process_that_falls_silent_is_missed(quick: list[int]) -> None:
    """The third never begins; the first one finds that out, and the second hears of it."""
    store, said = HashStore(), []
    watches = [Watch(place_of(rank), store, said.append) for rank in range(3)]
    for each in watches[:2]:
        each.start()
        each.excuse()
    time.sleep(0.8)
    assert not any(each._why() for each in watches[:2])  # all is still being prepared
    for each in watches[:2]:
        each.expect()
    until(lambda: len(quick) > 0)
    assert quick == [2]
    assert said[0].startswith("process 3 of 3 has ended, or its machine: nothing was heard")
    assert watches[0].reason() == said[0]
    assert not watches[1]._why()  # the first process is alive, as far as it can know
    for each in watches:
        each.stop()


def test_one_that_dies_before_all_have_come_is_missed(quick: list[int]) -> None:
    """The second has arrived and gives no more sign of life; the third is only late."""
    store, said = HashStore(), []
    first = Watch(place_of(0), store, said.append)
    Watch(place_of(1), store, said.append)
    first.start()
    until(lambda: len(quick) > 0)
    assert said[0].startswith("process 2 of 3 has ended, or its machine: nothing was heard")
    first.stop()


def test_the_reason_of_one_is_told_to_all(quick: list[int]) -> None:
    store, said = HashStore(), []
    watches = [Watch(place_of(rank), store, said.append) for rank in range(3)]
    for each in watches:
        each.start()
    watches[2].tell("its disk is full")
    watches[2].stop()
    watches[1].tell("what follows from that")
    assert [each.reason() for each in watches[:2]] == ["process 3 of 3: its disk is full"] * 2
    until(lambda: len(quick) == 2)
    assert said == ["process 3 of 3: its disk is full"] * 2


def test_who_ends_in_time_is_not_ended(quick: list[int]) -> None:
    store = HashStore()
    watches = [Watch(place_of(rank), store, lambda why: None) for rank in range(3)]
    for each in watches:
        each.start()
        each.expect()
    time.sleep(0.2)
    for each in watches:
        each.stop()
    time.sleep(0.7)
    assert not quick


def test_an_error_from_outside_of_the_main_thread_is_one_line(
    capfd: pytest.CaptureFixture[str],
) -> None:
    watch.say_error("it is gone")
    assert capfd.readouterr().err == "foldformer: error: it is gone\n"
