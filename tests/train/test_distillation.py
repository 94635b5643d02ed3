"""A student learns what its teacher computes, and the teacher stays as it is."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from foldformer.checkpoint import ModelConfig, save_model
from foldformer.compress.fold import fold
from foldformer.compress.plan import Plan
from foldformer.data.batches import Batch
from foldformer.data.tokens import Tokens, TokensSpec
from foldformer.errors import InputError, SpecError
from foldformer.model import Model, ModelSpec
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.spec import from_dict
from foldformer.train.changes import check_same, write_origin
from foldformer.train.config import DistillationSpec, TrainConfig, TrainingSpec
from foldformer.train.distillation import (
    Distillation,
    distillation_of,
    divergence,
    hidden_error,
    losses_of,
    matching,
)
from foldformer.train.memory import Shape, memory_of
from foldformer.train.module import TrainingModule
from foldformer.train.run import train

ENCODER = {
    "d_model": 8,
    "num_layers": 4,
    "mixer": {"kind": "attention", "num_heads": 2},
    "feed_forward": {"kind": "dense", "d_ff": 12},
    "subsampling": {"channels": 5},
    "left_context": 4,
}
SHARED = {"uses": 2, "linear": {"kind": "residual", "rank": 3}}
HEADS = [{"kind": "ctc"}, {"kind": "transducer", "predictor_dim": 6, "joiner_dim": 6}]
TEXTS = ["abba ab", "b", "baab a"]
ALL = {"hidden": 1.0, "output": 1.0, "data": 1.0}
NONE = dict.fromkeys(ALL, 0.0)


def tokens() -> Tokens:
    return TokensSpec().build(["ab"])


def model_of(seed: int, heads: Any = HEADS, **encoder: Any) -> Model:
    torch.manual_seed(seed)
    spec = {"vocab_size": tokens().vocab_size, "encoder": ENCODER | encoder, "heads": heads}
    model = from_dict(ModelSpec, spec).build().double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def batch_of(*rows: int) -> Batch:
    """Utterances of 40, 60 and 80 frames, the same whatever stands beside them."""
    ids = [torch.tensor(tokens().encode(TEXTS[row])) for row in rows]
    draws = [torch.Generator().manual_seed(row) for row in rows]
    features = [
        torch.randn(40 + 20 * row, 80, dtype=torch.float64, generator=draw)
        for row, draw in zip(rows, draws, strict=True)
    ]
    return Batch(
        features=torch.nn.utils.rnn.pad_sequence(features, batch_first=True, padding_value=-9.0),
        feature_lengths=torch.tensor([len(f) for f in features]),
        targets=torch.nn.utils.rnn.pad_sequence(ids, batch_first=True),
        target_lengths=torch.tensor([len(i) for i in ids]),
        ids=[f"u{row}" for row in rows],
        texts=[TEXTS[row] for row in rows],
        languages=["" for row in rows],
    )


def taught(teacher: Model, temperature: float = 1.0, **weights: float) -> Distillation:
    spec = DistillationSpec(teacher="t", temperature=temperature, **(NONE | weights))
    return Distillation(spec, teacher)


@pytest.mark.parametrize("chunk", [None, 3])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(chunk: int | None) -> None:
    teacher = model_of(1)
    student = copy.deepcopy(teacher)
    batch = batch_of(0, 1, 2)
    found = taught(teacher, hidden=1, output=1).losses(student, batch, chunk)
    torch.testing.assert_close(found, torch.zeros_like(found), atol=1e-12, rtol=0)
    data = taught(teacher, data=0.5).losses(student, batch, chunk)
    torch.testing.assert_close(data, 0.5 * losses_of(student, batch, chunk))


def test_the_mask_is_that_of_the_student() -> None:
    """A teacher that remembers more of a stream is held to what the student can see."""
    teacher = model_of(1, left_context=9)
    student = model_of(1, left_context=4)
    found = taught(teacher, hidden=1, output=1).losses(student, batch_of(2), 3)
    torch.testing.assert_close(found, torch.zeros_like(found), atol=1e-12, rtol=0)


@pytest.mark.parametrize("part", ALL)
def test_each_part_teaches_the_student_alone(part: str) -> None:
    teacher, student = model_of(1), model_of(2, **SHARED)
    before = {name: p.detach().clone() for name, p in teacher.named_parameters()}
    teaching = taught(teacher, **{part: 1.0})
    teaching.losses(student, batch_of(0, 1, 2), 3).sum().backward()
    reached = {name for name, p in student.named_parameters() if p.grad is not None}
    layers = {name for name, _ in student.named_parameters() if "depth" in name}
    assert layers <= reached
    assert all(student.get_parameter(name).grad.any() for name in layers)
    rest = {name for name, _ in student.named_parameters() if name.startswith("heads")}
    assert rest & reached == (set() if part == "hidden" else rest)
    for name, parameter in teacher.named_parameters():
        assert parameter.grad is None
        assert torch.equal(parameter, before[name])


@pytest.mark.parametrize("part", ALL)
def test_padding_does_not_count(part: str) -> None:
    """An utterance has the same loss beside longer ones as alone."""
    teaching = taught(model_of(1), temperature=2.0, **{part: 1.0})
    student = model_of(2, **SHARED)
    together = teaching.losses(student, batch_of(0, 1, 2), 3)
    alone = torch.cat([teaching.losses(student, batch_of(row), 3) for row in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-12)


def test_the_sums_written_out() -> None:
    draw = torch.Generator().manual_seed(0)
    s, h = torch.randn(2, 3, 2, 5, 4, generator=draw).double()  # places, utterances, frames, width
    lengths = torch.tensor([5, 2])
    wanted = [
        sum(
            float(((s[p, b, t] - h[p, b, t]) ** 2).sum() / (h[p, b, t] ** 2).sum())
            for p in range(3)
            for t in range(n)
        )
        / 3
        for b, n in enumerate(lengths.tolist())
    ]
    found = hidden_error(list(s), list(h), lengths)
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))

    p, q = torch.randn(2, 2, 5, 3, 4, generator=draw).double().log_softmax(-1)
    emitted = torch.tensor([2, 1])
    cells = torch.nn.functional.kl_div(q, p, reduction="none", log_target=True).sum(-1)
    wanted = [
        float(cells[b, :n, : u + 1].mean(1).sum()) for b, (n, u) in enumerate([(5, 2), (2, 1)])
    ]
    found = divergence(q, p, lengths, emitted)
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))
    flat = divergence(q[:, :, 0], p[:, :, 0], lengths, emitted)
    wanted = [float(cells[b, :n, 0].sum()) for b, n in enumerate(lengths.tolist())]
    torch.testing.assert_close(flat, torch.tensor(wanted, dtype=torch.float64))


def test_matching_places() -> None:
    assert matching(6, 6) == [(n, n) for n in range(6)]
    assert matching(6, 18) == [(n, 3 * n + 2) for n in range(6)]
    assert matching(4, 6) == [(0, 1), (1, 2), (2, 4), (3, 5)]
    assert matching(6, 2) == [(2, 0), (5, 1)]


def test_a_shallower_teacher_and_other_heads_of_the_same_kind() -> None:
    teacher = model_of(1, [HEADS[0], HEADS[1] | {"joiner_dim": 9, "context": 1}], num_layers=2)
    student = model_of(2, **SHARED)
    found = taught(teacher, **ALL).losses(student, batch_of(0, 2), None)
    assert found.shape == (2,)
    assert torch.isfinite(found).all()


def test_training_towards_the_teacher_alone_comes_near_it() -> None:
    teacher, student = model_of(1), model_of(2, **SHARED)
    teaching, batch = taught(teacher, hidden=1, output=1), batch_of(0, 1, 2)
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = teaching.losses(student, batch, None).sum()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 3


def config_of(folder: Path, **distillation: Any) -> TrainConfig:
    return from_dict(
        TrainConfig,
        {
            "output": str(folder / "out"),
            "data": {"train": str(folder / "a.jsonl"), "valid": str(folder / "b.jsonl")},
            "model": {"encoder": ENCODER | SHARED, "heads": HEADS},
            "training": {"distillation": {"teacher": str(folder / "teacher")} | distillation},
        },
    )


def test_the_teacher_is_no_part_of_what_is_trained(tmp_path: Path) -> None:
    """Not of parameters or state, nor is it copied with the average of the weights."""
    student, teaching = model_of(2, **SHARED), taught(model_of(1), **ALL)
    config = config_of(tmp_path).with_vocabulary(tokens().vocab_size)
    with_teacher = TrainingModule(student, tokens(), config, distillation=teaching)
    without = TrainingModule(student, tokens(), config)
    assert list(with_teacher.state_dict()) == list(without.state_dict())
    assert list(with_teacher.parameters()) == list(without.parameters())
    average = copy.deepcopy(with_teacher)
    assert average.distillation is teaching
    assert average.model is not student
    with_teacher.train()
    assert not teaching.teacher.training


def test_half_precision_stays_finite() -> None:
    teacher, student = model_of(1).float(), model_of(2, **SHARED).float()
    batch = batch_of(0, 1, 2)
    batch = replace(batch, features=batch.features.float())
    exact = taught(teacher, **ALL).losses(student, batch, None)
    with torch.autocast("cpu", torch.bfloat16):
        found = taught(teacher, **ALL).losses(student, batch, None)
    assert found.dtype == torch.float32
    found.sum().backward()
    torch.testing.assert_close(found, exact, rtol=0.1, atol=0.1)


def write_teacher(folder: Path, model: Model, symbols: Tokens, text: str = "text") -> None:
    folder.mkdir()
    save_model(folder, model.float(), ModelConfig(model=model.spec, text=text))
    symbols.save(folder)


@pytest.mark.parametrize(
    ("teacher", "distillation", "message"),
    [
        ({"text": "translation_it"}, {}, "writes translation_it, and data.text is text"),
        (
            {"symbols": "abc"},
            {},
            r"has other tokens \(5, and there are 4 of the student\); .* tokens.fo",
        ),
        ({"num_mels": 40}, {}, "hears 40 features a frame"),
        ({"d_model": 12}, {}, "has frames of width 12, the student of 8; with .*hidden 0"),
        ({"heads": HEADS[:1]}, {}, "has no transducer head, only ctc; with .*output 0"),
        ({"d_model": 12}, {"hidden": 0}, ""),
        ({"heads": HEADS[:1]}, {"output": 0}, ""),
    ],
)
def test_teachers_that_do_not_fit(
    tmp_path: Path, teacher: dict[str, Any], distillation: dict[str, Any], message: str
) -> None:
    symbols = TokensSpec().build([teacher.get("symbols", "ab")])
    encoder: dict[str, Any] = {"d_model": teacher.get("d_model", 8)}
    encoder["subsampling"] = {"channels": 5, "num_mels": teacher.get("num_mels", 80)}
    spec = {"vocab_size": symbols.vocab_size, "encoder": ENCODER | encoder}
    model = from_dict(ModelSpec, spec | {"heads": teacher.get("heads", HEADS)}).build()
    write_teacher(tmp_path / "teacher", model, symbols, teacher.get("text", "text"))
    config = config_of(tmp_path, **distillation)
    student = model_of(2, **SHARED)
    if not message:
        assert distillation_of(config, student, tokens()) is not None
        return
    with pytest.raises(InputError, match=rf"teacher: cannot be the teacher .*: it {message}"):
        distillation_of(config, student, tokens())


def test_a_teacher_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="teacher: no such folder; expected a model folder"):
        distillation_of(config_of(tmp_path), model_of(2), tokens())
    config = from_dict(TrainConfig, {"output": "o", "data": {"train": "a", "valid": "b"}})
    assert distillation_of(config, model_of(2), tokens()) is None


def test_shards_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"distillation: .*; take --strategy ddp"):
        train(config_of(tmp_path), strategy="fsdp")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "distillation.teacher: missing"),
        ({"teacher": "t", "hidden": -1}, "distillation: hidden: expected 0 or more, got -1"),
        ({"teacher": "t", "temperature": 0}, "temperature: expected more than 0"),
        ({"teacher": "t"} | NONE, "hidden, output and data: all are 0"),
        ({"teacher": "t", "hiden": 1}, "distillation.hiden: unknown key; did you mean 'hidden'"),
    ],
)
def test_what_a_specification_may_say(data: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        from_dict(TrainingSpec, {"distillation": data})


def test_another_teacher_in_the_same_place_is_noticed(tmp_path: Path) -> None:
    write_teacher(tmp_path / "teacher", model_of(1), tokens())
    config = config_of(tmp_path)
    state = tmp_path / "state"
    state.mkdir()
    write_origin(state, config)
    assert sorted(json.loads((state / "manifests.json").read_text())) == [
        str(tmp_path / "teacher" / name) for name in ("config.yaml", "model.safetensors")
    ]
    check_same(state, config, accept=False)
    save_file({"a": torch.zeros(1)}, tmp_path / "teacher" / "model.safetensors")
    with pytest.raises(InputError, match=r"teacher/model.safetensors says something else"):
        check_same(state, config, accept=False)


def test_memory_counts_the_teacher() -> None:
    student, teaching = model_of(2, **SHARED).float(), taught(model_of(1).float(), **ALL)
    shapes = [Shape(batch=2, frames=80, tokens=5)]
    spec = TrainingSpec()
    alone, found = (memory_of(student, spec, shapes, 0, teaching=t) for t in (None, teaching))
    assert alone.teacher == 0
    assert found.teacher == sum(4 * p.numel() for p in teaching.teacher.parameters())
    assert found.activations > alone.activations
    assert found.total - alone.total == found.teacher + found.activations - alone.activations


def test_outputs_of_a_transducer_are_a_distribution_over_three() -> None:
    model = model_of(1)
    head, x = model.head("transducer"), torch.randn(2, 3, 8).double()
    targets = torch.tensor([[2, 3, 3], [3, 0, 0]])
    found = head.outputs(x, targets, temperature=2.0)
    assert found.shape == (2, 3, 4, 3)
    ones = torch.ones(2, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(found.exp().sum(-1), ones)
    plain: Tensor = (head.logits(x, targets) / 2).softmax(-1)
    torch.testing.assert_close(found[..., 0].exp(), plain[..., 0])
    for b, u, token in [(0, 0, 2), (0, 1, 3), (0, 2, 3), (1, 0, 3)]:
        torch.testing.assert_close(found[b, :, u, 1].exp(), plain[b, :, u, token])
    for b, u in [(0, 3), (1, 1)]:  # no token comes after the text
        assert not found[b, :, u, 1].exp().any()


def test_outputs_of_ctc() -> None:
    model = model_of(1)
    head, x = model.head("ctc"), torch.randn(2, 3, 8).double()
    logits = head.output(x)
    for temperature in (1.0, 3.0):
        found = head.outputs(x, torch.zeros(2, 1, dtype=torch.long), temperature)
        torch.testing.assert_close(found, (logits / temperature).log_softmax(-1))


@pytest.mark.parametrize("order", ["adjacent", "cycle"])
def test_a_fold_of_full_rank_has_nothing_to_learn(order: str) -> None:
    """Each place in depth of the student is that of the teacher's own layer."""
    teacher = model_of(1)
    residuals = ResidualSpec(rank=8, diagonal=False)
    plan = from_dict(Plan, {"uses": [2, 2], "order": order})
    student = fold(teacher, replace(plan, linear=residuals), start="average")
    assert student.spec.encoder.uses == 2
    found = taught(teacher, hidden=1, output=1).losses(student, batch_of(0, 1, 2), 3)
    torch.testing.assert_close(found, torch.zeros_like(found), atol=1e-10, rtol=0)
