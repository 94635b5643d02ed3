import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldformer.compress.planning.programme import Frontier, Group, Options, _pruned, _thinned

Groups = dict[Group, list[Options]]
PAIRS = st.tuples(st.integers(0, 200), st.integers(0, 1000))


@st.composite
def problems(draw: st.DrawFn) -> tuple[int, Groups]:
    """Up to 3 layers, 2 matrices, 3 options: all groups, or those of single layers and a few."""
    stages = draw(st.integers(1, 3))
    numbers, errors = st.integers(0, 30), st.integers(0, 1000).map(lambda n: n / 64)
    options = st.lists(st.tuples(numbers, errors), min_size=1, max_size=3)
    groups: Groups = {}
    for first, last in itertools.combinations(range(stages + 1), 2):
        if last - first == 1 or draw(st.booleans()):
            matrices = draw(st.lists(options, min_size=1, max_size=2))
            groups[first, last] = [
                Options(np.array([b for b, _ in each]), np.array([e for _, e in each]))
                for each in matrices
            ]
    return stages, groups


def ways(stage: int, stages: int, groups: Groups) -> list[tuple[int, float]]:
    """(bytes, error) of every grouping with every choice, from a stage on."""
    if stage == stages:
        return [(0, 0.0)]
    found = []
    for (first, last), matrices in groups.items():
        if first == stage:
            pairs = [list(zip(o.bytes.tolist(), o.errors.tolist(), strict=True)) for o in matrices]
            for chosen in itertools.product(*pairs):
                for rest in ways(last, stages, groups):
                    spent = sum(b for b, _ in chosen) + rest[0]
                    found.append((spent, sum(e for _, e in chosen) + rest[1]))
    return found


def cost(frontier: Frontier, groups: Groups, budget: int) -> tuple[int, float]:
    """Bytes and error of the way that is chosen, counted from the options."""
    spent, error = 0, 0.0
    for step in frontier.steps(budget):
        for options, choice in zip(groups[step.group], step.choices, strict=True):
            spent += int(options.bytes[choice])
            error += float(options.errors[choice])
    return spent, error


@given(problems())
def test_agrees_with_trying_everything(problem: tuple[int, Groups]) -> None:
    stages, groups = problem
    everything = ways(0, stages, groups)
    frontier = Frontier(stages, groups)
    assert frontier.smallest == min(spent for spent, _ in everything)
    previous = np.inf
    for budget in range(frontier.smallest, max(spent for spent, _ in everything) + 2):
        best = min(error for spent, error in everything if spent <= budget)
        spent, error = cost(frontier, groups, budget)
        assert spent <= budget
        assert error == best == frontier.error(budget)
        assert error <= previous
        previous = error


@given(problems(), st.integers(3, 20))
def test_rounding_never_exceeds_a_budget(problem: tuple[int, Groups], steps: int) -> None:
    stages, groups = problem
    frontier = Frontier(stages, groups, steps)
    everything = ways(0, stages, groups)
    previous = np.inf
    for budget in range(frontier.smallest, frontier.smallest + 120):
        spent, error = cost(frontier, groups, budget)
        assert spent <= budget
        assert min(e for s, e in everything if s <= budget) <= error <= previous
        previous = error


@pytest.mark.parametrize("budget", [-5, 0, 6])
def test_nothing_fits_into_less_than_the_smallest(budget: int) -> None:
    frontier = Frontier(1, {(0, 1): [Options(np.array([7, 9]), np.array([1.0, 0.0]))]})
    assert frontier.error(budget) == np.inf
    with pytest.raises(ValueError, match="expected 7 or more"):
        frontier.steps(budget)


def test_all_that_counts_is_kept_when_bytes_are_coarse() -> None:
    options = Options(np.array([5000, 10000]), np.array([1.0, 0.0]))
    frontier = Frontier(2, {(0, 1): [options], (1, 2): [options]}, steps=4)
    assert frontier.unit == 5000
    assert [frontier.error(b) for b in (9999, 10000, 15000, 20000)] == [np.inf, 2, 1, 0]


@given(st.lists(PAIRS, min_size=1), st.integers(2, 9))
def test_fewer_options_are_as_good_a_little_later(
    options: list[tuple[int, int]], most: int
) -> None:
    """For each option there is one of those kept that is no worse, and larger by a step at most."""
    pairs = np.array(options)
    every = _pruned(Options(pairs[:, 0], pairs[:, 1].astype(float)), 1)
    units, errors, indices = _thinned(every, most)
    assert len(units) == min(len(every[0]), most) or len(units) < most < len(every[0])
    assert {*zip(units, errors, indices, strict=True)} <= {*zip(*every, strict=True)}
    step = (every[0][-1] - every[0][0]) / (most - 1)
    for unit, error in zip(*every[:2], strict=True):
        there = (errors <= error) & (units <= unit + step)
        assert there.any()


@given(problems())
def test_a_plan_with_fewer_options_is_one_of_all(problem: tuple[int, Groups]) -> None:
    stages, groups = problem
    whole, fewer = Frontier(stages, groups), Frontier(stages, groups, most=2)
    assert (fewer.smallest, fewer.largest) == (whole.smallest, whole.largest)
    for budget in range(fewer.smallest, fewer.largest + 1):
        spent, error = cost(fewer, groups, budget)
        assert spent <= budget
        assert error == fewer.error(budget) >= whole.error(budget)
    assert fewer.error(fewer.largest) == whole.error(whole.largest)
