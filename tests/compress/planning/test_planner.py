"""Plans of real models: what they say is what folding by them gives."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from foldformer.compress.fold import fold
from foldformer.compress.planning.importance import importance
from foldformer.compress.planning.loss import LOST, smallest_part
from foldformer.compress.planning.made import Made, make
from foldformer.compress.planning.own import biases_of, stack_of
from foldformer.compress.planning.planner import Planner, candidates
from foldformer.compress.planning.tables import tables
from foldformer.errors import SpecError
from foldformer.measure.stored import other_bytes
from foldformer.model import Model

Build = Callable[..., Model]

NAMES = ("query", "value", "expand")


def made(model: Model, share: float, **changes: object) -> Made:
    """The plan for a part of the dense model's bytes."""
    numbers = sum(tensor.numel() for tensor in model.state_dict().values())
    settings = {"precision": "fp32", "orders": "adjacent", "most_uses": 4, **changes}
    return make(
        stack_of(model), other_bytes(model, "fp32"), int(4 * numbers * share), **settings
    )  # fmt: skip


def folded(model: Model, found: Made) -> Model:
    return fold(model, found.chosen.plan(biases_of(model)))


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
@pytest.mark.parametrize("orders", ["adjacent", "cycle", "any"])
def test_a_folded_model_takes_the_bytes_of_its_plan(
    build: Build, share: float, orders: str
) -> None:
    model = build()
    found = made(model, share, orders=orders)
    numbers = sum(tensor.numel() for tensor in folded(model, found).state_dict().values())
    assert found.bytes == 4 * numbers
    assert found.bytes <= found.budget
    assert found.bytes > 0.97 * found.budget


def test_bytes_of_all_weights_give_the_model_back(build: Build) -> None:
    model = build()
    found = made(model, 1.0)
    assert found.bytes == found.dense == found.budget
    assert found.error == 0
    assert all(len(layers) == 1 for layers, _ in found.chosen.groups)
    features, lengths = torch.randn(1, 40, 80), torch.tensor([40])
    torch.testing.assert_close(
        folded(model, found).encoder(features, lengths)[0], model.encoder(features, lengths)[0]
    )


