import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertForMaskedLM, BertForQuestionAnswering

from foldformer.compress.foreign import (
    DistilSpec,
    ForeignPlan,
    data_loss,
    distil,
    find_stack,
    fold,
)
from foldformer.compress.foreign.losses import check_data_loss
from foldformer.compress.foreign.recovery import RecoveryTrainingSpec
from foldformer.compress.plan import Plan
from foldformer.errors import InputError, SpecError
from foldformer.nn.linears.dense import DenseSpec
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.train.curve import read_curve

Make = Callable[[str], Any]
Batch = Callable[[Any], Any]
LISTS = {"bert": ["encoder.layer"], "whisper": ["model.encoder.layers", "model.decoder.layers"]}


def student_of(model: Any, lists: list[str]) -> Any:
    student = copy.deepcopy(model)
    plans = {name: Plan(uses=(2,), linear=ResidualSpec(rank=2)) for name in lists[1:]}
    plans[lists[0]] = Plan(uses=(2, 2), linear=ResidualSpec(rank=2))
    fold(student, ForeignPlan(stacks=plans))
    return student


@pytest.mark.parametrize("name", ["bert", "whisper"])
def test_comes_closer_to_the_original(
    name: str, tiny: Make, batch: Batch, outputs: Callable[[Any], Any], tmp_path: Path
) -> None:
    teacher = tiny(name)
    student = student_of(teacher, LISTS[name])
    before = (outputs(student) - outputs(teacher)).norm()
    losses: list[float] = []
    distil(
        student,
        teacher,
        LISTS[name],
        [batch(teacher)],
        DistilSpec(steps=20, warmup=3, learning_rate=1e-2),
        tmp_path,
        progress=lambda step, loss: losses.append(loss),
    )
    assert len(losses) == 20
    assert losses[-1] < 0.5 * losses[0]
    assert (outputs(student) - outputs(teacher)).norm() < 0.7 * before


@pytest.mark.parametrize("alone", [0, 3])
def test_a_layer_alone_teaches_none_before_it(
    alone: int, tiny: Make, batch: Batch, tmp_path: Path
) -> None:
    """The first two layers are as they were: alone, there is nothing for them to learn."""
    teacher = tiny("bert")
    student = copy.deepcopy(teacher)
    names = find_stack(teacher, "encoder.layer").shapes
    kept = {f"0.{name}": DenseSpec() for name in names}
    plan = Plan(uses=(2, 2), linear=ResidualSpec(rank=1), linears=kept)
    fold(student, ForeignPlan(stacks={"encoder.layer": plan}))
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    spec = DistilSpec(steps=3, warmup=1, alone=alone)
    distil(student, teacher, ["encoder.layer"], [batch(teacher)], spec, tmp_path)
    changed = {name for name, t in student.state_dict().items() if not torch.equal(t, before[name])}
    assert any(name.startswith("encoder.layer.2.") for name in changed)
    assert any(name.startswith("encoder.layer.0.") for name in changed) == (not alone)
    assert not any(name.startswith("embeddings.") for name in changed)


def test_progress_may_call_the_model(tiny: Make, batch: Batch, tmp_path: Path) -> None:
    teacher = tiny("bert")
    run = [batch(teacher)]
    students = [student_of(teacher, LISTS["bert"]) for _ in range(2)]
    for number, student in enumerate(students):

        def look(step: int, loss: float, watched: Any = student if number else None) -> None:
            if watched is not None:
                watched(input_ids=torch.arange(1, 4)[None])

        spec = DistilSpec(steps=3, warmup=1)
        distil(student, teacher, LISTS["bert"], run, spec, tmp_path / f"{number}", progress=look)
    expected = students[0].state_dict()
    assert all(torch.equal(t, expected[name]) for name, t in students[1].state_dict().items())


