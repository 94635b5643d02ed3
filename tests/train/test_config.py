"""The training YAML: overrides, and what is refused before any data is read."""

from pathlib import Path

import pytest
import yaml

from foldformer.errors import InputError, SpecError
from foldformer.train.config import TrainConfig, TrainingSpec, read_config

ENCODER = {
    "d_model": 8,
    "num_layers": 2,
    "uses": 2,
    "mixer": {"kind": "attention", "num_heads": 2},
    "feed_forward": {"kind": "dense", "d_ff": 16},
    "linear": {"kind": "residual", "rank": 2},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    data = {
        "output": str(tmp_path / "model"),
        "data": {"train": "train.jsonl.gz", "valid": "dev.jsonl.gz"},
        "model": {"encoder": ENCODER, "heads": [{"kind": "ctc"}]},
    }
    path.write_text(yaml.safe_dump(data))
    return path


def test_settings_stand_over_the_file(path: Path) -> None:
    config = read_config(
        path,
        [
            ("training.steps", "7"),
            ("training.learning_rate", "1e-4"),
            ("model.heads.0.weight", "0.5"),
            ("model.encoder.uses", "[1, 1]"),
            ("data.augmentation", "null"),
            ("training.chunks", "[320ms, 1.28s]"),
        ],
    )
    assert (config.training.steps, config.training.learning_rate) == (7, 1e-4)
    assert config.model.heads[0].weight == 0.5
    assert config.model.encoder.uses_of_layers == (1, 1)
    assert config.data.augmentation is None
    assert config.training.chunk_frames == (8, 32)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("trainig.steps=3", "trainig: unknown key; did you mean 'training'?"),
        ("training.step=3", "training.step: unknown key; did you mean 'steps'?"),
        ("training.steps=many", "training.steps: expected a whole number, got 'many'"),
        ("training.steps=2.5", "training.steps: expected a whole number, got 2.5"),
        ("training.steps=", "training.steps: expected a whole number, got nothing"),
        ("training.steps=0", "training: steps: expected 1 or more, got 0"),
        ("training.validate_every=0", "validate_every: expected 1 or more, got 0"),
        ("training.learning_rate=-1", "learning_rate: expected 0 or more, got -1"),
        ("training.learning_rate=.nan", "learning_rate: expected a number, got nan"),
        ("training.ema=1", "ema: 1 would never take up a weight"),
        ("training.full_context=2", "full_context: expected 0 to 1, got 2"),
        ("training.betas=[0.9]", "betas: expected two numbers from 0 to 1, got [0.9]"),
        ("training.decay=cosin", "training.decay: 'cosin' is none of cosine, linear, none"),
        ("training.precision=64", "training.precision: 64 is none of 32, bf16-mixed, 16-mixed"),
        ("training.chunks=[100ms]", "chunks: '100ms' is no positive multiple of 40 ms"),
        ("training.chunks=320ms", "training.chunks: expected a list, each text, got '320ms'"),
        ("model.encoder.uses=3", "2 layers are not divisible by 3 uses; possible: 1, 2"),
        ("model.encoder.linear.rank=9", "model: linear: rank: 9 is larger than the matrix"),
        ("model.encoder.mixer.num_heads=3", "model: num_heads: 3"),
        ("model.encoder.mixer.kind=atention", "unknown kind 'atention'; did you mean 'attention'?"),
        (
            "model.encoder.subsampling.num_mels=40",
            "model.encoder.subsampling.num_mels: expected 80, the bands that recordings are turned",
        ),
        ("model.heads=[]", "heads: expected different kinds, at least one, got []"),
        ("model.heads.1.weight=1", "'1' is no item of a list of 1 (0 is the first)"),
        ("data.train=5", "data.train: expected text or a list, each text, got 5"),
        ("seed=x", "seed: expected a whole number, got 'x'"),
        ("output=[", "output: '[' is not readable as a YAML value"),
    ],
)
def test_what_is_wrong_is_named(path: Path, setting: str, message: str) -> None:
    key, _, value = setting.partition("=")
    with pytest.raises(SpecError) as caught:
        read_config(path, [(key, value)])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_precision_32_may_be_written_as_a_number(path: Path) -> None:
    assert read_config(path, [("training.precision", "32")]).training.precision == "32"


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_config(tmp_path / "none.yaml", [])
    with pytest.raises(InputError, match="is a folder; expected a YAML file"):
        read_config(tmp_path, [])
    (tmp_path / "binary.yaml").write_bytes(b"\x00\xff\x80")
    with pytest.raises(InputError, match="is not readable as YAML"):
        read_config(tmp_path / "binary.yaml", [])


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("output: m\n")
    with pytest.raises(SpecError, match=r"a\.yaml: data: missing; it has no default"):
        read_config(tmp_path / "a.yaml", [])


def test_the_vocabulary_is_filled_in(path: Path) -> None:
    config: TrainConfig = read_config(path, [])
    assert config.with_vocabulary(30).model.vocab_size == 30
    asked = read_config(path, [("model.vocab_size", "20")])
    assert asked.with_vocabulary(20) == asked
    with pytest.raises(SpecError, match=r"model\.vocab_size: 20 asked for, but there are 30"):
        asked.with_vocabulary(30)


def test_the_defaults_are_possible() -> None:
    assert TrainingSpec().chunk_frames == ()
