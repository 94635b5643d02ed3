"""The folder of a run: for one process, for the same run again, never half-written."""

import errno
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from foldformer.errors import InputError
from foldformer.train.state import (
    LAST,
    STATE,
    WholeCheckpoints,
    check_checkpoint,
    check_writable,
    sole_run,
)


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


def test_a_killed_run_holds_the_folder_no_longer(tmp_path: Path) -> None:
    """Although the processes that prepared its batches are still there."""
    run = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from foldformer.train.state import sole_run\n"
        "with sole_run(Path(sys.argv[1])):\n"
        "    child = os.fork()\n"
        "    if child: print(child, flush=True)\n"
        "    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", run, str(tmp_path / "training")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        with pytest.raises(InputError, match="another process"), sole_run(tmp_path / "training"):
            pass
        process.kill()
        process.wait()
        os.kill(child, 0)  # alive
        with sole_run(tmp_path / "training"):
            pass
        os.kill(child, signal.SIGKILL)


def test_what_a_killed_run_was_writing_is_cleared_away(tmp_path: Path) -> None:
    state = tmp_path / "m" / "training"
    for place in (state, state.parent):
        (place / ".partial-ab12").mkdir(parents=True)
        (place / ".partial-ab12" / "half").write_bytes(b"abc")
    with sole_run(state):
        assert [path.name for path in state.parent.rglob("*")] == ["training", "lock"]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below" / "it"):
        with pytest.raises(InputError, match="file: is a file; `output` names the folder to make"):
            check_writable(place)
        with pytest.raises(InputError, match="cannot be written"), sole_run(place):
            pass
    check_writable(tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["README.md", "config.yaml", "model.safetensors"])
def test_what_was_not_trained_here_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=f"{name}: would be replaced, and was not made by"):
        check_writable(tmp_path)
    (tmp_path / STATE).mkdir()
    check_writable(tmp_path)


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


class Malicious:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self._path,)


def test_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    """What pickle would execute is refused: the files in a folder may come from anybody."""
    harm = tmp_path / "harm"
    torch.save({"callbacks": {}, "a": Malicious(harm)}, tmp_path / LAST)
    with pytest.raises(InputError, match=r"no checkpoint of foldformer \(UnpicklingError"):
        check_checkpoint(tmp_path)
    (tmp_path / LAST).write_bytes(pickle.dumps({"callbacks": Malicious(harm)}))
    with pytest.raises(InputError, match=r"no checkpoint of foldformer \("):
        check_checkpoint(tmp_path)
    assert not harm.exists()


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


@pytest.mark.parametrize(
    ("number", "what"),
    [(errno.ENOSPC, "No space left on device"), (errno.EACCES, "Permission denied")],
)
def test_what_cannot_be_written_leaves_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, what: str
) -> None:
    """As the system says it, in the middle of a checkpoint or before its first byte."""

    def refuse(*args: object, **named: object) -> None:
        raise OSError(number, os.strerror(number))

    keeper = WholeCheckpoints()
    keeper.save_checkpoint({"callbacks": 12}, tmp_path / LAST)
    place = "os.fsync" if number == errno.ENOSPC else "tempfile.mkdtemp"
    monkeypatch.setattr(place, refuse)
    with pytest.raises(InputError) as caught:
        keeper.save_checkpoint({"callbacks": 13}, tmp_path / LAST)
    assert str(caught.value) == f"{tmp_path}: cannot be written: {what}"
    assert torch.load(tmp_path / LAST, weights_only=True) == {"callbacks": 12}
    assert [path.name for path in tmp_path.iterdir()] == [LAST]
