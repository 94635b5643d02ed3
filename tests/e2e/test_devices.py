"""Training on several devices by the real command: here two processes of a CPU."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

Write = Callable[..., Path]
SHORT = {"steps": 3000, "validate_every": 3, "warmup": 2}


def children(process: int) -> list[int]:
    """The training processes of a command, in order of rank."""
    found = psutil.Process(process).children()
    return sorted(each.pid for each in found if "spawn_main" in " ".join(each.cmdline()))


def test_a_process_that_is_killed_ends_the_run_and_one_device_goes_on(
    tmp_path: Path,
    write_config: Write,
    call,
    start,
    ended: Callable[[int], bool],
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = write_config(tmp_path, training=SHORT, model={"heads": [{"kind": "ctc"}]})
    last = tmp_path / "model" / "training" / "last.ckpt"
    process = start("train", path, "--devices", 2, stderr=subprocess.PIPE)
    while not last.exists():
        assert process.poll() is None
        time.sleep(0.02)
    ranks = children(process.pid)
    assert len(ranks) == 2
    os.kill(ranks[1], signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.splitlines()[-1] == (
        "foldformer: error: training process 2 of 2 was killed by SIGKILL (often memory ran out); "
        "the same command goes on from the last saved step"
    )
    assert "Traceback" not in err
    assert all(map(ended, ranks))
    step = torch.load(last, weights_only=True)["global_step"]
    assert step % 3 == 0
    code, out, err = call("train", path, "--training.steps", step + 4, "--accept-changes")
    assert code == 0, err
    assert "goes on with 1 training process in place of 2" in caplog.text
    assert out.startswith("best validation: step ")
    assert torch.load(last, weights_only=True)["global_step"] == step + 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--devices", 0], "--devices: expected 1 or more, got 0"),
        (["--nodes", -1], "--nodes: expected 1 or more, got -1"),
        (["--nodes", 2], "--nodes 2: NODE_RANK and MASTER_ADDR not set in the environment"),
        (["--strategy", "zero"], "argument --strategy: invalid choice: 'zero'"),
    ],
)
def test_wrong_numbers_are_refused_at_once(
    tmp_path: Path, write_config: Write, call, arguments: list[object], message: str
) -> None:
    code, _, err = call("train", write_config(tmp_path), *arguments)
    assert code == 2
    assert message in err.splitlines()[-1]
    assert not (tmp_path / "model").exists()


def test_the_command_takes_the_place_that_srun_gives_it(
    tmp_path: Path, write_config: Write, call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of two tasks, started without the first, must not train alone."""
    for name, value in {"PROCID": 1, "LOCALID": 1, "NODEID": 0, "STEP_NUM_TASKS": 2}.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    monkeypatch.setenv("SLURM_STEP_NUM_NODES", "1")
    monkeypatch.setenv("SLURM_STEP_NODELIST", "localhost")
    code, _, err = call("train", write_config(tmp_path), "--devices", 4)
    assert code == 2
    assert "--devices: 4 asked for, but torchrun or srun has started the processes for 2" in err
