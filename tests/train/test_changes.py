"""What a run may go on with, and what it says of all that has changed."""

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from foldformer.data.augmentation import AugmentationSpec
from foldformer.data.rooms import ReverberationSpec
from foldformer.data.training import DataSpec
from foldformer.errors import InputError
from foldformer.model import ModelSpec
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.heads.ctc import CtcSpec
from foldformer.nn.heads.transducer import TransducerSpec
from foldformer.train.changes import check_same, write_origin
from foldformer.train.config import TrainConfig, TrainingSpec


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    (tmp_path / "shar").mkdir()
    for name in ("train", "valid", "noise", "room", "shar/cuts.000000", "shar/cuts.000001"):
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt") as file:
            file.write(f'{{"id": "{name}"}}\n')
    noise = AugmentationSpec(
        noise=str(tmp_path / "noise.jsonl.gz"),
        reverberation=ReverberationSpec(responses=str(tmp_path / "room.jsonl.gz")),
    )
    data = DataSpec(
        train=(str(tmp_path / "train.jsonl.gz"), str(tmp_path / "shar")),
        valid=str(tmp_path / "valid.jsonl.gz"),
        augmentation=noise,
    )
    config = TrainConfig(output="m", data=data)
    (tmp_path / "state").mkdir()
    write_origin(tmp_path / "state", config)
    return config


def refusal(tmp_path: Path, config: TrainConfig, accept: bool) -> str:
    with pytest.raises(InputError) as caught:
        check_same(tmp_path / "state", config, accept)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 1}, "seed 0 -> 1"),
        ({"training": TrainingSpec(steps=9, warmup=4)},
         "training.steps 10000 -> 9; training.warmup 500 -> 4"),
        ({"training": TrainingSpec(precision="bf16-mixed")},
         'training.precision "32" -> "bf16-mixed"'),
        ({"training": TrainingSpec(validate_every=7)}, "training.validate_every 500 -> 7"),
    ],
)  # fmt: skip
def test_what_may_be_accepted(tmp_path: Path, config: TrainConfig, change: dict, said: str) -> None:
    changed = replace(config, **change)
    message = refusal(tmp_path, changed, accept=False)
    assert f"holds a run that began in another way: {said}; go on all the same with" in message
    assert "--accept-changes" in message
    check_same(tmp_path / "state", changed, accept=True)


def test_other_augmentation_is_written_out(tmp_path: Path, config: TrainConfig) -> None:
    data = replace(config.data, augmentation=None, max_duration=99.0)
    message = refusal(tmp_path, replace(config, data=data), accept=False)
    assert "data.max_duration 200.0 -> 99.0; data.augmentation {" in message
    assert "... -> null; go on" in message


@pytest.mark.parametrize(
    ("change", "said", "fixed"),
    [
        ({"model": ModelSpec(encoder=EncoderSpec(num_layers=9))},
         "model.encoder.num_layers 18 -> 9", "model.encoder.num_layers"),
        ({"model": ModelSpec(heads=(TransducerSpec(),))},
         'model.heads.0.kind "ctc" -> "transducer"', "model.heads.0.kind"),
        ({"model": ModelSpec(heads=(CtcSpec(), TransducerSpec()))},
         'model.heads [{"kind": "ctc"', "model.heads"),
        ({"training": TrainingSpec(ema=0.9)}, "training.ema 0.0 -> 0.9", "training.ema"),
        ({"training": TrainingSpec(accumulate=2)}, "training.accumulate 1 -> 2",
         "training.accumulate"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("accept", [False, True])
def test_what_may_not(
    tmp_path: Path, config: TrainConfig, change: dict, said: str, fixed: str, accept: bool
) -> None:
    message = refusal(tmp_path, replace(config, **change), accept)
    assert said in message
    assert f"it cannot go on with {fixed}" in message
    assert message.endswith(f"changed: choose another `output`, or remove {tmp_path} to begin anew")


def test_another_text(tmp_path: Path, config: TrainConfig) -> None:
    data = replace(config.data, text="translation_es")
    assert 'data.text "text" -> "translation_es"; it cannot go on with data.text changed' in (
        refusal(tmp_path, replace(config, data=data), accept=True)
    )


def test_another_average_may_be_accepted(tmp_path: Path, config: TrainConfig) -> None:
    averaged = replace(config, training=TrainingSpec(ema=0.9))
    write_origin(tmp_path / "state", averaged)
    longer = replace(config, training=TrainingSpec(ema=0.99))
    assert "training.ema 0.9 -> 0.99; go on" in refusal(tmp_path, longer, accept=False)
    check_same(tmp_path / "state", longer, accept=True)


def test_what_decides_nothing_may_change_freely(tmp_path: Path, config: TrainConfig) -> None:
    data = replace(config.data, num_workers=2, cache_gb=0.0)
    training = TrainingSpec(threads=3, save_every=7, activation_checkpointing=True)
    changed = replace(config, output="n", data=data, training=training)
    check_same(tmp_path / "state", changed, accept=False)


@pytest.mark.parametrize("name", ["train", "valid", "noise", "room", "shar/cuts.000001"])
def test_a_manifest_that_was_rewritten(tmp_path: Path, config: TrainConfig, name: str) -> None:
    path = tmp_path / f"{name}.jsonl.gz"
    original = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(original, compresslevel=1, mtime=77))
    check_same(tmp_path / "state", config, accept=False)  # it says the same
    path.write_bytes(gzip.compress(original + b"{}\n"))
    named = path.parent if "/" in name else path
    assert f"another way: {named} says something else; go on" in refusal(tmp_path, config, False)
    check_same(tmp_path / "state", config, accept=True)
    if named != path:
        return  # a folder with one shard less is another one
    path.unlink()
    check_same(tmp_path / "state", config, accept=False)  # whoever reads it says so


def test_a_configuration_that_is_none(tmp_path: Path, config: TrainConfig) -> None:
    (tmp_path / "state" / "config.yaml").write_text("output: m\nstep: 3\n")
    assert "config.yaml: step: unknown key" in refusal(tmp_path, config, accept=True)


@pytest.mark.parametrize("content", [None, "", "[]"])
def test_fingerprints_that_are_none(
    tmp_path: Path, config: TrainConfig, content: str | None
) -> None:
    path = tmp_path / "state" / "manifests.json"
    path.unlink() if content is None else path.write_text(content)
    assert f"{path}: is missing or damaged" in refusal(tmp_path, config, accept=True)
