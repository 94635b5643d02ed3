import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from foldformer.compress.foreign import ForeignPlan, find_stacks, fold, unfold
from foldformer.compress.plan import Plan
from foldformer.errors import InputError, SpecError
from foldformer.nn.linears import LinearSpec
from foldformer.nn.linears.basis import BasisSpec
from foldformer.nn.linears.dense import DenseSpec
from foldformer.nn.linears.low_rank import LowRankSpec
from foldformer.nn.linears.residual import ResidualSpec

Make = Callable[[str], Any]
Compute = Callable[[Any], Tensor]
EACH = pytest.mark.parametrize("name", ["bert", "whisper", "llama", "gpt2"])


def halves(model: nn.Module, order: Any, linear: LinearSpec | None) -> ForeignPlan:
    """Two groups in each list of layers, of one kind of map or of full rank."""
    plans = {}
    for name, stack in find_stacks(model).items():
        half = len(stack.layers) // 2
        full = {part: ResidualSpec(rank=min(shape)) for part, shape in stack.shapes.items()}
        plans[name] = Plan(
            uses=(half, len(stack.layers) - half),
            order=order,
            linear=linear or ResidualSpec(),
            linears={} if linear else full,
        )
    return ForeignPlan(stacks=plans)


@pytest.mark.parametrize("order", ["adjacent", "cycle"])
@EACH
def test_full_rank_is_the_original(name: str, order: str, tiny: Make, outputs: Compute) -> None:
    model = tiny(name)
    expected = outputs(model)
    fold(model, halves(model, order, None), start="average")
    torch.testing.assert_close(outputs(model), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "linear",
    [ResidualSpec(rank=2), LowRankSpec(rank=3), BasisSpec(rank=5)],
    ids=lambda s: str(s)[:8],
)
@EACH
def test_unfolding_changes_nothing(
    name: str, linear: LinearSpec, tiny: Make, outputs: Compute
) -> None:
    model = tiny(name)
    state = {key: tensor.shape for key, tensor in model.state_dict().items()}
    original = outputs(model)
    fold(model, halves(model, "cycle", linear))
    folded = outputs(model)
    assert (folded - original).abs().max() > 1e-3
    unfold(model)
    torch.testing.assert_close(outputs(model), folded, atol=1e-5, rtol=1e-5)
    assert {key: tensor.shape for key, tensor in model.state_dict().items()} == state


@pytest.mark.parametrize("name", ["whisper", "llama", "gpt2"])
def test_generates_as_the_original(name: str, tiny: Make, batch: Callable[[Any], Any]) -> None:
    model = tiny(name)
    inputs = batch(model)
    inputs.pop("decoder_input_ids", None)
    settings = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    expected = model.generate(**inputs, **settings)
    fold(model, halves(model, "adjacent", None))
    assert torch.equal(model.generate(**inputs, **settings), expected)


def test_a_shared_matrix_is_counted_moved_and_copied_once(tiny: Make, outputs: Compute) -> None:
    model = tiny("bert")
    fold(model, halves(model, "adjacent", ResidualSpec(rank=0, diagonal=False)))
    maps = 4 * 16 * 16 + 2 * 16 * 24
    biases = 5 * 16 + 24
    inside = sum(p.numel() for p in model.encoder.parameters())
    norms = 4 * 2 * 2 * 16
    assert inside == 2 * maps + 4 * biases + norms
    assert len(model.state_dict()) == len(dict(model.named_parameters()))
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert not outputs(model).any()
    assert outputs(copied).any()
    copied.double()
    assert {p.dtype for p in copied.parameters()} == {torch.float64}
    assert outputs(copied).dtype == torch.float64


def test_gradients_reach_every_number(tiny: Make, batch: Callable[[Any], Any]) -> None:
    model = tiny("whisper").train()
    fold(model, halves(model, "cycle", ResidualSpec(rank=2)))
    model(**batch(model)).logits.square().sum().backward()
    for key, parameter in model.named_parameters():
        if "shared." in key:
            assert parameter.grad is not None, key
            assert parameter.grad.any(), key


def test_dense_maps_and_lone_layers_stay_as_they_are(tiny: Make) -> None:
    model = tiny("bert")
    kept = model.encoder.layer[0].attention.self.key
    alone = model.encoder.layer[3].attention.self.query
    query = {"attention.self.query": ResidualSpec(rank=1)}
    plan = Plan(uses=(3, 1), linear=DenseSpec(), linears=query)
    fold(model, ForeignPlan(stacks={"encoder.layer": plan}))
    assert model.encoder.layer[0].attention.self.key is kept
    assert model.encoder.layer[3].attention.self.query is alone
    assert model.encoder.layer[2].attention.self.query.use == 2