def test_goes_on_where_it_was_stopped(tiny: Make, batch: Batch, tmp_path: Path) -> None:
    teacher = tiny("bert")
    batches = [batch(teacher), {"input_ids": torch.arange(12, 24).view(2, 6)}]
    spec = DistilSpec(steps=7, warmup=2, save_every=3)
    whole, stopped = (student_of(teacher, LISTS["bert"]) for _ in range(2))
    distil(whole, teacher, LISTS["bert"], batches, spec, tmp_path / "whole")

    def stop(step: int, loss: float) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distil(stopped, teacher, LISTS["bert"], batches, spec, tmp_path / "a", progress=stop)
    again = student_of(teacher, LISTS["bert"])
    steps: list[int] = []
    distil(
        again,
        teacher,
        LISTS["bert"],
        batches,
        spec,
        tmp_path / "a",
        progress=lambda step, loss: steps.append(step),
    )
    assert steps == [4, 5, 6, 7]
    expected = whole.state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in again.state_dict().items())


def labelled(model: Any) -> dict[str, torch.Tensor]:
    """Text with its own tokens as labels, the second line shorter."""
    tokens = torch.arange(1, 13).view(2, 6)
    if model.config.model_type == "whisper":
        torch.manual_seed(1)
        labels = torch.cat([tokens[:, 1:], torch.full((2, 1), 2)], dim=1)
        features = torch.randn(2, 4, 20)
        return {"input_features": features, "decoder_input_ids": tokens, "labels": labels}
    mask = torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    return {
        "input_ids": tokens,
        "attention_mask": mask,
        "labels": tokens.masked_fill(mask == 0, -100),
    }


@torch.no_grad()
def own_loss(model: Any, batch: dict[str, torch.Tensor]) -> float:
    """-log p of each token that a label asks for, mean, written out."""
    given = {key: value for key, value in batch.items() if key != "labels"}
    logs = model(**given).logits.log_softmax(dim=-1)
    shift = 0 if "input_features" in batch else 1  # a language model says what comes next
    found = [
        -float(logs[row, place - shift, label])
        for row, labels in enumerate(batch["labels"].tolist())
        for place, label in enumerate(labels)
        if label != -100 and place >= shift
    ]
    return sum(found) / len(found)


@pytest.mark.parametrize("name", ["whisper", "llama", "gpt2"])
def test_learns_from_the_data(name: str, tiny: Make, tmp_path: Path) -> None:
    teacher = tiny(name)
    lists = {"llama": ["model.layers"], "gpt2": ["transformer.h"]} | LISTS
    student = student_of(teacher, lists[name])
    batch = labelled(teacher)
    check_data_loss(teacher)
    before = own_loss(student, batch)
    losses: list[float] = []
    spec = DistilSpec(steps=15, warmup=1, learning_rate=1e-2, hidden=0, output=0, data=2)
    distil(
        student,
        teacher,
        lists[name],
        [batch],
        spec,
        tmp_path,
        progress=lambda step, loss: losses.append(loss),
    )
    assert losses[0] == pytest.approx(2 * before, rel=1e-4)
    assert own_loss(student, batch) < 0.8 * before
    assert data_loss(student, [batch]) == pytest.approx(own_loss(student, batch), rel=1e-4)


def test_models_without_a_loss_on_text(tiny: Make, batch: Batch, tmp_path: Path) -> None:
    model = tiny("bert")
    for each in (model, BertForMaskedLM(model.config)):
        with pytest.raises(InputError, match=r"has no loss on the data, since it writes no text"):
            check_data_loss(each)
    run = [batch(tiny("llama"))]
    for valid in ([], [labelled(tiny("llama"))]):
        with pytest.raises(InputError, match="there are batches without labels"):
            distil(
                student_of(tiny("llama"), ["model.layers"]),
                tiny("llama"),
                ["model.layers"],
                run,
                DistilSpec(steps=1, data=1),
                tmp_path,
                valid=valid,
            )


