"""Folding and unfolding whole models: exact where nothing is left out, and as the plan says."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from foldformer.checkpoint import ModelConfig, load_model, save_model
from foldformer.compress.filling import Trained, filled
from foldformer.compress.fold import fold, unfold
from foldformer.compress.plan import Plan
from foldformer.errors import SpecError
from foldformer.model import Model, ModelSpec
from foldformer.nn.linears import Linear, LinearSpec
from foldformer.nn.linears.basis import BasisSpec
from foldformer.nn.linears.dense import DenseSpec
from foldformer.nn.linears.low_rank import LowRankSpec
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.spec import from_dict

WIDTH, D_FF, LAYERS = 16, 24, 6


def built(**encoder: Any) -> Model:
    """Six dense layers in which no parameter is zero and no two layers are alike."""
    spec = from_dict(
        ModelSpec,
        {
            "vocab_size": 7,
            "encoder": {
                "d_model": WIDTH,
                "num_layers": LAYERS,
                "mixer": {"kind": "attention", "num_heads": 2},
                "feed_forward": {"kind": "dense", "d_ff": D_FF},
                "subsampling": {"num_mels": 5, "channels": 6},
                "left_context": 5,
            }
            | encoder,
            "heads": [{"kind": "ctc"}, {"kind": "transducer", "predictor_dim": 8, "joiner_dim": 8}],
        },
    )
    torch.manual_seed(3)
    model = spec.build().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def outputs(model: Model) -> dict[str, Tensor]:
    """Of whole utterances, of chunks under the mask, and of a stream."""
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(2, 40, 5, generator=generator)
    lengths = torch.tensor([40, 33])
    state, pieces = model.encoder.init_state(2), []
    for piece in x.split(12, dim=1):
        y, state = model.encoder.step(piece, state)
        pieces.append(y)
    targets, target_lengths = torch.tensor([[1, 2, 5], [3, 4, 0]]), torch.tensor([3, 2])
    return {
        "whole": model.encoder(x, lengths)[0],
        "chunks": model.encoder(x, lengths, 3)[0],
        "stream": torch.cat(pieces, dim=1),
        **model.losses(x, lengths, targets, target_lengths),
    }


def assert_same(model: Model, other: Model, tolerance: float) -> None:
    with torch.inference_mode():
        ours, theirs = outputs(model), outputs(other)
    for name, expected in theirs.items():
        torch.testing.assert_close(ours[name], expected, rtol=tolerance, atol=tolerance)


FULL: list[tuple[str, LinearSpec, str]] = [
    *((f"residual-{start}", ResidualSpec(rank=WIDTH), start)
      for start in ("average", "stepwise", "lower", "fit")),
    ("residual-no-diagonal", ResidualSpec(rank=WIDTH, diagonal=False), "fit"),
    ("dense", DenseSpec(), "fit"),
    ("low_rank", LowRankSpec(rank=WIDTH), "fit"),
    ("basis", BasisSpec(rank=WIDTH), "fit"),
]  # fmt: skip


@pytest.mark.parametrize("order", ["adjacent", "cycle"])
@pytest.mark.parametrize(("name", "linear", "start"), FULL, ids=[name for name, *_ in FULL])
def test_full_ranks_give_the_model_back(
    name: str, linear: LinearSpec, start: Any, order: Any
) -> None:
    model = built()
    # A basis of `contract` has as many dimensions as the hidden layer.
    linears: dict[str, LinearSpec] = {"contract": BasisSpec(rank=D_FF)} if name == "basis" else {}
    plan = Plan(uses=(3, 3), order=order, linear=linear, linears=linears)
    for align in (False, True):
        folded = fold(model, plan, start=start, align=align)
        assert_same(folded, model, 2e-5 if align else 1e-5)
    assert folded.spec.encoder.uses == 3


@pytest.mark.parametrize("order", ["adjacent", "cycle"])
def test_groups_of_several_sizes_and_matrices_of_several_kinds(order: Any) -> None:
    model = built()
    plan = Plan(
        uses=(1, 3, 2),
        order=order,
        linear=ResidualSpec(rank=WIDTH),
        linears={
            "1.query": DenseSpec(),
            "key": LowRankSpec(rank=WIDTH),
            "2.value": BasisSpec(rank=WIDTH),
            "1.expand": ResidualSpec(rank=(WIDTH, WIDTH, WIDTH), diagonal=False),
        },
    )
    folded = fold(model, plan)
    assert_same(folded, model, 1e-5)
    assert folded.spec.encoder.uses == (1, 3, 2)
    assert folded.spec.encoder.depth.order == order


def test_a_folded_model_is_that_of_its_spec(tmp_path: Path) -> None:
    folded = fold(
        built(),
        Plan(uses=(2, 4), linear=ResidualSpec(rank=2), linears={"value": LowRankSpec(rank=3)}),
    )
    again = folded.spec.build()
    shapes = {name: tensor.shape for name, tensor in folded.state_dict().items()}
    assert {name: tensor.shape for name, tensor in again.state_dict().items()} == shapes
    save_model(tmp_path, folded, ModelConfig(model=folded.spec))
    loaded, config = load_model(tmp_path)
    assert config.model == folded.spec
    assert_same(loaded, folded, 0)
    assert all(parameter.requires_grad for parameter in folded.parameters())


@pytest.mark.parametrize("order", ["adjacent", "cycle"])
def test_what_belongs_to_uses_is_kept(order: Any) -> None:
    model = built()
    plan = Plan(uses=(3, 3), order=order, linear=ResidualSpec(rank=1))
    folded = fold(model, plan, align=False)
    pairs = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    pairs = pairs if order == "adjacent" else [(p % 2, p // 2) for p in range(6)]
    for place, (layer, use) in enumerate(pairs):
        ours = folded.encoder.depth.layers[layer].state_dict()
        theirs = model.encoder.depth.layers[place].state_dict()
        for name in theirs:
            if "norm" in name or name.endswith("bias"):
                assert torch.equal(ours[name][use], theirs[name][0]), (name, place)
    for name, tensor in model.state_dict().items():
        if not name.startswith("encoder.depth"):
            assert torch.equal(folded.state_dict()[name], tensor), name


def test_the_starts_of_the_paper() -> None:
    """In a cycle of two layers, stepwise shares the first and the last; lower the first two."""
    model = built()
    queries = [layer.mixer.query.weight for layer in model.encoder.depth.layers]
    plan = Plan(uses=(3, 3), order="cycle", linear=ResidualSpec(rank=0, diagonal=False))
    for start, sources in (("stepwise", (0, 5)), ("lower", (0, 1))):
        folded = fold(model, plan, start=start, align=False)
        for group, source in enumerate(sources):
            shared = folded.encoder.depth.layers[group].mixer.query.weight
            torch.testing.assert_close(shared, queries[source])
    folded = fold(model, plan, start="average", align=False)
    for group in range(2):
        mean = torch.stack(queries[group::2]).mean(dim=0)
        torch.testing.assert_close(folded.encoder.depth.layers[group].mixer.query.weight, mean)


@pytest.mark.parametrize("uses", [(1, 1, 4), (2, 1, 3), (1,) * 6])
@pytest.mark.parametrize("start", ["fit", "average", "stepwise", "lower"])
def test_a_layer_that_is_used_once_stays_what_it_is(start: Any, uses: tuple[int, ...]) -> None:
    """Though it has no residual that could make it up of another one."""
    model = built()
    names = ("query", "key", "value", "output", "expand", "contract")
    full = {
        f"{group}.{name}": ResidualSpec(rank=WIDTH)
        for group, own in enumerate(uses)
        for name in names
        if own > 1
    }
    plan = Plan(uses=uses, linear=ResidualSpec(diagonal=False), linears=full)
    assert_same(fold(model, plan, start=start), model, 2e-5)


def test_the_model_is_left_alone_and_nothing_is_drawn() -> None:
    model = built()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    plan = Plan(uses=(6,), linear=ResidualSpec(rank=2))
    folded = fold(model, plan)
    assert torch.equal(torch.get_rng_state(), state)
    for parameter in folded.parameters():
        parameter.data.fill_(7.0)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    first, second = fold(model, plan).state_dict(), fold(model, plan).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


# Unfolding


SHARED: list[dict[str, Any]] = [
    {"uses": 3, "linear": {"kind": "residual", "rank": 3}},
    {"uses": (1, 5), "linear": {"kind": "residual", "rank": 2, "bias": False}},
    {
        "uses": 2,
        "depth": {"kind": "sequential", "order": "cycle"},
        "linear": {"kind": "basis", "rank": 4},
        "linears": {
            "query": {"kind": "low_rank", "rank": 3, "bias": False},
            "key": {"kind": "dense"},
        },
    },
    {"uses": 1},
]


@pytest.mark.parametrize("shared", SHARED)
def test_unfolding_is_exact(shared: dict[str, Any]) -> None:
    model = built(**shared)
    unfolded = unfold(model)
    assert unfolded.spec.encoder.uses == 1
    assert len(unfolded.encoder.depth.layers) == LAYERS
    assert_same(unfolded, model, 1e-6)
    names = [name for name, _ in unfolded.named_parameters()]
    assert not [name for name in names if name.endswith(("down", "up", "diagonal"))]
    again = unfold(unfolded)
    assert again.spec == unfolded.spec
    for name, tensor in unfolded.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_what_was_shared_can_be_shared_otherwise() -> None:
    """A shared model is unfolded on the way: K = 3 in pairs becomes K = 2 in triples, exactly."""
    model = built(uses=2, linear={"kind": "residual", "rank": 3})
    folded = fold(model, Plan(uses=(3, 3), linear=ResidualSpec(rank=WIDTH)))
    assert_same(folded, model, 1e-5)


def test_the_fold_of_an_unfolded_model_finds_what_it_shared() -> None:
    model = built(uses=3, linear={"kind": "residual", "rank": 0, "diagonal": False})
    plan = Plan(uses=(3, 3), linear=ResidualSpec(rank=0, diagonal=False))
    assert_same(fold(unfold(model), plan), model, 1e-5)


# What is refused


def test_plans_that_do_not_fit() -> None:
    model = built()
    for plan, message in (
        (Plan(uses=(3, 2)), r"uses: \[3, 2\] add up to 5 layers, and the model has 6 in depth"),
        (
            Plan(uses=(3, 3), linear=ResidualSpec(rank=17)),
            r"linear: rank: 17 is larger than the matrix allows \(16 x 16: at most 16\) "
            r"\(matrix query of layer 0\)",
        ),
        (
            Plan(uses=(3, 3), linears={"quary": DenseSpec()}),
            "linears.quary: no such matrix; did you mean 'query'",
        ),
        (
            Plan(uses=(3, 3), linears={"1.value": DenseSpec(bias=False)}),
            "1.value: bias: the trained map adds biases, which would be lost; expected true",
        ),
    ):
        with pytest.raises(SpecError, match=message):
            fold(model, plan)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(number: float) -> None:
    model = built()
    linear = model.encoder.depth.layers[4].feed_forward.contract
    assert isinstance(linear, Linear)
    with torch.no_grad():
        linear.weight[3, 4] = number
    name = "encoder.depth.layers.4.feed_forward.contract.weight"
    with pytest.raises(SpecError, match=f"{name}: holds NaN or infinite numbers"):
        fold(model, Plan(uses=(3, 3)))


def test_half_precision_and_models_without_numbers() -> None:
    plan = Plan(uses=(3, 3))
    with pytest.raises(SpecError, match=r"is of type torch.bfloat16; expected float32"):
        fold(built().bfloat16(), plan)
    with torch.device("meta"):
        model = built().spec.build()
    with pytest.raises(SpecError, match="is on the meta device"):
        unfold(model)


def test_moments_of_another_model() -> None:
    model, plan = built(), Plan(uses=(3, 3))
    with pytest.raises(SpecError, match=r"moments: there is none for 0.query; calibrate"):
        fold(model, plan, moments={})
    moments = {f"{place}.query": torch.eye(3) for place in range(6)}
    with pytest.raises(SpecError, match=r"that of 0.query has shape \(3, 3\), expected \(16, 16\)"):
        fold(model, plan, moments=moments)


def test_a_kind_that_nothing_is_known_of() -> None:
    class Other(Linear):
        def forward(self, x: Tensor, use: int) -> Tensor:
            return x

        def merged(self, use: int) -> Tensor:
            return torch.eye(4)

        def scale(self, factor: float) -> None:
            """There is nothing to scale."""

    with pytest.raises(SpecError, match="linear: nothing can be folded into a Other"):
        filled(Other(4, 4, 2), Trained(torch.randn(2, 4, 4)), "fit")
