"""`foldformer compress`: fold, learn from the original, go on after a kill, refuse the rest."""

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import foldformer as api

Call = Callable[..., tuple[int, str, str]]
DEV = ("--data", "dev", "--valid", "dev")
LEARN = ("--training.validate_every", 4, "--training.save_every", 2, "--training.threads", 1)


@pytest.fixture
def data(corpus: Path) -> tuple[object, ...]:
    return ("--data", corpus / "train.jsonl.gz", "--valid", corpus / "dev.jsonl.gz", *LEARN)


def files(folder: Path) -> dict[str, bytes]:
    names = ("config.yaml", "model.safetensors", "tokens.txt")
    return {name: (folder / name).read_bytes() for name in names}


def test_folded_alone(model: Path, tmp_path: Path, call: Call) -> None:
    """An ordinary model folder, which says what it is; again, nothing is done; another start is."""
    output = tmp_path / "small"
    asked = ("compress", model, "--uses", 3, "--rank", 1, "--output", output)
    code, out, err = call(*asked)
    assert code == 0, err
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (model, output)]
    assert sizes[1] < sizes[0]
    shown = " -> ".join(f"{size / 1e6:.2f} MB" for size in sizes)
    assert f"folded: 3 layers of 1 sets of weights, {shown}\n" in out
    assert "it has not learnt from the original yet: expect several times its errors" in out
    recogniser = api.load(output)
    assert recogniser.model.spec.encoder.uses == 3
    card = (output / "README.md").read_text()
    assert f"    foldformer compress {model} --output {output} --uses 3 --rank 1\n" in card
    assert re.search(r"\| parameters \| [\d,]+ \| [\d,]+ \|\n", card)
    before = files(output)
    code, out, _ = call(*asked)
    assert code == 0
    assert f"folded before: {output}\n" in out
    assert files(output) == before
    assert call(*asked, "--start", "average")[0] == 0
    assert files(output)["model.safetensors"] != before["model.safetensors"]
    (output / "model.safetensors").write_bytes(b"damaged")
    assert call(*asked)[0] == 0
    assert files(output) == before
    assert sorted(path.name for path in output.iterdir()) == [
        "README.md", "compress.yaml", "config.yaml", "model.safetensors", "tokens.txt",
    ]  # fmt: skip


