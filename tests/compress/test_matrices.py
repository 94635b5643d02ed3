"""K matrices into fewer numbers, against what the algebra says and against data."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from foldformer.compress.alternating import sweeps
from foldformer.compress.least_squares import better_low_rank, cost, regular
from foldformer.compress.matrices import (
    Shared,
    basis,
    factor,
    output_error,
    share,
    source_layers,
)
from foldformer.errors import SpecError

STARTS = ("average", "stepwise", "lower", "fit")


def moments_of(uses: int, width: int, directions: int, seed: int = 0) -> Tensor:
    """Second moments whose size falls quickly from direction to direction; the rest are zero."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(uses, width, directions, generator=generator, dtype=torch.float64)
    mix = mix * 0.6 ** torch.arange(directions, dtype=torch.float64)
    return mix @ mix.transpose(1, 2)


@st.composite
def problems(draw: st.DrawFn, full: bool = False, least: int = 1) -> dict[str, Any]:
    """Weights of any shape, ranks of each use, and moments: none, of full rank, or deficient."""
    uses = draw(st.integers(least, 4))
    rows, columns = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    limit = min(rows, columns)
    ranks = [limit] * uses if full else [draw(st.integers(0, limit)) for _ in range(uses)]
    directions = draw(st.sampled_from([0, 1, rows]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    return {
        "weights": torch.randn(uses, rows, columns, generator=generator),
        "ranks": ranks,
        "diagonal": draw(st.booleans()),
        "moments": moments_of(uses, rows, directions).float() if directions else None,
    }


def moment_of(problem: dict[str, Any], use: int) -> Tensor | None:
    return None if problem["moments"] is None else problem["moments"][use]


def total_cost(problem: dict[str, Any], shared: Shared) -> float:
    """The cost that `share` makes small: of the errors of all uses, in their moments."""
    costs = []
    for use, weight in enumerate(problem["weights"]):
        moment = moment_of(problem, use)
        error = weight.double() - shared.merged(use).double()
        costs.append(float(cost(error, None if moment is None else regular(moment))))
    return sum(costs)


@settings(max_examples=60)
@given(problems(), st.sampled_from(STARTS))
def test_shapes_and_types(problem: dict[str, Any], start: Any) -> None:
    uses, rows, columns = problem["weights"].shape
    shared = share(**problem, start=start)
    assert shared.weight.shape == (rows, columns)
    assert shared.uses == uses
    assert shared.ranks == tuple(problem["ranks"])
    assert [down.shape for down in shared.down] == [(rows, rank) for rank in problem["ranks"]]
    assert [up.shape for up in shared.up] == [(rank, columns) for rank in problem["ranks"]]
    if problem["diagonal"]:
        assert shared.diagonal is not None
        assert shared.diagonal.shape == (uses, min(rows, columns))
    else:
        assert shared.diagonal is None
    for tensor in (shared.weight, *shared.down, *shared.up):
        assert tensor.dtype == torch.float32
        assert tensor.isfinite().all()


@settings(max_examples=60)
@given(problems(full=True), st.sampled_from(STARTS))
def test_full_rank_gives_the_weights_back(problem: dict[str, Any], start: Any) -> None:
    shared = share(**problem, start=start)
    for use, weight in enumerate(problem["weights"]):
        torch.testing.assert_close(shared.merged(use), weight, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_the_sweeps_go_on_as_long_as_they_pay(seed: int) -> None:
    """Diagonals make them slow: a dozen leave up to half as much again of the error."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(3, 7, 7, generator=generator, dtype=torch.float64)
    inputs = torch.randn(3, 50, 7, generator=generator, dtype=torch.float64)
    inputs = inputs @ torch.randn(3, 7, 7, generator=generator, dtype=torch.float64)
    moments = inputs.transpose(1, 2) @ inputs / 50
    problem = {"weights": weights, "ranks": [1, 1, 1], "diagonal": True, "moments": moments}
    metrics = torch.stack([regular(moment) for moment in moments])
    found = sweeps(weights, problem["ranks"], True, metrics)
    costs = [now for _, (_, now) in zip(range(80), found, strict=False)]
    assert total_cost(problem, share(**problem, start="fit")) < 1.05 * costs[-1]


@settings(max_examples=40)
@given(problems(least=2), st.integers(1, 6))
def test_no_sweep_raises_the_cost(problem: dict[str, Any], number: int) -> None:
    weights = problem["weights"].double()
    metrics = problem["moments"]
    if metrics is not None:
        metrics = torch.stack([regular(moment) for moment in metrics])
    whole = sum(
        float(cost(w, None if metrics is None else metrics[k])) for k, w in enumerate(weights)
    )
    found = sweeps(weights, problem["ranks"], problem["diagonal"], metrics)
    costs = [now for _, (_, now) in zip(range(number + 1), found, strict=False)]
    for before, now in pairwise(costs):
        assert now <= before + 1e-9 * whole
    shared, said = next(found)
    assert said == pytest.approx(total_cost(problem, shared), rel=1e-6, abs=1e-7 * whole)


@settings(max_examples=60)
@given(problems(), st.sampled_from(["average", "lower"]))
def test_fit_is_never_worse_than_another_start(problem: dict[str, Any], start: Any) -> None:
    zero = {**problem, "ranks": [0] * len(problem["weights"]), "diagonal": False}
    fitted = total_cost(zero, share(**zero, start="fit"))
    other = total_cost(zero, share(**zero, start=start))
    whole = sum(float(weight.square().sum()) for weight in problem["weights"])
    assert fitted <= other + 1e-5 * whole


def singular_values(matrix: Tensor) -> Tensor:
    return torch.linalg.svdvals(matrix.double())


@settings(max_examples=40)
@given(problems())
def test_what_a_truncated_residual_lacks_are_the_singular_values_left_out(
    problem: dict[str, Any],
) -> None:
    shared = share(problem["weights"], problem["ranks"], diagonal=False, start="average")
    mean = problem["weights"].double().mean(dim=0)
    for use, (weight, rank) in enumerate(zip(problem["weights"], problem["ranks"], strict=True)):
        lost = (weight.double() - shared.merged(use).double()).square().sum()
        left_out = singular_values(weight.double() - mean)[rank:].square().sum()
        torch.testing.assert_close(lost, left_out, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("rows", "columns"), [(24, 10), (10, 24), (12, 12)])
@pytest.mark.parametrize("rank", [0, 3, 9])
def test_a_whitened_factor_is_the_svd_of_the_whitened_matrix(
    rows: int, columns: int, rank: int
) -> None:
    weight, moment = torch.randn(rows, columns).double(), moments_of(1, rows, rows)[0]
    down, up = factor(weight, rank, moment)
    root = torch.linalg.cholesky(regular(moment)).t()
    left_out = singular_values(root @ weight)[rank:].square().sum()
    torch.testing.assert_close((root @ (weight - down @ up)).square().sum(), left_out)
    plain_down, plain_up = factor(weight, rank)
    assert output_error(weight, down @ up, moment) <= output_error(
        weight, plain_down @ plain_up, moment
    ) * (1 + 1e-9)
    left_out = singular_values(weight)[rank:].square().sum()
    torch.testing.assert_close((weight - plain_down @ plain_up).square().sum(), left_out)


@pytest.mark.parametrize("directions", [4, 16])
def test_the_output_error_is_that_of_data(directions: int) -> None:
    x = torch.randn(500, directions).double() @ torch.randn(directions, 16).double()
    weight = torch.randn(16, 12).double()
    moment = x.t() @ x / len(x)
    down, up = factor(weight, 3, moment)
    lost = (x @ weight - x @ down @ up).square().sum() / (x @ weight).square().sum()
    assert output_error(weight, down @ up, moment) == pytest.approx(float(lost), rel=1e-9)
    plain = float((weight - down @ up).square().sum() / weight.square().sum())
    assert output_error(weight, down @ up) == pytest.approx(plain, rel=1e-9)


def test_where_inputs_never_go_the_error_is_still_small() -> None:
    """A moment of rank 4 leaves 12 directions free; the ridge asks for little error there."""
    x = torch.randn(500, 4).double() @ torch.randn(4, 16).double()
    weight = torch.randn(16, 16).double()
    down, up = factor(weight, 10, x.t() @ x / len(x))
    assert output_error(weight, down @ up, x.t() @ x) < 1e-8
    best = singular_values(weight)[10:].square().sum() / weight.square().sum()
    assert output_error(weight, down @ up) < 4 * float(best)


def test_two_uses_share_what_a_low_rank_of_the_difference_leaves() -> None:
    """For K = 2 and no moments the optimum is known: the 2 R largest singular values of the
    difference go to the residuals, and the rest is split between the two; average + SVD can
    use only R of them, twice."""
    weights = torch.randn(2, 20, 16).double()
    values = singular_values(weights[0] - weights[1]).square()
    fitted = share(weights, (3, 3), diagonal=False, start="fit")
    plain = share(weights, (3, 3), diagonal=False, start="average")
    problem = {"weights": weights, "moments": None}
    assert total_cost(problem, fitted) == pytest.approx(float(values[6:].sum()) / 2, rel=1e-6)
    assert total_cost(problem, plain) == pytest.approx(float(values[3:].sum()) / 2, rel=1e-6)


def built(uses: int, rows: int, columns: int, rank: int) -> tuple[Tensor, Tensor]:
    """Matrices that are a shared one, a low rank and a diagonal; and moments."""
    weights = []
    shared = torch.randn(rows, columns).double()
    for _ in range(uses):
        low = torch.randn(rows, rank).double() @ torch.randn(rank, columns).double()
        low.diagonal().add_(torch.randn(min(rows, columns)).double())
        weights.append(shared + low)
    return torch.stack(weights), moments_of(uses, rows, rows)


@pytest.mark.parametrize("whitened", [False, True])
def test_fit_is_better_than_average_and_finds_most_of_a_structure(whitened: bool) -> None:
    weights, moments = built(3, 24, 20, 2)
    problem: dict[str, Any] = {"weights": weights, "moments": moments if whitened else None}
    fitted = share(weights, (2,) * 3, diagonal=True, start="fit", moments=problem["moments"])
    plain = share(weights, (2,) * 3, diagonal=True, start="average", moments=problem["moments"])
    assert total_cost(problem, fitted) < 0.5 * total_cost(problem, plain)


def test_the_diagonal_of_one_column_is_the_closed_form() -> None:
    """Moving any entry of the diagonal from where it is raises the cost."""
    weights, moments = built(3, 8, 6, 1)
    shared = share(weights, (1,) * 3, diagonal=True, start="average", moments=moments)
    assert shared.diagonal is not None
    problem = {"weights": weights, "moments": moments}
    best = total_cost(problem, shared)
    for step in (1e-3, -1e-3):
        for use in range(3):
            for entry in range(6):
                moved = shared.diagonal.clone()
                moved[use, entry] += step
                other = Shared(shared.weight, shared.down, shared.up, moved)
                assert total_cost(problem, other) > best


def test_a_use_that_is_the_source_can_still_learn() -> None:
    weights = torch.randn(3, 6, 8)
    shared = share(weights, (2, 2, 2), diagonal=False, start="stepwise", source=weights[1])
    torch.testing.assert_close(shared.merged(1), weights[1], rtol=0, atol=0)
    assert not shared.up[1].any()
    assert shared.down[1].norm(dim=0) == pytest.approx([1, 1], abs=0.6)
    torch.testing.assert_close(shared.weight, weights[1])
    torch.testing.assert_close(
        share(weights, (2,) * 3, diagonal=False, start="lower").weight, weights[0]
    )


def test_equal_matrices_leave_nothing_and_can_still_learn() -> None:
    weights = torch.randn(6, 8).expand(3, 6, 8)
    for start in STARTS:
        shared = share(weights, (2, 2, 2), diagonal=True, start=start)
        assert all(
            not up.any() and down.any(dim=0).all()
            for up, down in zip(shared.up, shared.down, strict=True)
        ), start


def test_factors_are_balanced() -> None:
    down, up = factor(torch.randn(30, 20), 5)
    torch.testing.assert_close(down.norm(dim=0), up.norm(dim=1))


@pytest.mark.parametrize(
    ("layers", "groups", "stepwise", "lower"),
    [
        (18, 9, [0, 2, 4, 6, 8, 11, 13, 15, 17], list(range(9))),
        (18, 6, [0, 3, 7, 10, 14, 17], list(range(6))),
        (6, 3, [0, 2, 5], [0, 1, 2]),
        (4, 1, [0], [0]),
        (3, 3, [0, 1, 2], [0, 1, 2]),
    ],
)
def test_source_layers(layers: int, groups: int, stepwise: Sequence[int], lower: Any) -> None:
    assert source_layers("stepwise", layers, groups) == stepwise
    assert source_layers("lower", layers, groups) == lower


@settings(max_examples=20)
@given(st.integers(1, 5), st.integers(1, 6))
def test_stepwise_sources_of_adjacent_groups_lie_in_their_groups(uses: int, groups: int) -> None:
    sources = source_layers("stepwise", uses * groups, groups)
    assert [source // uses for source in sources] == list(range(groups))


# A shared basis


@settings(max_examples=40)
@given(problems(), st.data())
def test_basis(problem: dict[str, Any], data: Any) -> None:
    weights, moments = problem["weights"], problem["moments"]
    uses, rows, columns = weights.shape
    rank = data.draw(st.integers(0, min(rows, uses * columns)))
    shared, coefficients = basis(weights, rank, moments)
    assert shared.shape == (rows, rank)
    assert coefficients.shape == (uses, rank, columns)
    if rank == min(rows, uses * columns):
        torch.testing.assert_close(shared @ coefficients, weights, rtol=1e-4, atol=1e-4)
    if moments is None:
        lost = (weights.double() - (shared @ coefficients).double()).square().sum()
        left_out = singular_values(torch.cat(list(weights), dim=1))[rank:].square().sum()
        torch.testing.assert_close(lost, left_out, rtol=1e-4, atol=1e-5)


def test_a_basis_of_one_use_is_a_factored_matrix() -> None:
    weight, moments = torch.randn(12, 10).double(), moments_of(1, 12, 12)
    shared, coefficients = basis(weight[None], 4, moments)
    down, up = factor(weight, 4, moments[0])
    torch.testing.assert_close(shared @ coefficients[0], down @ up)


def test_coefficients_are_the_best_for_the_moments_of_each_use() -> None:
    weights, moments = torch.randn(3, 12, 10).double(), moments_of(3, 12, 12)
    shared, coefficients = basis(weights, 4, moments)
    plain, plain_coefficients = basis(weights, 4)
    for use, weight in enumerate(weights):
        slope = shared.t() @ regular(moments[use]) @ (weight - shared @ coefficients[use])
        assert slope.abs().max() < 1e-8
    lost = [output_error(w, shared @ coefficients[k], moments[k]) for k, w in enumerate(weights)]
    other = [
        output_error(w, plain @ plain_coefficients[k], moments[k]) for k, w in enumerate(weights)
    ]
    assert sum(lost) < sum(other)


# Steps of the iteration


@settings(max_examples=40)
@given(problems(), st.integers(1, 5))
def test_steps_of_the_iteration_do_not_raise_the_cost(problem: dict[str, Any], steps: int) -> None:
    error, rank = problem["weights"][0].double(), problem["ranks"][0]
    moment = moment_of(problem, 0)
    metric = None if moment is None else regular(moment)
    up = torch.randn(rank, error.shape[1]).double()
    costs = []
    for number in (0, steps):
        down, better = better_low_rank(error, up, metric, number)
        costs.append(float(cost(error - down @ better, metric)))
    assert costs[1] <= costs[0] * (1 + 1e-9) + 1e-9 * float(cost(error, metric))


# What is refused


@pytest.mark.parametrize("start", STARTS)
def test_a_rank_above_the_matrix_is_refused(start: Any) -> None:
    weights = torch.randn(2, 8, 12)
    message = r"rank: 9 is larger than the matrix allows \(8 x 12: at most 8\)"
    with pytest.raises(SpecError, match=message):
        share(weights, (1, 9), diagonal=False, start=start)
    with pytest.raises(SpecError, match=message):
        factor(weights[0], 9)


def test_ranks_of_other_uses_and_weights_that_are_no_numbers_are_refused() -> None:
    weights = torch.randn(2, 8, 12)
    with pytest.raises(SpecError, match="rank: 3 ranks for 2 uses"):
        share(weights, (1, 1, 1), diagonal=False, start="fit")
    weights[1, 2, 3] = float("nan")
    for call in (
        lambda: share(weights, (1, 1), diagonal=False, start="average"),
        lambda: factor(weights[1], 2),
        lambda: basis(weights, 2),
    ):
        with pytest.raises(SpecError, match="not all are finite"):
            call()
