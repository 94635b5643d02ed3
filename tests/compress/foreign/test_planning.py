"""Plans of foreign models: what is foreseen is put right by what a part of a plan does alone."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from foldformer.compress.foreign import find_stacks, fold, planning, unfold
from foldformer.compress.foreign.seen import Seen, look
from foldformer.compress.planning.loss import erring

Make = Callable[[str], Any]
Batch = Callable[[Any], dict[str, Tensor]]
Outputs = Callable[[Any], Tensor]


def seen_of(model: Any, batch: dict[str, Tensor]) -> Seen:
    return look(model, list(find_stacks(model)), [batch] * 4)


@pytest.mark.parametrize("name", ["bert", "whisper", "llama"])
def test_corrected_errors_are_those_of_the_parts_put_in_by_hand(
    name: str, tiny: Make, batch: Batch, outputs: Outputs
) -> None:
    model = tiny(name)
    seen = seen_of(model, batch(model))
    every, layers = planning.tables_of(seen.stacks), planning.layers_of_all(seen.stacks)
    planner = planning.Planner(every, layers)
    chosen = planner.best((planner.smallest + planner.largest) // 2)
    right = planning.corrected(every, seen, chosen)

    folded = copy.deepcopy(seen.model)
    fold(folded, planning.plan_of(chosen, seen.stacks), moments=seen.moments)
    unfold(folded)
    exact = outputs(seen.model)
    energy = centred(exact, seen.model).square().sum()
    lists = [name for name, stack in seen.stacks.items() for _ in range(stack.num_layers)]
    foreseen: dict[tuple[str, str, str], float] = {}
    for group, parts in chosen.groups:
        for part, choice in parts.items():
            factor = scale(every[group][part], right[group][part], choice.what)
            key = lists[group[0]], part, choice.what
            foreseen[key] = foreseen.get(key, 0.0) + factor * choice.error
    checked = 0
    for (of, part, what), error in foreseen.items():
        if what == "keep":
            continue
        mixed = copy.deepcopy(seen.model)
        for group, parts in chosen.groups:
            if lists[group[0]] == of and parts[part].what == what:
                for layer in group:
                    path = f"{of}.{layer - lists.index(of)}.{part}"
                    mixed.get_submodule(path).load_state_dict(
                        folded.get_submodule(path).state_dict()
                    )
        lost = centred(outputs(mixed) - exact, seen.model).square().sum() / energy
        assert error == pytest.approx(float(lost), rel=1e-3, abs=1e-9)
        checked += 1
    assert checked >= 3


def centred(found: Tensor, model: Any) -> Tensor:
    """Scores up to what all of a frame have in common; hidden states as they are."""
    return (
        found - found.mean(-1, keepdim=True)
        if hasattr(model, "lm_head") or hasattr(model, "proj_out")
        else found
    )


def scale(before: Any, after: Any, what: str) -> float:
    """The factor between the errors of all options of a kind; it is the same for all of them."""
    factors = [
        float(new / old)
        for index, (old, new) in enumerate(
            zip(before.options.errors, after.options.errors, strict=True)
        )
        if old > 0 and before.choice(index).what == what
    ]
    assert factors
    assert max(factors) == pytest.approx(min(factors))
    return factors[0]


def test_of_all_plans_the_one_that_loses_least_is_taken(tiny: Make, batch: Batch) -> None:
    model = tiny("bert")
    seen = seen_of(model, batch(model))
    whole = planning.Planner(
        planning.tables_of(seen.stacks), planning.layers_of_all(seen.stacks)
    ).largest
    made, tried = planning.make(seen, seen.other + whole // 2)
    assert {"plan", "sharing", "low rank", "corrected 1"} <= tried.keys()
    (lost,) = planning.lost(seen, [made.chosen], seen.apart)
    assert lost == pytest.approx(min(tried.values()))
    assert made.bytes <= seen.other + whole // 2


@pytest.mark.parametrize("way", ["plan", "sharing", "low rank"])
def test_all_that_is_said_of_a_plan_is_by_the_same_tables(
    way: str, tiny: Make, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where one was taken that was made before any correction."""
    model = tiny("bert")
    seen = seen_of(model, batch(model))
    number = ["plan", "sharing", "low rank"].index(way)
    monkeypatch.setattr(
        planning, "lost", lambda seen, plans, _: [float(n != number) for n in range(len(plans))]
    )
    tables, last = [], planning.corrected

    def corrected(*given: Any) -> Any:
        tables.append(last(*given))
        return tables[-1]

    monkeypatch.setattr(planning, "corrected", corrected)
    whole = planning.Planner(
        planning.tables_of(seen.stacks), planning.layers_of_all(seen.stacks)
    ).largest
    made, _ = planning.make(seen, seen.other + whole // 2)
    for layers, parts in made.chosen.groups:
        for part, choice in parts.items():
            options = tables[-1][layers][part]
            assert choice in [options.choice(n) for n in range(len(options.options.bytes))]
    assert made.error == made.chosen.error
    if way in made.alone:  # the best of its kind by these tables, which may be another one
        assert made.error >= made.alone[way] * (1 - 1e-9)


def test_a_plan_that_a_correction_leaves_as_it_is_is_not_corrected_again(
    tiny: Make, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny("bert")
    seen = seen_of(model, batch(model))
    calls = []

    def corrected(every: Any, *rest: Any) -> Any:
        calls.append(every)
        return every

    monkeypatch.setattr(planning, "corrected", corrected)
    tables = planning.tables_of(seen.stacks)
    whole = planning.Planner(tables, planning.layers_of_all(seen.stacks)).largest
    _, tried = planning.make(seen, seen.other + whole // 2)
    assert len(calls) == 1
    assert tried.keys() == {"plan", "sharing", "low rank"}


def test_batches_are_heard_or_kept_apart(tiny: Make, batch: Batch) -> None:
    """Four at most of those that are kept apart, from all over them."""
    model = tiny("bert")
    batches = [batch(model) | {"token_type_ids": torch.zeros(2, 6).long()} for _ in range(70)]
    met: list[Any] = []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: met.append(kwargs["token_type_ids"]), with_kwargs=True
    )
    seen = look(model, ["encoder.layer"], batches)
    apart = [n for n, each in enumerate(batches) if any(each is kept for kept in seen.apart)]
    assert apart == [7, 23, 39, 55]
    heard = {id(tokens) for tokens in met}
    unheard = [n for n, each in enumerate(batches) if id(each["token_type_ids"]) not in heard]
    assert unheard == apart


def test_a_map_errs_while_it_is_told_to() -> None:
    linear = nn.Linear(3, 2)
    x, error = torch.randn(4, 3), torch.randn(3, 2)
    exact = linear(x)
    with erring({linear: error}):
        wrong = linear(x)
    assert torch.allclose(wrong, x @ (linear.weight.t() - error) + linear.bias, atol=1e-6)
    assert torch.equal(linear(x), exact)
