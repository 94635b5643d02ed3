"""Alignment: what is computed stays, and the layers come close."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from foldformer.compress.align import (
    align_heads,
    align_units,
    assignment,
    procrustes,
    rotary_turn,
)
from foldformer.compress.filling import Trained
from foldformer.compress.fold import aligned, fold, unfold
from foldformer.compress.plan import Plan
from foldformer.model import Model, ModelSpec
from foldformer.nn.linears import Linear
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.nn.mixers.attention import rotary_table, rotate
from foldformer.spec import from_dict

USES, WIDTH, UNITS, HEADS = 3, 12, 20, 3


def trained(rows: int, columns: int, biases: bool = True) -> Trained:
    mix = torch.randn(USES, rows, rows).double()
    return Trained(
        weights=torch.randn(USES, rows, columns).double(),
        biases=torch.randn(USES, columns).double() if biases else None,
        moments=mix @ mix.mT,
    )


def apart(each: Trained) -> float:
    """The share of the norm that is left after the mean."""
    weights = each.weights
    return float((weights - weights.mean(dim=0)).norm() / weights.norm())


def apply(each: Trained, use: int, x: Tensor) -> Tensor:
    y = x @ each.weights[use]
    return y if each.biases is None else y + each.biases[use]


# Of matrices


def test_an_assignment_finds_a_permutation_again() -> None:
    order = torch.randperm(15)
    rows = torch.randn(15, 6)
    assert torch.equal(rows[order][torch.argsort(order)], rows)
    found = assignment(rows @ rows[order].t())
    torch.testing.assert_close(rows[order][found], rows)


def test_procrustes_finds_a_rotation_again() -> None:
    rows = torch.randn(2, 30, 5).double()
    turn = torch.linalg.qr(torch.randn(2, 5, 5).double()).Q
    found = procrustes((rows @ turn).mT @ rows)
    torch.testing.assert_close(found, turn.mT)


def angles_to(angles: Tensor) -> Tensor:
    cos, sin = angles.cos().diag(), angles.sin().diag()
    return torch.cat([torch.cat([cos, sin], dim=1), torch.cat([-sin, cos], dim=1)])


@settings(max_examples=30)
@given(st.lists(st.floats(-3.1, 3.1), min_size=1, max_size=4), st.integers(0, 100))
def test_a_rotary_turn_finds_the_angles_again(angles: list[float], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    turn = angles_to(torch.tensor(angles, dtype=torch.float64))
    rows = torch.randn(20, len(turn), generator=generator, dtype=torch.float64)
    torch.testing.assert_close(rotary_turn((rows @ turn).t() @ rows), turn.t())


def test_a_rotary_turn_is_the_best_of_its_kind() -> None:
    cross = torch.randn(6, 6).double()
    best = float((rotary_turn(cross) * cross).sum())
    tried = [float((angles_to(6.3 * torch.rand(3).double()) * cross).sum()) for _ in range(500)]
    assert best > max(tried)
    assert best < float((procrustes(cross) * cross).sum())


# Of stacks


@pytest.mark.parametrize("activation", [F.relu, F.gelu, torch.tanh])
@pytest.mark.parametrize("reference", [None, 1])
def test_units_compute_the_same_in_another_order(
    activation: Callable[[Tensor], Tensor], reference: int | None
) -> None:
    into, out = trained(WIDTH, UNITS), trained(UNITS, WIDTH)
    (first,), second = align_units([into], out, reference)
    x = torch.randn(7, WIDTH).double()
    for use in range(USES):
        expected = apply(out, use, activation(apply(into, use, x)))
        found = apply(second, use, activation(apply(first, use, x)))
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
        if use == reference:
            assert torch.equal(first.weights[use], into.weights[use])
    assert apart(first) < apart(into)
    assert apart(second) < apart(out)


def test_gated_units_stay_together() -> None:
    gate, up = trained(WIDTH, UNITS), trained(WIDTH, UNITS, biases=False)
    out = trained(UNITS, WIDTH)
    (first, second), last = align_units([gate, up], out)
    x = torch.randn(7, WIDTH).double()
    for use in range(USES):
        expected = apply(out, use, F.silu(apply(gate, use, x)) * apply(up, use, x))
        found = apply(last, use, F.silu(apply(first, use, x)) * apply(second, use, x))
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("reference", [None, 0])
def test_units_in_another_order_are_found_again(reference: int | None) -> None:
    """Layers that differ by the order of their units alone become one."""
    into, out = trained(WIDTH, UNITS), trained(UNITS, WIDTH)
    for use in range(1, USES):
        order = torch.randperm(UNITS)
        into.weights[use], out.weights[use] = into.weights[0][:, order], out.weights[0][order]
        assert into.biases is not None
        assert out.moments is not None
        into.biases[use] = into.biases[0][order]
        out.moments[use] = out.moments[0][order][:, order]
    (first,), second = align_units([into], out, reference)
    assert second.moments is not None
    moments = torch.stack(list(second.moments))
    for tensor in (first.weights, second.weights, first.biases, moments):
        assert tensor is not None
        torch.testing.assert_close(tensor, tensor[:1].expand_as(tensor))


def attend(maps: tuple[Trained, ...], use: int, x: Tensor, rotary: bool) -> Tensor:
    """Attention over frames (T, in), with or without rotary positions."""
    query, key, value = (apply(each, use, x).unflatten(1, (HEADS, -1)) for each in maps[:3])
    q, k, v = (each.transpose(0, 1)[None] for each in (query, key, value))
    if rotary:
        cos, sin = rotary_table(len(x), q.shape[-1], 100.0, q)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
    mixed = F.scaled_dot_product_attention(q, k, v)[0].transpose(0, 1).flatten(1)
    return apply(maps[3], use, mixed)


@pytest.mark.parametrize("rotary", [True, False])
@pytest.mark.parametrize("reference", [None, 2])
def test_heads_compute_the_same_in_another_order_and_base(
    rotary: bool, reference: int | None
) -> None:
    maps = tuple(trained(WIDTH, WIDTH, biases=name != "k") for name in "qkvo")
    turn: Any = rotary_turn if rotary else procrustes
    found = align_heads(*maps, HEADS, turn, reference)
    x = torch.randn(9, WIDTH).double()
    for use in range(USES):
        expected = attend(maps, use, x, rotary)
        torch.testing.assert_close(attend(found, use, x, rotary), expected, rtol=1e-9, atol=1e-9)
        if use == reference:
            torch.testing.assert_close(found[2].weights[use], maps[2].weights[use])
    assert sum(map(apart, found)) < sum(map(apart, maps)) - 0.1


def test_a_head_that_was_turned_is_found_again_and_its_moments_with_it() -> None:
    maps = tuple(trained(WIDTH, WIDTH) for _ in range(4))
    width = WIDTH // HEADS
    for use in range(1, USES):
        order = torch.randperm(HEADS)
        columns = (order[:, None] * width + torch.arange(width)).flatten()
        asked = torch.block_diag(*(angles_to(torch.rand(width // 2).double()) for _ in order))
        held = torch.block_diag(
            *(torch.linalg.qr(torch.randn(width, width).double()).Q for _ in order)
        )
        for each, turn in zip(maps, (asked, asked, held), strict=False):
            each.weights[use] = each.weights[0][:, columns] @ turn
            assert each.biases is not None
            each.biases[use] = each.biases[0][columns] @ turn
        output = maps[3]
        output.weights[use] = held.t() @ output.weights[0][columns]
        assert output.moments is not None
        output.moments[use] = held.t() @ output.moments[0][columns][:, columns] @ held
    found = align_heads(*maps, HEADS, rotary_turn)
    for each in found:
        assert apart(each) < 1e-9
    moments = found[3].moments
    assert moments is not None
    for moment in moments:
        torch.testing.assert_close(moment, moments[0])


def test_alignment_never_takes_layers_apart() -> None:
    """Where nothing is left to win, another alignment wins nothing, and loses nothing."""
    into, out = trained(WIDTH, UNITS), trained(UNITS, WIDTH)
    once = align_units([into], out)
    twice = align_units(once[0], once[1])
    assert apart(twice[1]) <= apart(once[1]) + 1e-3
    maps = tuple(trained(WIDTH, WIDTH) for _ in range(4))
    found = align_heads(*maps, HEADS, rotary_turn)
    again = align_heads(*found, HEADS, rotary_turn)
    assert sum(map(apart, again)) <= sum(map(apart, found)) + 1e-3


# Of models


def built() -> Model:
    spec = from_dict(
        ModelSpec,
        {
            "vocab_size": 7,
            "encoder": {
                "d_model": 16,
                "num_layers": 6,
                "mixer": {"kind": "attention", "num_heads": 2},
                "feed_forward": {"kind": "dense", "d_ff": 24},
                "subsampling": {"num_mels": 5, "channels": 6},
                "left_context": 5,
            },
        },
    )
    torch.manual_seed(3)
    model = spec.build().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def encoded(model: Model) -> list[Tensor]:
    """Whole, in chunks under the mask, and as a stream."""
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(2, 40, 5, generator=generator).to(model.encoder.norm.weight)
    lengths = torch.tensor([40, 33])
    state, pieces = model.encoder.init_state(2), []
    for piece in x.split(12, dim=1):
        y, state = model.encoder.step(piece, state)
        pieces.append(y)
    return [
        model.encoder(x, lengths)[0], model.encoder(x, lengths, 3)[0], torch.cat(pieces, dim=1)
    ]  # fmt: skip


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
@pytest.mark.parametrize("order", ["adjacent", "cycle"])
def test_an_aligned_model_is_the_same_function(
    dtype: torch.dtype, tolerance: float, order: Any
) -> None:
    model = built().to(dtype)
    plan = Plan(uses=(4, 2), order=order)
    found = aligned(model, plan)
    with torch.inference_mode():
        for ours, theirs in zip(encoded(found), encoded(model), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    group = [0, 1, 2, 3] if order == "adjacent" else [0, 2, 4, 5]

    def left(of: Model, path: str) -> float:
        linears = [of.encoder.depth.layers[place].get_submodule(path) for place in group]
        weights = torch.stack([each.merged(0) for each in linears if isinstance(each, Linear)])
        weights = weights.detach()
        return float((weights - weights.mean(dim=0)).norm() / weights.norm())

    for path in ("mixer.query", "mixer.value", "mixer.output", "feed_forward.expand"):
        assert left(found, path) < left(model, path) - 0.01, path


@pytest.mark.parametrize("start", ["average", "stepwise", "lower", "fit"])
def test_an_aligned_fold_loses_less(start: Any) -> None:
    """Layers that are nearly alike, but for the order of their units and heads."""
    model = built()
    first, *others = model.encoder.depth.layers
    with torch.no_grad():
        for layer in others:
            layer.load_state_dict(first.state_dict())
            units = torch.randperm(24)
            heads = torch.tensor([*range(8, 16), *range(8)])
            for name, order in (("feed_forward.expand", units), ("mixer.value", heads)):
                layer.get_parameter(f"{name}.weight").copy_(
                    first.get_parameter(f"{name}.weight")[:, order]
                )
                layer.get_parameter(f"{name}.bias").copy_(
                    first.get_parameter(f"{name}.bias")[:, order]
                )
            for name in ("query", "key"):
                for kind in ("weight", "bias"):
                    path = f"mixer.{name}.{kind}"
                    layer.get_parameter(path).copy_(first.get_parameter(path)[:, heads])
            for name, order in (("feed_forward.contract", units), ("mixer.output", heads)):
                layer.get_parameter(f"{name}.weight").copy_(
                    first.get_parameter(f"{name}.weight")[order]
                )
            for parameter in layer.parameters():
                parameter.add_(0.01 * torch.randn_like(parameter))
    plan = Plan(uses=(3, 3), linear=ResidualSpec(rank=2))
    with torch.inference_mode():
        expected = encoded(model)[0]
        lost = [
            float((encoded(fold(model, plan, start=start, align=align))[0] - expected).norm())
            for align in (False, True)
        ]
    assert lost[1] < 0.2 * lost[0]


def test_layers_that_share_already_stay_where_they_are() -> None:
    spec = built().spec.encoder
    model = built()
    layer = model.encoder.depth.layers[0]
    for other in model.encoder.depth.layers[1:]:
        for name, parameter in other.named_parameters():
            if name.endswith("weight"):
                parameter.data.copy_(layer.get_parameter(name))
    found = aligned(model, Plan(uses=(spec.num_layers,)))
    for name, tensor in unfold(model).state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], tensor, rtol=1e-5, atol=1e-5)
