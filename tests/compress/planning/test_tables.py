"""Predicted errors and bytes against those of matrices that are really factored and shared."""

import pytest
import torch
from torch import Tensor

from foldformer.compress.least_squares import cost, regular
from foldformer.compress.matrices import basis, factor, share
from foldformer.compress.planning.layer_matrices import LayerMatrices
from foldformer.compress.planning.options import Choice, Table
from foldformer.compress.planning.tables import tables
from foldformer.errors import InputError
from foldformer.measure.stored import Precision, matrix_bytes

LAYERS, INPUTS, OUTPUTS = 3, 12, 20
IMPORTANCE = [0.5, 2.0, 1.0]


def second_moment(width: int, seed: int) -> Tensor:
    """Of inputs of different strengths in different directions."""
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(width, width, generator=generator)
    x = torch.randn(4 * width, width, generator=generator) * torch.linspace(0.2, 2, width)
    return (x @ mixed).t() @ (x @ mixed) / len(x) / width


def stack(shape: tuple[int, int], *, moments: str) -> LayerMatrices:
    """Matrices with something in common; moments `none`, `same` or `different` for each layer."""
    torch.manual_seed(1)
    common = torch.randn(shape)
    weights = [common + 0.6 * torch.randn(shape) for _ in range(LAYERS)]
    seeds = [0, 0, 0] if moments == "same" else [0, 1, 2]
    found = None if moments == "none" else {"m": [second_moment(shape[0], s) for s in seeds]}
    return LayerMatrices({"m": weights}, found, {"m": IMPORTANCE})


def metric(of: LayerMatrices, layer: int) -> Tensor | None:
    moment = of.moment("m", layer)
    return None if moment is None else regular(moment)


def lost(of: LayerMatrices, layers: tuple[int, ...], approximations: list[Tensor]) -> float:
    """Importance times the part of the output's energy that is lost, summed over uses."""
    total = 0.0
    for layer, approximation in zip(layers, approximations, strict=True):
        exact, moment = of.weights["m"][layer].double(), metric(of, layer)
        error = exact - approximation.double()
        total += IMPORTANCE[layer] * float(cost(error, moment) / cost(exact, moment))
    return total


def stacked(of: LayerMatrices, layers: tuple[int, ...]) -> tuple[Tensor, list[Tensor] | None]:
    """What a fold is given: it knows nothing of importance."""
    weights = torch.stack([of.weights["m"][layer] for layer in layers]).double()
    found = [metric(of, layer) for layer in layers]
    return weights, [each for each in found if each is not None] or None


def table(of: LayerMatrices, layers: tuple[int, ...], precision: Precision = "fp32") -> Table:
    return tables(of, [layers], precision)[layers]["m"]


def choices(of: Table, what: str) -> list[Choice]:
    every = [of.choice(index) for index in range(len(of.options.bytes))]
    return [choice for choice in every if choice.what == what]


@pytest.mark.parametrize("shape", [(INPUTS, OUTPUTS), (OUTPUTS, INPUTS)], ids=str)
@pytest.mark.parametrize("moments", ["none", "different"])
def test_low_ranks_are_predicted_exactly(shape: tuple[int, int], moments: str) -> None:
    of, layers = stack(shape, moments=moments), (0, 1, 2)
    found = choices(table(of, layers), "low_rank")
    assert len(found) > 8
    assert any(len(set(choice.ranks)) > 1 for choice in found)
    for choice in found:
        approximations = []
        for layer, rank in zip(layers, choice.ranks, strict=True):
            down, up = factor(of.weights["m"][layer], rank, metric(of, layer))
            approximations.append(down @ up)
        assert choice.error == pytest.approx(lost(of, layers, approximations), rel=2e-3, abs=1e-5)


@pytest.mark.parametrize("shape", [(INPUTS, OUTPUTS), (40, INPUTS)], ids=str)
@pytest.mark.parametrize("moments", ["none", "same"])
def test_a_basis_is_predicted_exactly(shape: tuple[int, int], moments: str) -> None:
    """Where all inputs have one moment: else the coefficients of a use do a little better."""
    of, layers = stack(shape, moments=moments), (0, 1)
    found = choices(table(of, layers), "basis")
    assert found[0].ranks == (1,)
    weights, given = stacked(of, layers)
    for choice in found:
        shared, coefficients = basis(weights, choice.ranks[0], given)
        error = lost(of, layers, [shared @ each for each in coefficients])
        assert choice.error == pytest.approx(error, rel=2e-3, abs=1e-4)