def test_a_fold_that_saves_nothing(
    model: Path, tmp_path: Path, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    """It is made, as asked, and said to be no smaller."""
    asked = ("compress", model, "--uses", 3, "--output")
    for name, rank, words in (("small", 1, 0), ("large", 16, 1)):
        code, _, err = call(*asked, tmp_path / name, "--rank", rank)
        assert code == 0, err
        assert caplog.text.count("the folded model is no smaller: share between more") == words


def test_killed_in_the_middle_it_goes_on_to_the_same_weights(
    model: Path, tmp_path: Path, data: tuple[object, ...], call: Call, start
) -> None:
    """Fold, average of the weights and all that is learnt; a plan of one's own."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump({"uses": [3], "linear": {"kind": "residual", "rank": 1}}))
    command = ("compress", model, "--plan", plan, *data, "--steps", 12)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    code, out, err = call(*command, "--output", whole)
    assert code == 0, err
    assert f"learning from {model}: 12 steps\n" in out
    assert re.search(rf"model: {whole}, [\d.]+ MB -> [\d.]+ MB\n", out)
    process = start(*command, "--output", killed, stderr=subprocess.PIPE)
    while not (killed / "training" / "last.ckpt").exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    fold = killed / "training" / "fold"
    written = (fold / "model.safetensors").stat().st_mtime_ns
    code, out, err = call(*command, "--output", killed)
    assert code == 0, err
    assert f"folded before: {fold}\n" in out
    assert (fold / "model.safetensors").stat().st_mtime_ns == written
    assert files(fold) == files(whole / "training" / "fold")
    assert files(killed) == files(whole)
    states = [
        torch.load(folder / "training" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (whole, killed)
    ]
    assert states[0].keys() == states[1].keys()
    assert not [name for name in states[0] if "distillation" in name or "teacher" in name]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])

    card = (whole / "README.md").read_text()
    assert "## Origin" in card
    assert "| validation |" in card
    said = yaml.safe_load((whole / "training" / "config.yaml").read_text())
    assert said["training"]["distillation"]["teacher"] == str(model)
    assert said["training"]["chunks"] == ["320ms", "640ms"]  # as the original was trained
    assert said["data"]["max_duration"] == 30
    assert said["data"]["augmentation"] is None

    code, _, err = call("compress", model, "--uses", 3, "--output", whole, *data)
    assert code == 2
    assert f"{whole}: holds a model that was made in another way: plan differs" in err

    elsewhere = model / ".." / model.name
    code, out, err = call("compress", elsewhere, *command[2:], "--output", whole)
    assert code == 0, err  # the same original, spelled otherwise
    assert f"folded before: {whole / 'training' / 'fold'}\n" in out

    for forget in (lambda: None, lambda: shutil.rmtree(whole / "training")):
        forget()
        alone = ("compress", model, "--plan", plan, "--calibration", data[1], "--output", whole)
        code, out, err = call(*alone)
        assert (code, out) == (2, "")
        assert err == (
            f"foldformer: error: {whole}: holds a model that has learnt, which a fold alone would "
            "replace; give its --data again, or choose another --output\n"
        )
        assert files(whole) == files(killed)


def test_a_model_that_knows_nothing_of_its_training(
    model: Path, tmp_path: Path, data: tuple[object, ...], call: Call
) -> None:
    """As from the hub. Keys of a file hold, those of the command line over them."""
    bare = tmp_path / "bare"
    shutil.copytree(model, bare, ignore=shutil.ignore_patterns("training"))
    recovery = tmp_path / "recovery.yaml"
    said = {"data": {"max_duration": 20, "max_utterance": 15}, "training": {"steps": 9}}
    recovery.write_text(yaml.safe_dump(said))
    output = tmp_path / "small"
    code, _, err = call(
        "compress", bare, "--uses", 3, "--output", output, *data,
        "--config", recovery, "--steps", 2, "--data.max_utterance", 14,
    )  # fmt: skip
    assert code == 0, err
    config = yaml.safe_load((output / "training" / "config.yaml").read_text())
    assert config["training"]["steps"] == 2
    assert (config["data"]["max_duration"], config["data"]["max_utterance"]) == (20, 14)
    assert config["data"]["augmentation"] is not None


def changed(model: Path, into: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> Path:
    """A copy of a model with one weight, or all of them, in another way."""
    shutil.copytree(model, into, ignore=shutil.ignore_patterns("training"))
    weights = load_file(model / "model.safetensors")
    save_file({name: change(w) for name, w in weights.items()}, into / "model.safetensors")
    return into


def test_models_that_cannot_be_compressed(model: Path, tmp_path: Path, call: Call) -> None:
    nan = changed(model, tmp_path / "nan", lambda w: w * torch.nan)
    half = changed(model, tmp_path / "half", lambda w: w.half())
    foreign = tmp_path / "bert"
    foreign.mkdir()
    (foreign / "config.json").write_text("{}")
    for folder, message in (
        (nan, r"holds NaN or infinite numbers; the file is damaged, or training failed"),
        (half, r"model.safetensors: weight .* is of type torch.float16, expected torch.float32"),
        (foreign, r"bert: has no safetensors file; save the model with model.save_pretrained"),
        (tmp_path / "none", r"none: no such folder; expected a model folder"),
    ):
        output = tmp_path / "out"
        code, _, err = call("compress", folder, "--uses", 3, "--output", output)
        assert code == 2
        assert re.search(message, err), err
        assert err.count("\n") == 1
        assert not output.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--plan or --uses: one of them is needed"),
        (["--uses", 2], r"--uses: 3 layers are not divisible by 2; possible: 3, or a plan"),
        (["--uses", 1], r"--uses: 3 layers are not divisible by 1; possible: 3, or a plan"),
        (["--uses", 3, "--rank", 33], r"--uses: linear: rank: 33 is larger than the matrix allows"),
        (["--uses", 3, "--rank", -1], r"rank: expected 0 or more, got -1"),
        (["--plan", "long"], r"plan.yaml: uses: \[3, 3\] add up to 6 layers, and the model has 3"),
        (["--plan", "named"], r"plan.yaml: linears.qury: no such matrix; did you mean 'query'"),
        (["--plan", "typo"], r"plan.yaml: use: unknown key; did you mean 'uses'"),
        (["--plan", "long", "--uses", 3], r"--uses: stands in the plan; give --plan or --uses"),
        (["--uses", 3, "--steps", 5], r"for learning; give --data as well"),
        (["--uses", 3, "--training.steps", 5], r"for learning; give --data as well"),
        (["--uses", 3, "--strategy", "fsdp"], r"for learning; give --data as well"),
        (["--uses", 3, "--devices", 2], r"for learning; give --data as well"),
        (["--uses", 3, "--data.train", 5], r"data.train: expected a manifest or a list .*, got 5"),
        (["--uses", 3, "--data.train", "[a, 1]"], r"data.train: expected a manifest or a list"),
        (["--uses", 3, "--config", "none yet"], r"data.train: expected a manifest .* got None"),
        (["--uses", 3, "--data", "empty"], r"empty.jsonl: is empty; expected a Lhotse manifest"),
        (["--uses", 3, "--calibration", "empty"], r"empty.jsonl: is empty; expected a Lhotse"),
        (["--uses", 3, "--calibration", "none"], r"none.jsonl: no such file"),
        (["--uses", 3, "--data", "dev"], r"error: --valid: is needed with --data: recordings to m"),
        (["--uses", 3, "--data", "dev", "--training.stepz", 5], r"recovery: training.stepz: unkno"),
        (["--uses", 3, *DEV, "--steps", 0], r"steps: expected 1 or more, got 0"),
        (["--uses", 3, *DEV, "--training.stepz", 5], r"recovery: training.stepz: unknown key; did"),
        (
            ["--uses", 3, *DEV, "--model.encoder.uses", 1],
            r"recovery: model.encoder.uses: is given by the model",
        ),
    ],
)
def test_arguments_that_do_not_fit(
    arguments: list[Any], message: str, model: Path, corpus: Path, tmp_path: Path, call: Call
) -> None:
    """One line, and nothing is written."""
    plans = {
        "long": {"uses": [3, 3]},
        "named": {"uses": [3], "linears": {"qury": {"kind": "dense"}}},
        "typo": {"use": [3]},
    }
    for name, said in plans.items():
        if name in arguments:
            (tmp_path / "plan.yaml").write_text(yaml.safe_dump(said))
            arguments = [tmp_path / "plan.yaml" if a == name else a for a in arguments]
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "recovery.yaml").write_text("data: {train: }\n")
    names = {"empty": tmp_path / "empty.jsonl", "none": tmp_path / "none.jsonl"}
    names["none yet"] = tmp_path / "recovery.yaml"
    names["dev"] = corpus / "dev.jsonl.gz"
    output = tmp_path / "out"
    code, _, err = call(
        "compress", model, "--output", output, *[names.get(str(a), a) for a in arguments]
    )
    assert code == 2
    assert re.search(message, err), err
    assert err.count("\n") == 1
    assert not output.exists()


def test_folders_that_hold_something_else(model: Path, tmp_path: Path, call: Call) -> None:
    before = files(model)
    code, _, err = call("compress", model, "--uses", 3, "--output", model)
    assert code == 2
    assert "holds another model, which was not made by this command; choose another" in err
    assert files(model) == before
    for name in ("README.md", "tokens.txt"):  # of a project, say
        project = tmp_path / name.partition(".")[0]
        project.mkdir()
        (project / name).write_text("mine\n")
        code, _, err = call("compress", model, "--uses", 3, "--output", project)
        assert code == 2
        assert err == (
            f"foldformer: error: {project / name}: would be replaced, and was not made by this "
            "command; let --output name a new folder\n"
        )
        assert [each.name for each in project.iterdir()] == [name]
        assert (project / name).read_text() == "mine\n"
    (tmp_path / "file").touch()
    code, _, err = call("compress", model, "--uses", 3, "--output", tmp_path / "file")
    assert code == 2
    assert "file: cannot be written: it is a file, not a folder" in err
