import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertForQuestionAnswering

from foldformer.compress.foreign import DistilSpec, ForeignPlan, distil, find_stack, fold
from foldformer.compress.plan import Plan
from foldformer.errors import InputError, SpecError
from foldformer.nn.linears.dense import DenseSpec
from foldformer.nn.linears.residual import ResidualSpec

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
    other = r"recovery\.pt: was made with another specification, plan or data"
    with pytest.raises(InputError, match=other):
        distil(student, teacher, LISTS["bert"], run, DistilSpec(steps=2), tmp_path)
    words = [{"input_ids": torch.arange(2, 14).view(2, 6)}]
    with pytest.raises(InputError, match=other):
        distil(student, teacher, LISTS["bert"], words, DistilSpec(steps=1), tmp_path)
    smaller = copy.deepcopy(teacher)
    plan = Plan(uses=(2, 2), linear=ResidualSpec(rank=1))
    fold(smaller, ForeignPlan(stacks={"encoder.layer": plan}))
    with pytest.raises(InputError, match=other):
        distil(smaller, teacher, LISTS["bert"], run, DistilSpec(steps=1), tmp_path)
    (tmp_path / "recovery.pt").write_bytes(b"odd")
    with pytest.raises(InputError, match=r"recovery\.pt: is damaged"):
        distil(student, teacher, LISTS["bert"], run, DistilSpec(steps=1), tmp_path)
    with pytest.raises(SpecError, match="steps: expected 1 or more, got 0"):
        DistilSpec(steps=0)
    for name in ("warmup", "hidden", "output", "alone"):
        with pytest.raises(SpecError, match=f"{name}: expected 0 or more, got -1"):
            DistilSpec(**{name: -1})
    with torch.no_grad():
        student.embeddings.word_embeddings.weight.fill_(torch.nan)
    with pytest.raises(SpecError, match="loss: is not finite at step 1; lower learning_rate"):
        distil(student, teacher, LISTS["bert"], run, DistilSpec(steps=1), tmp_path / "new")