@pytest.mark.parametrize("shape", [(INPUTS, OUTPUTS), (OUTPUTS, INPUTS)], ids=str)
@pytest.mark.parametrize("moments", ["none", "same"])
def test_residuals_of_two_uses_are_predicted_exactly(shape: tuple[int, int], moments: str) -> None:
    """However much more one of them matters: the fit makes the plain sum of all errors small."""
    of, layers = stack(shape, moments=moments), (0, 1)
    weights, given = stacked(of, layers)
    for choice in choices(table(of, layers), "residual")[::3]:
        fit = share(weights, choice.ranks, diagonal=False, start="fit", moments=given)
        error = lost(of, layers, [fit.merged(use) for use in range(2)])
        assert choice.error == pytest.approx(error, rel=5e-3, abs=1e-3)


@pytest.mark.parametrize("shape", [(INPUTS, OUTPUTS), (OUTPUTS, INPUTS)], ids=str)
@pytest.mark.parametrize("moments", ["none", "same", "different"])
def test_what_sharing_alone_leaves_is_predicted_exactly(
    shape: tuple[int, int], moments: str
) -> None:
    of, layers = stack(shape, moments=moments), (0, 1, 2)
    weights, given = stacked(of, layers)
    first = choices(table(of, layers), "residual")[0]
    assert first.ranks == (0, 0, 0)
    fit = share(weights, first.ranks, diagonal=False, start="fit", moments=given)
    assert first.error == pytest.approx(lost(of, layers, [fit.weight] * 3), rel=2e-3)


@pytest.mark.parametrize("moments", ["none", "different"])
def test_residuals_of_three_uses_are_hardly_worse_than_predicted(moments: str) -> None:
    """Of which one matters four times as much as another; up to 13 % here."""
    of, layers = stack((INPUTS, OUTPUTS), moments=moments), (0, 1, 2)
    weights, given = stacked(of, layers)
    found = choices(table(of, layers), "residual")
    for choice in found[:: len(found) // 5]:
        fit = share(weights, choice.ranks, diagonal=False, start="fit", moments=given)
        error = lost(of, layers, [fit.merged(use) for use in range(3)])
        assert error <= choice.error * 1.15
        assert error >= choice.error * 0.25


def test_an_option_costs_what_its_map_holds() -> None:
    of, layers = stack((INPUTS, OUTPUTS), moments="none"), (0, 1)
    found = table(of, layers)
    for index in range(0, len(found.options.bytes), 3):
        choice = found.choice(index)
        linear = choice.spec(2, bias=False).build(INPUTS, OUTPUTS, 2)
        assert choice.bytes == 4 * sum(p.numel() for p in linear.parameters())
        assert choice.bytes <= 2 * matrix_bytes(INPUTS, OUTPUTS, "fp32", full_rank=True)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"m": [torch.ones(2, 2)]}, "no repeated layers: expected 2 or more in depth, got 1"),
        ({}, "no repeated layers: expected 2 or more in depth, got 0"),
        ({"m": [torch.ones(2, 2), torch.ones(2, 3)]}, r"m: layer 1 has shape \(2, 3\), layer 0"),
        ({"m": [torch.ones(2, 2), torch.full((2, 2), torch.nan)]}, "m: layer 1 has weights that"),
    ],
)
def test_what_cannot_be_planned(weights: dict[str, list[Tensor]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LayerMatrices(weights, None, {"m": [1.0, 1.0]}).check()


@pytest.mark.parametrize("moments", ["none", "different"])
def test_groups_in_any_order(moments: str) -> None:
    """A group that goes on from the one before it has the table that it has by itself."""
    of = stack((INPUTS, OUTPUTS), moments=moments)
    groups = [(0,), (0, 1), (0, 1, 2), (1, 2), (0, 2), (1,), (1, 2), (0, 1, 2)]
    found = tables(of, groups, "fp32")
    for layers in groups:
        alone = table(of, layers).options
        assert (found[layers]["m"].options.bytes == alone.bytes).all()
        assert found[layers]["m"].options.errors == pytest.approx(alone.errors, rel=1e-5, abs=1e-6)