def test_more_bytes_are_never_worse_and_more_ways_neither(build: Build) -> None:
    of = stack_of(build())
    of_groups = tables(of, candidates(4, "any", 4), "int8")
    planner = Planner(of_groups, 4, "any")
    others = [
        Planner(of_groups, 4, "adjacent"),
        Planner(of_groups, 4, "cycle"),
        Planner(of_groups, 4, "any", ["low_rank"]),
        Planner(of_groups, 4, "any", ["residual"]),
    ]
    errors = [planner.error(budget) for budget in planner.budgets(200)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0 < errors[0] < np.inf
    for other in others:
        for budget in planner.budgets(30):
            assert planner.error(budget) <= other.error(budget)


def test_what_is_all_kept_is_in_no_group_whatever_else_may_be_done(build: Build) -> None:
    of_groups = tables(stack_of(build()), candidates(4, "adjacent", 4), "fp32")
    for whats in (["residual"], ["low_rank"], ["basis"]):
        planner = Planner(of_groups, 4, "adjacent", whats)
        assert planner.best(planner.largest).error == 0
        for layers, names in of_groups.items():
            apart = planner._apart(layers, {name: table.choice(0) for name, table in names.items()})
            assert [group for group, _ in apart] == [(layer,) for layer in layers]


def test_layers_that_come_again_are_found(build: Build) -> None:
    """Layers 0 and 2 are the same, 1 and 3 too: a cycle of two loses nothing at half the bytes."""
    model = build()
    layers = model.encoder.depth.layers
    for index in (0, 1):
        layers[index + 2].load_state_dict(layers[index].state_dict())
    half = other_bytes(model, "fp32") + 2 * (4 * 24 * 24 + 2 * 24 * 40) * 4
    share = (half + 400) / (4 * sum(t.numel() for t in model.state_dict().values()))
    found = made(model, share, orders="any")
    assert found.chosen.order == "cycle"
    assert [layers for layers, _ in found.chosen.groups] == [(0, 2), (1, 3)]
    assert found.error == pytest.approx(0, abs=1e-6)
    assert made(model, share).error > 0.01
    features, lengths = torch.randn(1, 40, 80), torch.tensor([40])
    torch.testing.assert_close(
        folded(model, found).encoder(features, lengths)[0],
        model.encoder(features, lengths)[0],
        atol=1e-4,
        rtol=1e-4,
    )


def test_a_budget_that_is_too_small_is_told_what_is_not(build: Build) -> None:
    model = build()
    with pytest.raises(SpecError, match=r"is less than the smallest plan takes in fp32, 0\.\d+ MB"):
        made(model, 0.05)
    smallest = made(model, 1.0).smallest
    numbers = sum(tensor.numel() for tensor in model.state_dict().values())
    found = made(model, (smallest + 1) / (4 * numbers))
    assert found.bytes == smallest


def test_layers_follow_one_another_into_one_order(build: Build) -> None:
    """Layers that differ in nothing but the order of their units are the same layer."""
    model = build()
    layers = model.encoder.depth.layers
    for index in (1, 2, 3):
        layers[index].load_state_dict(layers[0].state_dict())
        order = torch.randperm(40, generator=torch.Generator().manual_seed(index))
        with torch.no_grad():
            expand, contract = (
                layers[index].feed_forward.expand,
                layers[index].feed_forward.contract,
            )
            expand.weight.copy_(expand.weight[:, order])
            expand.bias.copy_(expand.bias[:, order])
            contract.weight.copy_(contract.weight[order])
    moments = {
        f"{place}.{name}": torch.diag(contract.weight.norm(dim=1)) if wide else torch.eye(24)
        for place, contract in enumerate(layer.feed_forward.contract for layer in layers)
        for name, wide in (("query", False), ("key", False), ("value", False), ("output", False),
                           ("expand", False), ("contract", True))
    }  # fmt: skip
    apart, found = stack_of(model, moments, align=False), stack_of(model, moments)
    for name in ("expand", "contract"):
        first = apart.weights[name][0]
        assert not torch.allclose(apart.weights[name][3], first, atol=0.1)
        for layer in range(4):
            torch.testing.assert_close(found.weights[name][layer], first)
    assert found.moments is not None
    for layer in range(4):
        torch.testing.assert_close(found.moments["contract"][layer], moments["0.contract"])


def test_maps_without_biases_stay_without(build: Build) -> None:
    model = build(linears={"query": {"kind": "residual", "bias": False}})
    found = folded(model, made(model, 0.5))
    names = [name for name in found.state_dict() if ".query.bias" in name]
    assert names == []


@pytest.mark.parametrize("bare", [[0], [1, 2]])
@pytest.mark.parametrize("orders", ["adjacent", "cycle"])
def test_layers_with_and_without_a_bias_may_share(
    build: Build, orders: str, bare: list[int]
) -> None:
    """Where one layer of a group has a bias, all of its uses do, and the plan counts them."""
    without = {"kind": "residual", "bias": False}
    model = build(linears={f"{layer}.{name}": without for layer in bare for name in NAMES})
    found = made(model, 0.5, orders=orders)
    assert any(0 < len({*layers} & {*bare}) < len(layers) for layers, _ in found.chosen.groups)
    numbers = sum(tensor.numel() for tensor in folded(model, found).state_dict().values())
    assert found.bytes == 4 * numbers
    assert 0.97 * found.budget < found.bytes <= found.budget


def test_a_map_into_which_nothing_comes_does_not_matter() -> None:
    error, part = smallest_part(torch.randn(6, 4), torch.zeros(6, 6))
    assert (part, bool(error.any())) == (0.0, False)


def test_importance_is_what_taking_a_part_away_does(build: Build) -> None:
    model = build()
    utterances = [torch.randn(80, 80), torch.randn(60, 80)]
    before = copy.deepcopy(model.state_dict())
    moments = {
        f"{layer}.{name}": torch.eye(40 if name == "contract" else 24)
        for layer in range(4)
        for name in ("query", "key", "value", "output", "expand", "contract")
    }
    found = importance(model, utterances, moments)
    assert set(found) == {"query", "key", "value", "output", "expand", "contract"}
    assert all(len(numbers) == 4 for numbers in found.values())
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())

    def encoded() -> Tensor:
        every = [model.encoder(u[None], torch.tensor([len(u)]))[0] for u in utterances]
        return torch.cat(every, dim=1)

    for place, path in ((3, "feed_forward.contract"), (2, "mixer.value"), (0, "mixer.query")):
        weight = model.encoder.depth.layers[place].get_submodule(path).weight
        trained = weight.detach().clone()
        left, values, right = torch.linalg.svd(trained, full_matrices=False)
        tails = values.square().flip(0).cumsum(0).flip(0) / values.square().sum()
        rank = int((tails > LOST).sum())
        with torch.no_grad():
            exact = encoded()
            weight.copy_(left[:, :rank] * values[:rank] @ right[:rank])
            lost = (encoded() - exact).square().sum() / exact.square().sum()
            weight.copy_(trained)
        name = path.rpartition(".")[2]
        assert found[name][place] == pytest.approx(float(lost / tails[rank]), rel=1e-3)
