"""Orders of depth."""

from hypothesis import given
from hypothesis import strategies as st

from foldformer.nn.depth.order import adjacent, cycle

USES = st.lists(st.integers(1, 4), min_size=1, max_size=5)


def test_orders_of_groups_that_differ() -> None:
    assert adjacent([1, 3, 2]) == [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]
    assert cycle([1, 3, 2]) == [(0, 0), (1, 0), (2, 0), (1, 1), (2, 1), (1, 2)]


@given(USES)
def test_both_orders_hold_every_use_once_and_in_turn(uses: list[int]) -> None:
    for order in (adjacent(uses), cycle(uses)):
        for layer, count in enumerate(uses):
            assert [use for index, use in order if index == layer] == list(range(count))
        assert len(order) == sum(uses)
