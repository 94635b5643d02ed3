"""Optimiser steps that are made of several batches."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from foldformer.data.batches import Batch
from foldformer.train.group import ALONE, Group


class Steps:
    """The batches of a loader, each of which knows how many tokens its whole step has.

    A step sums the gradients of several batches, of which each process has its own. Divided by the
    tokens of all of them, each loss has the weight that it would have in one large batch, whatever
    the sizes of the single ones. The batches of a step are prepared together for that.

    Args:
        loader: batches without end, of this process.
        accumulate: batches a step in each process.
        group: the processes.
    """

    def __init__(self, loader: Iterable[Batch], accumulate: int, group: Group = ALONE) -> None:
        self._loader = loader
        self._accumulate = accumulate
        self._group = group

    def __iter__(self) -> Iterator[Batch]:
        """The batches of one step after another."""
        batches = iter(self._loader)
        while step := list(islice(batches, self._accumulate)):
            tokens = self._group.total(sum(int(batch.target_lengths.sum()) for batch in step))
            for batch in step:
                yield replace(batch, step_tokens=tokens)
