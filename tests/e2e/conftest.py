"""A tiny corpus and a tiny model, made once by the real command, and ways to call it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from foldformer.cli.main import main

Command = Callable[..., subprocess.CompletedProcess[str]]
Call = Callable[..., tuple[int, str, str]]

MODEL = {
    "encoder": {
        "d_model": 32,
        "num_layers": 3,
        "uses": 3,
        "mixer": {"kind": "attention", "num_heads": 2},
        "feed_forward": {"kind": "dense", "d_ff": 64},
        "linear": {"kind": "residual", "rank": 2},
        "subsampling": {"channels": 16},
        "left_context": 32,
    },
    "heads": [
        {"kind": "ctc"},
        {"kind": "transducer", "predictor_dim": 16, "joiner_dim": 16, "weight": 0.5},
    ],
}
TRAINING = {
    "steps": 30,
    "warmup": 5,
    "learning_rate": 0.005,
    "validate_every": 20,
    "threads": 1,
    "chunks": ["320ms", "640ms"],
}


@pytest.fixture(scope="session")
def start() -> Callable[..., subprocess.Popen[str]]:
    """Start the command in a process of its own, with options of Popen."""

    def begin(*args: object, **options: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "foldformer.cli.main", *map(str, args)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80"}
        return subprocess.Popen(command, text=True, env=environment, **options)

    return begin


@pytest.fixture(scope="session")
def foldformer(start: Callable[..., subprocess.Popen[str]]) -> Command:
    """Run the command in a process of its own, as a user does, to its end."""

    def run(*args: object, **options: object) -> subprocess.CompletedProcess[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = start(*args, **{**pipes, **options})
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    """Run the command in this process, which is quicker: exit code, stdout, stderr."""

    def run(*args: object) -> tuple[int, str, str]:
        capfd.readouterr()
        try:
            code = main([str(arg) for arg in args])
        except SystemExit as end:  # argparse
            code = int(end.code or 0)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, foldformer: Command) -> Path:
    folder = tmp_path_factory.mktemp("e2e") / "corpus"
    sizes = ("--hours", 0.006, "--dev", 3, "--test", 4)
    done = foldformer("corpus", "composed", folder, "--languages", "en", *sizes)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def write_config(corpus: Path) -> Callable[..., Path]:
    """Write a training YAML beside its output: `write_config(folder, training={"steps": 3})`."""

    def write(folder: Path, name: str = "model", **parts: dict) -> Path:
        data = {
            "output": str(folder / name),
            "data": {
                "train": str(corpus / "train.jsonl.gz"),
                "valid": str(corpus / "dev.jsonl.gz"),
                "max_duration": 30,
                "augmentation": None,
            },
            "model": MODEL,
            "training": TRAINING,
        }
        for key, values in parts.items():
            data[key] = {**data.get(key, {}), **values}
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(data))
        return path

    return write


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    foldformer: Command,
    write_config: Callable[..., Path],
) -> subprocess.CompletedProcess[str]:
    """The training of `model`, with what it printed."""
    folder = tmp_path_factory.mktemp("trained")
    done = foldformer("train", write_config(folder), cwd=folder)
    assert done.returncode == 0, done.stderr
    done.args = folder / "model"
    return done


@pytest.fixture(scope="session")
def model(trained: subprocess.CompletedProcess[str]) -> Path:
    """The folder of a model with a CTC and a transducer head, trained for 30 steps."""
    return Path(str(trained.args))


@pytest.fixture(scope="session")
def recordings(corpus: Path) -> list[Path]:
    return sorted((corpus / "audio" / "en" / "test").glob("*.flac"))
