"""Closed and full streams, signals, odd names, and outputs that are inputs."""

import argparse
import errno
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from foldformer.cli import _process, describe
from foldformer.cli._model_arguments import frames_of
from foldformer.cli._outputs import check_outputs
from foldformer.cli.main import main
from foldformer.errors import SpecError

COMMAND = f"{sys.executable} -m foldformer.cli.main"


def shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True)


@pytest.fixture
def sole_handlers() -> Iterator[None]:
    """The handlers that the system gives, whatever those of the tests are."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed(closed: str) -> None:
    done = shell(f"{COMMAND} describe none.yaml {closed}")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == ("" if "2>" in closed else "foldformer: error: none.yaml: no such file\n")


def test_what_is_opened_next_does_not_become_standard_output(tmp_path: Path) -> None:
    """A library would print into a model: the number of a closed stream is the next to be had."""
    program = (
        "import os, sys; from foldformer.cli import _process; _process.open_streams(); "
        f"file = open({str(tmp_path / 'model')!r}, 'wb'); os.write(1, b'noise'); print('noise')"
    )
    done = shell(f"{sys.executable} -c {shlex.quote(program)} >&-")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "model").read_bytes() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
def test_standard_output_that_is_full() -> None:
    program = (
        "import sys; from foldformer.cli import describe, main; "
        "describe.run = lambda args: print('x' * 100); sys.exit(main.main(['describe', 'x']))"
    )
    done = shell(f'{sys.executable} -c "{program}" > /dev/full')
    assert done.returncode == 2
    assert done.stderr == (
        "foldformer: error: standard output or a temporary file cannot be written: No space left "
        "on device; make room, or name another folder in TMPDIR\n"
    )


def test_no_folder_for_temporary_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(args: argparse.Namespace) -> None:
        monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/none"])
        monkeypatch.setattr(tempfile, "tempdir", None)
        tempfile.mkdtemp()

    monkeypatch.setattr(describe, "run", fail)
    assert main(["describe", "x"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "No usable temporary directory found in ['/none']; make room, or name" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("sole_handlers")
def test_signals_let_it_clear_up(
    number: signal.Signals,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from foldformer.files import complete_files

    def work(args: argparse.Namespace) -> None:
        with complete_files(tmp_path) as beside:
            (beside / "half").touch()
            os.kill(os.getpid(), number)
            raise AssertionError("it went on")

    monkeypatch.setattr(describe, "run", work)
    assert main(["describe", "x"]) == 128 + number
    assert capsys.readouterr().err == "foldformer: stopped\n"
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.usefixtures("sole_handlers")
def test_signals_that_are_ignored_stay_so() -> None:
    """As under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with _process.ended_in_order():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_name_with_lines_and_commands_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "a\nb\x1b[2J\u2028c.yaml"]) == 2
    err = capsys.readouterr().err
    assert err == "foldformer: error: a\\nb\\x1b[2J\\u2028c.yaml: no such file\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["transcribe", "m", "a", "--beam", "x"],
         "argument --beam: invalid int value: 'x'; see foldformer transcribe --help"),
        (["describe"],
         "the following arguments are required: CONFIG_OR_PRESET; see foldformer describe --help"),
    ],
)  # fmt: skip
def test_arguments_are_refused_in_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert capsys.readouterr().err == f"foldformer: error: {message}\n"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_too_many_open_files_are_no_lack_of_room(number: int) -> None:
    reason = _process.reason_of(OSError(number, os.strerror(number)))
    assert reason == (
        f"no more files can be opened: {os.strerror(number)}; allow more of them with `ulimit -n`, "
        "or end other programs"
    )


@pytest.mark.parametrize("text", ["0s", "abc", "", "nan", "-1s", "1" * 400 + "s"])
def test_durations_name_their_option(text: str) -> None:
    with pytest.raises(SpecError, match=r"^chunk: "):
        frames_of("chunk", text)


def test_nothing_that_is_read_is_written_over(tmp_path: Path) -> None:
    manifest, model = tmp_path / "test.jsonl", tmp_path / "model"
    model.mkdir()
    (model / "config.yaml").touch()
    manifest.touch()
    (tmp_path / "link").symlink_to(manifest)
    inputs = [None, model, str(manifest)]
    for output in (manifest, tmp_path / "link", model / ".." / "model" / "config.yaml"):
        with pytest.raises(SpecError, match=r"^--html: .* would be written over .*, which is read"):
            check_outputs({"--output": None, "--html": output}, inputs)
    check_outputs({"--output": tmp_path / "new", "--html": model / "page.html"}, inputs)
    with pytest.raises(SpecError, match="--output and --html: name the same file"):
        check_outputs({"--output": tmp_path / "new", "--html": tmp_path / "new"}, inputs)


def test_a_training_does_not_write_over_its_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"output: {tmp_path}\ndata: {{train: a.jsonl, valid: b.jsonl}}\nmodel: {{}}\n")
    before = path.read_text()
    assert main(["train", str(path)]) == 2
    err = capsys.readouterr().err
    assert f"would be written over {path}, which says how to train it" in err
    assert path.read_text() == before
    assert [each.name for each in tmp_path.iterdir()] == ["config.yaml"]