@pytest.mark.parametrize(
    ("start", "sources"),
    [("stepwise", (0, 3)), ("lower", (0, 1)), ("average", None)],
)
def test_where_a_shared_weight_comes_from(
    start: Any, sources: tuple[int, int] | None, tiny: Make
) -> None:
    model = tiny("bert")
    weights = torch.stack([layer.intermediate.dense.weight for layer in model.encoder.layer])
    plan = halves(model, "adjacent", ResidualSpec(rank=0, diagonal=False))
    fold(model, plan, start=start)
    expected = weights[list(sources)] if sources else weights.view(2, 2, 24, 16).mean(dim=1)
    for group in (0, 1):
        for layer in (2 * group, 2 * group + 1):
            found = model.encoder.layer[layer].intermediate.dense.weight
            torch.testing.assert_close(found, expected[group])


@pytest.mark.parametrize(
    ("stacks", "message"),
    [
        ({"encoder.layers": Plan(uses=(4,))}, r"no list 'encoder.layers'; did you mean 'encoder"),
        (
            {"encoder.layer": Plan(uses=(3, 3))},
            r"uses: \[3, 3\] are 6 layers together, and the model has 4 there",
        ),
        (
            {"encoder.layer": Plan(uses=(4,), linears={"attention.self.querry": DenseSpec()})},
            r"no linear map 'attention.self.querry'; did you mean 'attention.self.query'\?",
        ),
        (
            {"encoder.layer": Plan(uses=(4,), linear=ResidualSpec(rank=17))},
            r"encoder.layer: attention.self.query of group 0: rank: 17 is larger than",
        ),
        (
            {"encoder.layer": Plan(uses=(4,), linears={"output.dense": ResidualSpec(bias=False)})},
            r"output.dense of group 0: bias: is false, and the model adds one there; leave",
        ),
    ],
)
def test_a_plan_for_another_model(stacks: dict[str, Plan], message: str, tiny: Make) -> None:
    model = tiny("bert")
    before = copy.deepcopy(model.state_dict())
    with pytest.raises((InputError, SpecError), match=message):
        fold(model, ForeignPlan(stacks=stacks))
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_moments_of_another_model(tiny: Make) -> None:
    model = tiny("bert")
    moments = {
        f"{stack.name}.{layer}.{name}": torch.eye(rows)
        for stack in find_stacks(model).values()
        for name, (rows, _) in stack.shapes.items()
        for layer in range(len(stack.layers))
    }
    before = copy.deepcopy(model.state_dict())
    key = "encoder.layer.2.output.dense"
    with pytest.raises(
        SpecError, match=rf"moments: that of {key} is \(5, 5\), expected \(24, 24\)"
    ):
        fold(
            model, halves(model, "adjacent", ResidualSpec()), moments=moments | {key: torch.eye(5)}
        )
    assert before.keys() == model.state_dict().keys()
    fold(model, halves(model, "adjacent", ResidualSpec()), moments=moments)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("nan", "encoder.layer.1.output.dense.weight: holds NaN"),
        ("half", r"query.weight: is of type torch.float16; expected float32: call"),
        ("double", r"query.weight: is of type torch.float64; expected float32: call model.float"),
        ("meta", "is on the meta device, without numbers; load the weights"),
    ],
)
def test_weights_that_cannot_be_folded(how: str, message: str, tiny: Make) -> None:
    model = tiny("bert")
    plan = halves(model, "adjacent", ResidualSpec(rank=1))
    if how == "nan":
        model.encoder.layer[1].output.dense.weight.data[3, 2] = torch.nan
    else:
        kinds = {"half": torch.float16, "double": torch.float64}
        model = model.to(kinds[how]) if how in kinds else model.to("meta")
    with pytest.raises(SpecError, match=message):
        fold(model, plan)


def test_folded_layers_are_not_folded_again(tiny: Make) -> None:
    model = tiny("bert")
    plan = halves(model, "adjacent", ResidualSpec(rank=1))
    fold(model, plan)
    with pytest.raises(InputError, match="folded already; unfold the model first"):
        fold(model, plan)


def test_an_empty_plan_is_refused() -> None:
    with pytest.raises(SpecError, match="stacks: is empty"):
        ForeignPlan()