def weights_of(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize(("rate", "better"), [(1e-2, True), (1.0, False)])
def test_the_best_validation_is_kept(
    rate: float, better: bool, tiny: Make, batch: Batch, tmp_path: Path
) -> None:
    """At the highest rate what was folded stays the best; and nothing is learnt from `valid`."""
    teacher = tiny("bert")
    student, unwatched = (student_of(teacher, LISTS["bert"]) for _ in range(2))
    before = weights_of(student)
    spec = DistilSpec(steps=25, warmup=2, learning_rate=rate, validate_every=10, save_every=10)
    run, valid = [batch(teacher)], [{"input_ids": torch.arange(12, 24).view(2, 6)}]
    rows: list[Any] = []
    best = distil(
        student, teacher, LISTS["bert"], run, spec, tmp_path, valid=valid, validated=rows.append
    )
    assert read_curve(tmp_path) == rows  # as that of a training
    assert [row["step"] for row in rows] == [0, 10, 20, 25]
    assert all(row["loss"] == row["distillation"] for row in rows)
    assert best == min(rows, key=lambda row: row["loss"])
    assert (best["step"] > 0) == better
    assert same(weights_of(student), before) != better
    distil(unwatched, teacher, LISTS["bert"], run, spec, tmp_path / "unwatched")
    if best["step"] == 25:
        assert same(weights_of(student), weights_of(unwatched))
    assert not (tmp_path / "unwatched" / "curve.json").exists()


def test_validation_is_of_the_losses(tiny: Make, tmp_path: Path) -> None:
    teacher = tiny("whisper")
    student = student_of(teacher, LISTS["whisper"])
    valid = [labelled(teacher)]
    before = own_loss(student, valid[0])
    rows: list[Any] = []
    spec = DistilSpec(steps=2, warmup=1, data=0.5)
    distil(
        student,
        teacher,
        LISTS["whisper"],
        valid,
        spec,
        tmp_path,
        valid=valid,
        validated=rows.append,
    )
    assert rows[0]["data"] == pytest.approx(before, rel=1e-4)
    for row in rows:
        assert row["loss"] == pytest.approx(row["distillation"] + 0.5 * row["data"], abs=1e-5)
    # Two windows of 20 frames of 10 ms in each step.
    assert [row["hours"] for row in rows] == pytest.approx([0, 2 * 0.4 / 3600], abs=1e-6)


def test_goes_on_with_its_validations(tiny: Make, batch: Batch, tmp_path: Path) -> None:
    teacher = tiny("bert")
    run, valid = [batch(teacher)], [{"input_ids": torch.arange(12, 24).view(2, 6)}]
    spec = DistilSpec(steps=9, warmup=2, learning_rate=1e-2, validate_every=2, save_every=4)
    whole, stopped, again = (student_of(teacher, LISTS["bert"]) for _ in range(3))
    distil(whole, teacher, LISTS["bert"], run, spec, tmp_path / "whole", valid=valid)

    def stop(step: int, loss: float) -> None:
        if step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distil(
            stopped,
            teacher,
            LISTS["bert"],
            run,
            spec,
            tmp_path / "a",
            valid=valid,
            progress=stop,
        )
    assert [row["step"] for row in read_curve(tmp_path / "a")] == [0, 2, 4, 6]
    best = distil(again, teacher, LISTS["bert"], run, spec, tmp_path / "a", valid=valid)
    assert same(weights_of(again), weights_of(whole))
    curves = [read_curve(tmp_path / name) for name in ("whole", "a")]
    for rows in curves:
        for row in rows:
            row.pop("seconds")
    assert curves[0] == curves[1]
    # Once more: all steps are done, and the weights are again those of the best validation.
    once_more = student_of(teacher, LISTS["bert"])
    assert distil(once_more, teacher, LISTS["bert"], run, spec, tmp_path / "a", valid=valid) == best
    assert same(weights_of(once_more), weights_of(whole))
    other = (
        r"recovery\.pt: holds a learning that began in another way: other data to measure on; ch"
    )
    with pytest.raises(InputError, match=other):
        distil(once_more, teacher, LISTS["bert"], run, spec, tmp_path / "a", valid=run)


def test_the_rate_rises_and_falls_however_few_steps_there_are(
    tiny: Make, batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To its peak in a tenth of the steps, and from there along a cosine to nearly nothing."""
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def noted(self: Any, *args: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    teacher = tiny("bert")
    student = student_of(teacher, LISTS["bert"])
    spec = DistilSpec(steps=20, learning_rate=1e-3)
    distil(student, teacher, LISTS["bert"], [batch(teacher)], spec, tmp_path)
    falling = [5e-4 * (1 + math.cos(math.pi * n / 18)) for n in range(18)]
    assert rates == pytest.approx([5e-4, 1e-3, *falling])


def test_a_model_without_scores_learns_from_its_layers_alone(tiny: Make, tmp_path: Path) -> None:
    encoder = tiny("bert")
    teacher = BertForQuestionAnswering(encoder.config).eval()
    student = student_of(teacher, ["bert.encoder.layer"])
    run = [{"input_ids": torch.arange(1, 13).view(2, 6)}]
    with pytest.raises(InputError, match="BertForQuestionAnswering: gives neither logits nor"):
        distil(student, teacher, ["bert.encoder.layer"], run, DistilSpec(steps=1), tmp_path)
    spec = DistilSpec(steps=1, output=0)
    distil(student, teacher, ["bert.encoder.layer"], run, spec, tmp_path)


def test_bad_input(tiny: Make, batch: Batch, tmp_path: Path) -> None:
    teacher = tiny("bert")
    student = student_of(teacher, LISTS["bert"])
    run = [batch(teacher)]
    with pytest.raises(InputError, match="batches: there is none to learn from"):
        distil(student, teacher, LISTS["bert"], [], DistilSpec(), tmp_path)
    distil(student, teacher, LISTS["bert"], run, DistilSpec(steps=1), tmp_path)
    other = r"recovery\.pt: holds a learning that began in another way: "
    spec = DistilSpec(steps=2, learning_rate=1e-3, warmup=1)
    with pytest.raises(
        InputError, match=f"{other}steps 1 -> 2; learning_rate 0.0002 -> 0.001; warmup null -> 1; c"
    ):
        distil(student, teacher, LISTS["bert"], run, spec, tmp_path)
    words = [{"input_ids": torch.arange(2, 14).view(2, 6)}]
    with pytest.raises(InputError, match=f"{other}other data to learn from; choose"):
        distil(student, teacher, LISTS["bert"], words, DistilSpec(steps=1), tmp_path)
    with pytest.raises(InputError, match=f"{other}other data to measure on; choose"):
        distil(student, teacher, LISTS["bert"], run, DistilSpec(steps=1), tmp_path, valid=words)
    smaller = copy.deepcopy(teacher)
    plan = Plan(uses=(2, 2), linear=ResidualSpec(rank=1))
    fold(smaller, ForeignPlan(stacks={"encoder.layer": plan}))
    with pytest.raises(InputError, match=f"{other}plan; choose"):
        distil(smaller, teacher, LISTS["bert"], run, DistilSpec(steps=1), tmp_path)
    (tmp_path / "recovery.pt").write_bytes(b"odd")
    with pytest.raises(InputError, match=r"recovery\.pt: is damaged"):
        distil(student, teacher, LISTS["bert"], run, DistilSpec(steps=1), tmp_path)
    with pytest.raises(SpecError, match="steps: expected 1 or more, got 0"):
        DistilSpec(steps=0)
    for name in ("warmup", "hidden", "output", "data", "alone"):
        with pytest.raises(SpecError, match=f"{name}: expected 0 or more, got -1"):
            DistilSpec(**{name: -1})
    with pytest.raises(SpecError, match="hidden, output and data: all are 0, so nothing would"):
        DistilSpec(hidden=0, output=0)
    with torch.no_grad():
        student.embeddings.word_embeddings.weight.fill_(torch.nan)
    with pytest.raises(SpecError, match="loss: is not finite at step 1; lower learning_rate"):
        distil(student, teacher, LISTS["bert"], run, DistilSpec(steps=1), tmp_path / "new")


@pytest.mark.parametrize(
    ("model_type", "asked", "rate"),
    [("bert", None, 2e-4), ("whisper", None, 5e-5), ("whisper", 1e-3, 1e-3)],
)
def test_rates_that_nobody_has_asked_for(model_type: str, asked: float | None, rate: float) -> None:
    spec = RecoveryTrainingSpec(learning_rate=asked)
    assert spec.distil(0, model_type).learning_rate == rate
