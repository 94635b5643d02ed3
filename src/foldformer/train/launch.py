"""Several processes of this machine that work together, and the one that watches them."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar, cast

import torch
import torch.distributed as dist
from tqdm import tqdm

from foldformer.errors import FoldformerError, InputError, SpecError, Stopped
from foldformer.train.group import LostError, store_at
from foldformer.train.place import Place, node_of

_log = logging.getLogger(__name__)

T = TypeVar("T")
Say = Callable[[str], object]

GRACE = 5.0
"""Seconds that the others have to end by themselves when one has failed."""


@dataclass(frozen=True)
class _Report(Generic[T]):
    """How a process has ended."""

    result: T | None = None
    error: str = ""
    lost: bool = False
    """Whether the error is that another process has ended."""
    stopped: int = 0
    """The signal that it followed."""


def launch(
    work: Callable[[Place, Say], T],
    devices: int,
    nodes: int = 1,
    *,
    prepare: Callable[[], object] | None = None,
    go_on: Callable[[], str] = str,
) -> T:
    """Call `work` in a process for each device of this machine; returns what the first one does.

    All processes end when one does not end well, and when this one ends, however it does. Ctrl-C
    and SIGTERM are passed on once, to each process.

    Args:
        work: what to do, at which place; it may be told an error that it has no other way to say.
            It is pickled.
        devices: processes on this machine.
        nodes: machines that this is called on. With more than one, the environment says which
            this is: see `node_of`.
        prepare: is called first in each process.
        go_on: makes the end of the error of a process that was killed.

    Raises:
        InputError: a process has failed or was killed.
        Stopped: a signal has ended them.
        SpecError: the environment does not say which of several machines this is, or the system
            has no groups of processes.
    """
    if sys.platform == "win32":
        raise SpecError("--devices: several processes need Linux or macOS, or torchrun")
    node, address, port = node_of(nodes)
    server = None
    if node == 0:
        try:
            server = store_at(address, port, host=True)
        except (dist.DistError, RuntimeError) as error:
            raise InputError(
                f"port {port} of this machine (MASTER_PORT) cannot be listened at: "
                f"{str(error).splitlines()[0]}; wait for the end of what uses it, or set another "
                "MASTER_PORT"
            ) from None
        port = server.port
    places = [
        Place(
            rank=node * devices + local_rank,
            size=nodes * devices,
            local_rank=local_rank,
            nodes=nodes,
            node=node,
            address=address,
            port=port,
            hosted=True,
        )
        for local_rank in range(devices)
    ]
    processes = _Processes(work, places, prepare, go_on)
    with processes.forwarding():
        try:
            result = processes.result()
        finally:
            processes.kill()
    del server  # has served until now
    return result


class _Processes(Generic[T]):
    """The processes of this machine, and what is known of them."""

    def __init__(
        self,
        work: Callable[[Place, Say], T],
        places: list[Place],
        prepare: Callable[[], object] | None,
        go_on: Callable[[], str],
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._places = places
        self._go_on = go_on
        self._signals: list[int] = []
        self._deadline = float("inf")
        self._running: dict[int, tuple[BaseProcess, Connection]] = {}
        self._ended: dict[int, tuple[int, _Report[T] | None]] = {}
        """{index: (exit code, report)} of those that have ended by themselves."""
        self._reports: dict[int, _Report[T] | None] = {}
        """{index: report} of those that have said something, or will not any more."""
        for index, place in enumerate(places):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(
                target=_run, args=(work, place, sender, prepare, os.getpid()), name=_name(place)
            )
            process.start()
            sender.close()
            self._running[index] = process, receiver

    @contextmanager
    def forwarding(self) -> Iterator[None]:
        """Pass on signals; this process itself waits for the end of the others."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, self._forward) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def _forward(self, number: int, frame: object) -> None:
        self._signals.append(number)
        if len(self._signals) > 1:  # they stop at once
            self._deadline = min(self._deadline, time.monotonic() + GRACE)
        for process, _ in self._running.values():
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, number)

    def kill(self) -> None:
        """End those that run, with those that prepare batches for them."""
        for process, _ in self._running.values():
            try:
                os.killpg(process.pid or 0, signal.SIGKILL)
            except ProcessLookupError:  # it has no group of its own yet, or has ended
                process.kill()
            process.join()
        self._running = {}

    def result(self) -> T:
        """Wait for the end of all; what the first one returns."""
        while self._running and time.monotonic() < self._deadline:
            left = min(self._deadline - time.monotonic(), 1.0)
            # Of a process that has still to be read, the end of the pipe is not the end of it.
            unread = [pipe for i, (_, pipe) in self._running.items() if i not in self._reports]
            ends = [process.sentinel for process, _ in self._running.values()]
            wait([*unread, *ends], max(left, 0))
            self._collect()
        if self._running:
            print(file=sys.stderr)  # they may have left a progress bar in the last line
        self.kill()
        self._raise()
        report = self._ended[0][1]
        assert report is not None
        return cast(T, report.result)

    def _collect(self) -> None:
        for index, (process, receiver) in list(self._running.items()):
            if index not in self._reports and receiver.poll():
                self._reports[index] = _received(receiver)
            if process.exitcode is None:
                continue
            del self._running[index]
            self._ended[index] = process.exitcode, self._reports.get(index)
            receiver.close()
            if process.exitcode:
                # One that was killed leaves the others waiting for it; one that has failed may
                # have agreed on that with them.
                grace = 0.0 if process.exitcode < 0 and not self._signals else GRACE
                self._deadline = min(self._deadline, time.monotonic() + grace)

    def _raise(self) -> None:
        """The reason for the end of them all, if it was no good one."""
        failed = {i: ended for i, ended in sorted(self._ended.items()) if ended[0]}
        reports = [report for _, report in failed.values() if report is not None]
        for report in reports:
            if report.stopped:
                raise Stopped(report.stopped, report.error)
        for report in reports:
            if not report.lost:
                raise InputError(report.error)
        if self._signals:
            raise Stopped(self._signals[0], f"stopped; {self._go_on()}")
        for index, (code, said) in failed.items():
            if said is None:
                who = _name(self._places[index])
                if code < 0:
                    raise InputError(f"{who} was killed by {_signal(code)}; {self._go_on()}")
                raise InputError(f"{who} has ended with exit code {code}; {self._go_on()}")
        for report in reports:
            raise InputError(report.error)


