"""The folder of a run: for one process, for the same run again, never half-written."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from foldformer.data.training import DataSpec
from foldformer.errors import InputError
from foldformer.model import ModelSpec
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.heads.ctc import CtcSpec
from foldformer.nn.heads.transducer import TransducerSpec
from foldformer.spec import write_yaml
from foldformer.train.config import TrainConfig, TrainingSpec
from foldformer.train.state import (
    LAST,
    WholeCheckpoints,
    check_checkpoint,
    check_same,
    check_writable,
    read_best,
    sole_run,
    write_best,
)

CONFIG = TrainConfig(output="m", data=DataSpec(train="a.jsonl", valid="b.jsonl"))


def test_one_process_at_a_time(tmp_path: Path) -> None:
    state = tmp_path / "m" / "training"
    hold = (
        "import fcntl, sys\n"
        "with open(sys.argv[1], 'w') as f: fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)"
    )
    command = [sys.executable, "-c", hold, str(state / "lock")]
    with sole_run(state):
        again = sole_run(state)
        with pytest.raises(InputError, match="another process is training this model"):
            again.__enter__()
        assert b"BlockingIOError" in subprocess.run(command, capture_output=True).stderr
    assert subprocess.run(command, capture_output=True).returncode == 0


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below" / "it"):
        with pytest.raises(InputError, match="file: is a file; `output` names the folder to make"):
            check_writable(place)
        with pytest.raises(InputError, match="cannot be written"), sole_run(place):
            pass
    check_writable(tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed = 0, not 1"),
        ({"data": replace(CONFIG.data, text="translation_es")},
         'data.text = "text", not "translation_es"'),
        ({"training": TrainingSpec(ema=0.9)}, "training.ema = 0.0, not 0.9"),
        ({"model": ModelSpec(encoder=EncoderSpec(num_layers=9))},
         "model.encoder.num_layers = 18, not 9"),
        ({"model": ModelSpec(heads=(TransducerSpec(),))}, "model.heads.0 = another value"),
        ({"model": ModelSpec(heads=(CtcSpec(), TransducerSpec()))}, "model.heads = another value"),
        ({"model": ModelSpec(encoder=EncoderSpec(d_model=8, num_layers=9))},
         "model.encoder.d_model = 512, not 8 (and 1 more)"),
    ],
)  # fmt: skip
def test_another_run_is_not_gone_on_with(tmp_path: Path, change: dict, message: str) -> None:
    write_yaml(tmp_path / "config.yaml", CONFIG)
    with pytest.raises(InputError) as caught:
        check_same(tmp_path, replace(CONFIG, **change))
    assert message in str(caught.value)
    assert "choose another `output`, or remove this folder to begin anew" in str(caught.value)


def test_a_longer_run_on_more_data_is(tmp_path: Path) -> None:
    write_yaml(tmp_path / "config.yaml", CONFIG)
    longer = TrainingSpec(steps=20000, learning_rate=0.1, validate_every=5)
    check_same(tmp_path, replace(CONFIG, training=longer, data=replace(CONFIG.data, train="c")))


def test_a_configuration_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("output: m\nstep: 3\n")
    with pytest.raises(InputError, match=r"config\.yaml: step: unknown key.*to begin anew"):
        check_same(tmp_path, CONFIG)


def test_scores_come_back(tmp_path: Path) -> None:
    assert read_best(tmp_path) is None
    write_best(tmp_path, {"wer": 12.5, "loss": 1e-3})
    assert read_best(tmp_path) == {"wer": 12.5, "loss": 1e-3}


def test_a_whole_checkpoint_is_accepted(tmp_path: Path) -> None:
    WholeCheckpoints().save_checkpoint(
        {"callbacks": {}, "weights": torch.ones(10)}, tmp_path / LAST
    )
    check_checkpoint(tmp_path)


@pytest.mark.parametrize("content", [b"", b"abc" * 1000, None])
def test_a_damaged_checkpoint(tmp_path: Path, content: bytes | None) -> None:
    last = tmp_path / LAST
    torch.save({"callbacks": {}, "weights": torch.ones(1000)}, last)
    last.write_bytes(last.read_bytes()[:2000] if content is None else content)
    with pytest.raises(InputError) as caught:
        check_checkpoint(tmp_path)
    assert str(caught.value).startswith(f"{last}: is damaged or no checkpoint of foldformer (")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_program(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / LAST)
    with pytest.raises(InputError, match=r"no checkpoint of foldformer \(KeyError"):
        check_checkpoint(tmp_path)


class Unpicklable:
    def __reduce__(self) -> tuple:
        raise RuntimeError("in the middle of writing")


def test_an_interrupted_save_leaves_the_last_one(tmp_path: Path) -> None:
    keeper = WholeCheckpoints()
    keeper.save_checkpoint({"callbacks": 12}, tmp_path / LAST)
    with pytest.raises(RuntimeError, match="in the middle"):
        keeper.save_checkpoint({"a": torch.ones(9), "b": Unpicklable()}, tmp_path / LAST)
    kept = torch.load(tmp_path / LAST, weights_only=True)
    assert kept == {"callbacks": 12}
    assert [path.name for path in tmp_path.iterdir()] == [LAST]
