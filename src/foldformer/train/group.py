"""The processes of a training, what they agree on, and how they learn that one has ended."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]  # it is public all the same
from torch.distributed.distributed_c10d import PrefixStore, Store

from foldformer.errors import FoldformerError, InputError, Stopped
from foldformer.train.place import Place
from foldformer.train.watch import Watch, say_error

T = TypeVar("T")

ARRIVAL = timedelta(minutes=10)
"""How long the processes wait for each other at the start."""

_SLOWEST = timedelta(hours=2)  # reading large manifests, say; who has ended is found out otherwise
_BROKEN = ("gloo", "nccl", "connection closed", "connection reset", "broken pipe")


class LostError(InputError):
    """Another process has ended, and so this one has to; the other knows the reason."""


class Group:
    """The processes of a training. One alone sends nothing and waits for nobody.

    Every process must call the same methods in the same order.

    Args:
        rank: of this process.
        size: number of processes.
        reports: whether this process says why all have ended: one on each machine does.
        watch: hears from the others.
    """

    def __init__(
        self, rank: int = 0, size: int = 1, reports: bool = True, watch: Watch | None = None
    ) -> None:
        self.rank = rank
        self.size = size
        self._reports = reports
        self._watch = watch

    def __deepcopy__(self, memo: object) -> "Group":
        """The same: a copy of what a process trains, its averages, stays in the process."""
        return self

    def expect(self) -> None:
        """All is prepared, and the work begins: nobody may be silent any more."""
        if self._watch is not None:
            self._watch.expect()

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files, logs and a progress bar."""
        return self.rank == 0

    def total(self, value: int) -> int:
        """The sum of everybody's value."""
        return self._reduced(value, dist.ReduceOp.SUM)

    def largest(self, value: int) -> int:
        """The largest of everybody's values."""
        return self._reduced(value, dist.ReduceOp.MAX)

    def gathered(self, value: T) -> list[T]:
        """Everybody's value, in order of rank."""
        if self.size == 1:
            return [value]
        values: list[T | None] = [None] * self.size
        dist.all_gather_object(values, value)
        return [each for each in values if each is not None]

    def first(self, make: Callable[[], T]) -> T:
        """What the first process makes, for all; if it fails with an error of ours, all end.

        Raises:
            InputError: that error.
            SystemExit: the same in a process that does not report it.
        """
        if self.size == 1:
            return make()
        said: list[tuple[T | None, str | None]] = [(None, None)]
        if self.leads:
            try:
                said = [(make(), None)]
            except FoldformerError as error:
                said = [(None, str(error))]
        dist.broadcast_object_list(said, 0)
        made, error_ = said[0]
        if error_ is not None:
            raise self.agreed(InputError(error_))
        return cast(T, made)

    def agreed(self, end: FoldformerError | Stopped) -> BaseException:
        """The exception for an end that all have agreed on: one process a machine says why."""
        if self._reports:
            return end
        return SystemExit(128 + end.number if isinstance(end, Stopped) else 2)

    def _reduced(self, value: int, how: dist.ReduceOp.RedOpType) -> int:
        if self.size == 1:
            return value
        tensor = torch.tensor(value)  # on the CPU, whatever the model is on
        dist.all_reduce(tensor, how)
        return int(tensor)


ALONE = Group()


@contextmanager
def joined(place: Place | None, say: Callable[[str], object] = say_error) -> Iterator[Group]:
    """Meet the other processes, and leave together; alone, there are none.

    Args:
        place: of this process.
        say: is told the reason if this process has to be ended while it waits.

    Raises:
        InputError: not all have arrived in time.
        LostError: one has ended while the others were at work.
    """
    if place is None:
        yield ALONE
        return
    met, heard = _arrived(place)
    watch = Watch(place, heard, say)
    watch.start()
    try:
        torch_device(place)
        _wait_for_all(place, met)
        watch.expect()
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(
            backend, store=met, rank=place.rank, world_size=place.size, timeout=_SLOWEST
        )
        dist.barrier()
        watch.excuse()
        yield Group(place.rank, place.size, place.local_rank == 0, watch)
        dist.barrier()
    except Exception as error:
        if _is_broken(error):
            raise LostError(watch.reason()) from error
        watch.tell(" ".join(str(error).split())[:1000])
        raise
    except (Stopped, SystemExit):  # all together
        dist.destroy_process_group()
        raise
    else:
        dist.destroy_process_group()
    finally:
        watch.stop()


def torch_device(place: Place) -> torch.device:
    """The device of a process, chosen for what follows too.

    Raises:
        InputError: the machine has fewer of them than processes.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    if place.devices > torch.cuda.device_count():
        raise InputError(
            f"{place.devices} processes on this machine, but {torch.cuda.device_count()} GPUs that "
            "they can see; start one for each GPU (on Slurm: --gpus-per-node, not --gpus-per-task)"
        )
    device = torch.device("cuda", place.local_rank)
    torch.cuda.set_device(device)
    return device


def store_at(address: str, port: int, *, host: bool = False) -> TCPStore:
    """A connection to where processes meet; the one that hosts it must stay until all have gone."""
    return TCPStore(address, port, is_master=host, timeout=ARRIVAL, wait_for_workers=False)


def _arrived(place: Place) -> tuple[Store, Store]:
    """Connections to where all meet: one to wait at, and one to be heard through meanwhile."""
    try:
        host = place.rank == 0 and not place.hosted
        store = store_at(place.address, place.port, host=host)
        met = PrefixStore(f"group/{place.attempt}", store)
        already = met.add(f"here/{place.rank}", 1) > 1
        heard = PrefixStore(f"watch/{place.attempt}", store_at(place.address, place.port))
    except (dist.DistError, RuntimeError) as error:
        raise _missing(place, error) from None
    if already:
        raise InputError(
            f"at {place.address}:{place.port} there is a process {place.rank + 1} of {place.size} "
            "already: an earlier start has not ended yet, or another training meets there too; "
            "wait for its end, or set another MASTER_PORT"
        )
    return met, heard


def _wait_for_all(place: Place, met: Store) -> None:
    try:
        met.wait([f"here/{rank}" for rank in range(place.size)], ARRIVAL)
    except dist.DistStoreError as error:  # a broken connection is another one
        raise _missing(place, error) from None


def _missing(place: Place, error: Exception) -> InputError:
    minutes = ARRIVAL.total_seconds() / 60
    return InputError(
        f"the {place.size} training processes have not all come to "
        f"{place.address}:{place.port} in {minutes:g} minutes ({' '.join(str(error).split())})"
    )


def _is_broken(error: Exception) -> bool:
    """Whether the error is one of the connection to other processes."""
    text = str(error).lower()
    named = isinstance(error, RuntimeError) and any(word in text for word in _BROKEN)
    return isinstance(error, dist.DistError) or named
