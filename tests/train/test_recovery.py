"""The training after a fold: what the original says, over it what suits, over it what is asked."""

from pathlib import Path
from typing import Any

import pytest

from foldformer.checkpoint import ModelConfig
from foldformer.errors import SpecError
from foldformer.spec import from_dict, write_yaml
from foldformer.train.config import TrainConfig
from foldformer.train.recovery import recovery_config

DATA: dict[str, Any] = {"train": "a.jsonl", "valid": "b.jsonl"}
ENCODER = {"d_model": 16, "num_layers": 4, "uses": 2, "mixer": {"kind": "attention"}}
ENCODER["mixer"] = {"kind": "attention", "num_heads": 2}


def about() -> ModelConfig:
    model = {"vocab_size": 9, "encoder": ENCODER}
    return from_dict(ModelConfig, {"model": model, "text": "translation_it", "chunks": [8, 16]})


def config_of(
    original: Path, asked: dict[str, Any] | None = None, settings: Any = ()
) -> TrainConfig:
    asked = {"data": DATA} if asked is None else asked
    output = original.parent / "out"
    return recovery_config(original, output / "fold", about(), output, asked, list(settings))


def write_training(original: Path) -> None:
    """As a training leaves it beside the model."""
    (original / "training").mkdir(parents=True)
    said = {
        "output": "elsewhere",
        "seed": 5,
        "data": {"train": "old.jsonl", "valid": "old.jsonl", "max_duration": 40.0}
        | {"augmentation": None, "ascending_epochs": 2, "text": "translation_it"},
        "model": {"encoder": {"d_model": 16}},
        "training": {"steps": 1000, "learning_rate": 0.3, "warmup": 70, "full_context": 0.25}
        | {"chunks": ["160ms"], "initialise_from": "first", "validate_every": 7, "ema": 0.5},
    }
    write_yaml(original / "training" / "config.yaml", from_dict(TrainConfig, said))


def test_of_a_model_that_knows_nothing_of_its_training(tmp_path: Path) -> None:
    config = config_of(tmp_path / "original")
    training = config.training
    assert training.distillation is not None
    assert training.distillation.teacher == str(tmp_path / "original")
    assert training.initialise_from == str(tmp_path / "out" / "fold")
    assert config.tokens.folder == str(tmp_path / "original")
    assert config.output == str(tmp_path / "out")
    assert config.data.text == "translation_it"
    assert config.model == about().model
    assert training.chunks == ("320ms", "640ms")
    assert training.steps == 2000
    assert (training.warmup, training.validate_every, training.save_every) == (100, 500, 500)


def test_what_the_original_says_of_its_training(tmp_path: Path) -> None:
    write_training(tmp_path / "original")
    config = config_of(tmp_path / "original")
    assert (config.data.train, config.data.valid) == ("a.jsonl", "b.jsonl")
    assert (config.seed, config.data.max_duration, config.data.augmentation) == (5, 40.0, None)
    assert config.data.ascending_epochs == 0
    training = config.training
    assert training.full_context == 0.25
    assert training.chunks == ("320ms", "640ms")  # what the model folder says
    assert training.steps == 125  # an eighth
    assert (training.warmup, training.validate_every, training.save_every) == (12, 125, 31)
    assert training.learning_rate < 0.1
    assert training.ema != 0.5
    assert training.initialise_from == str(tmp_path / "out" / "fold")


def test_what_is_asked_for_wins_and_the_command_line_over_it(tmp_path: Path) -> None:
    write_training(tmp_path / "original")
    asked = {"data": DATA | {"max_duration": 50.0}, "training": {"steps": 40, "warmup": 3}}
    settings = [("training.steps", "60"), ("training.distillation.hidden", "0"), ("seed", "8")]
    config = config_of(tmp_path / "original", asked, settings)
    assert (config.seed, config.data.max_duration) == (8, 50.0)
    assert (config.training.steps, config.training.warmup) == (60, 3)
    assert (config.training.validate_every, config.training.save_every) == (60, 15)
    assert config.training.distillation is not None
    assert config.training.distillation.hidden == 0
    config = config_of(tmp_path / "original", asked, [("training.distillation", "null")])
    assert config.training.distillation is None


def test_a_training_of_another_version_counts_for_nothing(tmp_path: Path) -> None:
    write_training(tmp_path / "original")
    path = tmp_path / "original" / "training" / "config.yaml"
    path.write_text(path.read_text() + "key_of_the_future: 1\n")
    assert config_of(tmp_path / "original").training.steps == 2000


@pytest.mark.parametrize(
    ("asked", "settings", "message"),
    [
        ({}, [], "recovery: data.train: missing"),
        ({"model": {}}, [], "recovery: model: is given by the model that is compressed"),
        (None, [("tokens.kind", "characters")], "recovery: tokens.kind: is given by the model"),
        (None, [("training.step", "1")], "recovery: training.step: unknown key; did you mean"),
        (None, [("training.steps", "many")], "recovery: training.steps: expected a whole number"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, asked: Any, settings: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        config_of(tmp_path / "original", asked, settings)