def _name(place: Place) -> str:
    return f"training process {place.rank + 1} of {place.size}"


def _signal(code: int) -> str:
    name = signal.Signals(-code).name
    return f"{name} (often memory ran out)" if name == "SIGKILL" else name


def _received(receiver: "Connection") -> Any:
    """The `_Report` of a process; None if it has ended without one."""
    try:
        return receiver.recv()
    except EOFError:
        return None


def _run(
    work: Callable[[Place, Say], T],
    place: Place,
    sender: "Connection",
    prepare: Callable[[], object] | None,
    parent: int,
) -> None:
    """The life of a process."""
    os.setsid()  # Ctrl-C comes from the process that watches, and not twice
    # Those that prepare batches are started as they are anywhere else.
    multiprocessing.set_start_method(None, force=True)
    # Its own lock is a semaphore from Python 3.14 on, which a process that is killed leaves behind.
    tqdm.set_lock(threading.RLock())
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if prepare is not None:
        prepare()
    if not torch.cuda.is_available():
        torch.set_num_threads(max(1, _cores() // place.devices))
    report: _Report[T]
    code = 0
    try:
        result = work(place, lambda why: sender.send(_Report(error=why, lost=True)))
        report = _Report(result)
    except FoldformerError as error:
        _log.debug("%s", error, exc_info=True)
        report, code = _Report(error=str(error), lost=isinstance(error, LostError)), 2
    except Stopped as stop:
        report, code = _Report(error=str(stop), stopped=stop.number), 128 + stop.number
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    sender.send(report)
    sender.close()
    sys.exit(code)


def _end_with(parent: int) -> None:
    """End this process, and those that prepare batches, when its parent has ended."""
    while os.getppid() == parent:
        time.sleep(1)
    os.killpg(os.getpid(), signal.SIGKILL)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
