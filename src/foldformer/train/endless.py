"""One endless row of batches over all epochs, which can go on at any place.

For Lightning training is one epoch: so a step always sums as many batches as asked for, the
processes that prepare batches live on from epoch to epoch, and a run that goes on in the middle of
an epoch sees the very batches that it had not seen.
"""

import itertools
import signal
from collections.abc import Iterator

from lhotse import CutSet
from lhotse.dataset.sampling.base import CutSampler
from torch.utils.data import DataLoader, Sampler

from foldformer.data.batches import Batch

Position = tuple[int, int]
"""Epoch, and batches of it that have been seen."""


class EndlessSampler(Sampler[CutSet]):
    """The batches of a Lhotse sampler, epoch after epoch, from a position on."""

    def __init__(self, sampler: CutSampler, start: Position = (0, 0)) -> None:
        self._sampler = sampler
        self._start = start
        self._begins = [(-start[1], start[0])]  # batches drawn when an epoch began, and which

    def __iter__(self) -> Iterator[CutSet]:
        epoch, seen = self._start
        self._begins = [(-seen, epoch)]
        drawn = 0
        for number in itertools.count(epoch):
            self._sampler.set_epoch(number)
            for batch in itertools.islice(self._sampler, seen if number == epoch else 0, None):
                yield batch
                drawn += 1
            self._begins.append((drawn, number + 1))

    def position(self, batches: int) -> Position:
        """Where the row stands after so many batches of this iteration, however many are drawn."""
        begin, epoch = max(entry for entry in self._begins if entry[0] <= batches)
        return epoch, batches - begin


def endless(loader: DataLoader[Batch], start: Position) -> tuple[DataLoader[Batch], EndlessSampler]:
    """The loader as an endless one, and its sampler; no sound of what is left out is read.

    Its processes leave Ctrl-C to the one that trains, which needs them until the step is done.
    """
    sampler = EndlessSampler(loader.sampler, start)
    rest: DataLoader[Batch] = DataLoader(
        loader.dataset,
        sampler=sampler,
        batch_size=None,
        num_workers=loader.num_workers,
        worker_init_fn=_leave_signals,
    )
    return rest, sampler


def _leave_signals(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
