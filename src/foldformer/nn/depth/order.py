"""The order of depth: a list of (layer, use) pairs."""

from collections.abc import Sequence

Order = list[tuple[int, int]]


def adjacent(uses: Sequence[int]) -> Order:
    """A0 A1 A2 B0 B1 B2: the uses of a layer follow one another (ResidualTransformer).

    >>> adjacent([2, 1])
    [(0, 0), (0, 1), (1, 0)]
    """
    return [(layer, use) for layer, count in enumerate(uses) for use in range(count)]


def cycle(uses: Sequence[int]) -> Order:
    """A0 B0 A1 B1 A2 B2: the stack is run through again and again (Relaxed Recursive Transformers).

    A layer with fewer uses than others drops out of the later rounds.

    >>> cycle([2, 1])
    [(0, 0), (1, 0), (0, 1)]
    """
    rounds = range(max(uses, default=0))
    return [(layer, use) for use in rounds for layer, count in enumerate(uses) if use < count]
