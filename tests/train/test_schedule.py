"""The learning rate by hand, and which weights decay."""

import math

import pytest
import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from foldformer.model import ModelSpec
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.heads.ctc import CtcSpec
from foldformer.nn.heads.transducer import TransducerSpec
from foldformer.nn.linears import LinearSpec
from foldformer.nn.linears.low_rank import LowRankSpec
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.nn.mixers.attention import AttentionSpec
from foldformer.spec import from_dict, kinds
from foldformer.train.config import TrainingSpec
from foldformer.train.schedule import factor, follow, make_optimizer, settings_of


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        ("cosine", [0.25, 0.5, 0.75, 1.0, 1.0, (1 + math.sqrt(0.5)) / 2, 0.5]),
        ("linear", [0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5]),
        ("none", [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_the_rate_by_hand(decay, expected: list[float]) -> None:
    spec = TrainingSpec(steps=12, warmup=4, decay=decay)
    steps = [0, 1, 2, 3, 4, 6, 8]
    assert [factor(spec, step) for step in steps] == pytest.approx(expected)


@pytest.mark.parametrize("decay", ["cosine", "linear"])
def test_the_rate_ends_at_0_and_stays_there(decay) -> None:
    spec = TrainingSpec(steps=12, warmup=4, decay=decay)
    assert factor(spec, 11) > 0
    assert [factor(spec, step) for step in (12, 13, 1000)] == pytest.approx([0, 0, 0], abs=1e-12)


def test_no_warmup_and_nothing_but_warmup() -> None:
    assert factor(TrainingSpec(steps=10, warmup=0), 0) == 1
    long = TrainingSpec(steps=5, warmup=10)
    assert [factor(long, step) for step in range(5)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


@pytest.fixture(scope="module", params=sorted(kinds(LinearSpec)))
def model(request: pytest.FixtureRequest) -> torch.nn.Module:
    kind = {"kind": request.param} | ({} if request.param == "dense" else {"rank": 2})
    return ModelSpec(
        vocab_size=5,
        encoder=EncoderSpec(
            d_model=8,
            num_layers=2,
            uses=2,
            mixer=AttentionSpec(num_heads=2),
            feed_forward=DenseFeedForwardSpec(d_ff=16),
            linear=from_dict(LinearSpec, kind),
        ),
        heads=(CtcSpec(), TransducerSpec(predictor_dim=8, joiner_dim=8)),
    ).build()


def test_which_weights_decay(model: torch.nn.Module) -> None:
    optimizer, _ = make_optimizer(model, TrainingSpec(weight_decay=0.02, betas=(0.8, 0.9)))
    names = {parameter: name for name, parameter in model.named_parameters()}
    decays = {names[p]: g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert decays.keys() == dict(model.named_parameters()).keys()
    assert {decay for name, decay in decays.items() if name.endswith(".weight")} <= {0.02, 0.0}
    for name, decay in decays.items():
        kind = name.rsplit(".", 1)[-1]
        products = ("down", "up", "basis", "coefficients")
        if kind in ("bias", "diagonal", "scale", "shift", *products) or "norm" in name:
            assert decay == 0, name
        else:
            assert kind == "weight", f"{name}: is it meant to decay?"
            assert decay == 0.02, name
    assert isinstance(optimizer, AdamW)
    assert {group["betas"] for group in optimizer.param_groups} == {(0.8, 0.9)}


def test_the_optimizer_follows_the_schedule(model: torch.nn.Module) -> None:
    spec = TrainingSpec(steps=6, warmup=2, learning_rate=0.5, decay="linear")
    optimizer, schedule = make_optimizer(model, spec)
    rates = []
    for _ in range(6):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.25, 0.5, 0.5, 0.375, 0.25, 0.125])


@pytest.mark.parametrize(
    ("rank", "rate", "expected"),
    [
        (1, None, 1.0),
        (2, None, 1.0),
        (8, None, 0.5),
        ((4, 12), None, 0.5),
        ((0, 16), None, 0.5),
        (8, 0.25, 0.25),
    ],
)
def test_the_rate_of_residuals(rank, rate: float | None, expected: float) -> None:
    model = EncoderSpec(
        d_model=32,
        num_layers=2,
        uses=2,
        mixer=AttentionSpec(num_heads=2),
        feed_forward=DenseFeedForwardSpec(d_ff=64),
        linear=ResidualSpec(rank=rank),
        linears={"query": ResidualSpec(), "value": LowRankSpec(rank=16)},
    ).build()
    spec = TrainingSpec(learning_rate=0.5, warmup=2, residual_rate=rate)
    optimizer, schedule = make_optimizer(model, spec)
    names = {parameter: name for name, parameter in model.named_parameters()}
    for share in (0.5, 1.0):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                part = names[parameter].rsplit(".", 2)[-2:]
                own = expected if part[1] in ("down", "up") and part[0] != "value" else 1.0
                assert group["lr"] == pytest.approx(0.5 * share * own), names[parameter]
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize(("rate", "expected"), [(1.0, 1.0), (None, 3**-0.5), (0.5, 0.5)])
def test_the_rate_of_shared_matrices(rate: float | None, expected: float) -> None:
    model = EncoderSpec(
        d_model=32,
        num_layers=4,
        uses=(3, 1),
        mixer=AttentionSpec(num_heads=2),
        feed_forward=DenseFeedForwardSpec(d_ff=64),
        linear=ResidualSpec(rank=(2, 2, 2)),
        linears={"1.query": ResidualSpec(rank=2), "value": LowRankSpec(rank=16)}
        | {f"1.{name}": ResidualSpec() for name in ("key", "output", "expand", "contract")},
    ).build()
    optimizer, _ = make_optimizer(model, TrainingSpec(warmup=0, shared_rate=rate))
    names = {parameter: name for name, parameter in model.named_parameters()}
    seen = 0
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            name = names[parameter]
            maps = ("query", "key", "output", "expand", "contract")
            shared = name.startswith("depth.layers.0") and name.endswith(
                tuple(f"{each}.weight" for each in maps)
            )
            assert group["lr"] == pytest.approx(1e-3 * (expected if shared else 1.0)), name
            seen += shared
    assert seen == 5


def test_an_optimizer_goes_on_with_new_settings() -> None:
    """As if they had been there from the beginning, but for what the weights have become."""

    def made(**settings) -> tuple[AdamW, LambdaLR]:
        model = ResidualSpec(rank=8).build(16, 8, uses=2)
        return make_optimizer(model, TrainingSpec(steps=8, warmup=2, decay="linear", **settings))

    def told(optimizer: AdamW) -> list[dict]:
        return [
            {key: value for key, value in group.items() if key != "params"}
            for group in optimizer.param_groups
        ]

    changes = {"learning_rate": 0.25, "weight_decay": 0.5, "betas": (0.5, 0.75)}
    before, after = made(), made(residual_rate=0.125, **changes)
    for optimizer, schedule in (before, after):
        for _ in range(3):
            optimizer.step()
            schedule.step()
    resumed = made(residual_rate=0.125, **changes)
    settings = settings_of(resumed[0])
    for part, state in zip(resumed, before, strict=True):
        part.load_state_dict(state.state_dict())
    assert told(resumed[0]) == told(before[0])
    for _ in range(2):
        follow(*resumed, settings)
        assert told(resumed[0]) == told(after[0])
        for optimizer, schedule in (resumed, after):
            optimizer.step()
            schedule.step()
    assert told(resumed[0]) == told(after[0])
