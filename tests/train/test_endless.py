"""The endless row of batches goes on at any place as if it had never been left."""

import itertools
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from foldformer.train.endless import EndlessSampler


class Epochs:
    """Stands for a Lhotse sampler: epochs of different sizes; batches are (epoch, number)."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((self.epoch, i) for i in range(self.sizes[self.epoch % len(self.sizes)]))


sizes = st.lists(st.integers(1, 5), min_size=1, max_size=4)


@given(sizes=sizes, seen=st.integers(0, 12), more=st.integers(0, 12), ahead=st.integers(0, 6))
def test_it_goes_on_where_it_was_left(sizes: list[int], seen: int, more: int, ahead: int) -> None:
    """However many batches were drawn ahead, and when it was left before, too."""
    whole = list(itertools.islice(EndlessSampler(Epochs(sizes)), seen + more + 6))
    first = EndlessSampler(Epochs(sizes))
    drawn = iter(first)
    assert list(itertools.islice(drawn, seen + ahead)) == whole[: seen + ahead][: seen + ahead]
    second = EndlessSampler(Epochs(sizes), first.position(seen))
    assert list(itertools.islice(second, more + 1)) == whole[seen : seen + more + 1]
    third = EndlessSampler(Epochs(sizes), second.position(more))
    assert list(itertools.islice(third, 3)) == whole[seen + more : seen + more + 3]


def test_an_epoch_holds_each_batch_once() -> None:
    row = list(itertools.islice(EndlessSampler(Epochs([2, 3])), 7))
    assert row == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]


def test_before_anything_is_drawn_it_stands_at_its_start() -> None:
    assert EndlessSampler(Epochs([4]), (3, 2)).position(0) == (3, 2)
