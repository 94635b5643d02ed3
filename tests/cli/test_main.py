"""The command: what it imports, and how errors become one line."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

import foldformer
from foldformer.cli import describe
from foldformer.cli._training import parse_settings
from foldformer.cli.main import build_parser, main
from foldformer.errors import InputError, SpecError, Stopped

HEAVY = {"torch", "lhotse", "lightning", "sentencepiece", "sacrebleu", "onnx", "numpy", "soundfile"}


def imported_by(code: str) -> set[str]:
    """The heavy modules in memory after a piece of code, in a fresh process."""
    program = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return HEAVY & set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("words", ["--help", "train --help", "corpus composed --help"])
def test_help_imports_nothing_heavy(words: str) -> None:
    assert not imported_by(
        "from foldformer.cli.main import main\n"
        f"try: main({words.split()})\nexcept SystemExit as end: assert end.code == 0"
    )


def test_the_package_imports_nothing_heavy() -> None:
    assert not imported_by("import foldformer")


def test_a_recogniser_needs_no_training_library() -> None:
    found = imported_by("import foldformer.cli.transcribe, foldformer\nfoldformer.load")
    assert not found & {"lhotse", "lightning", "sacrebleu", "sentencepiece", "onnx"}


def test_public_names() -> None:
    for name in foldformer.__all__:
        assert getattr(foldformer, name).__doc__
    misspelt = "laod"
    with pytest.raises(AttributeError, match="has no attribute 'laod'"):
        getattr(foldformer, misspelt)


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    for verb in ("train", "evaluate", "transcribe", "describe", "corpus"):
        assert f"\n    {verb}" in out


@pytest.mark.parametrize("where", [["describe", "--help"], ["train", "x.yaml", "--help"]])
def test_help_of_a_verb(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(where)
    assert end.value.code == 0
    assert f"usage: foldformer {where[0]} " in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--debug", "describe", "x"], ["describe", "x", "--debug"]])
def test_debug_may_stand_anywhere(words: list[str]) -> None:
    assert build_parser().parse_args(words).debug


def test_debug_among_settings() -> None:
    words = ["train", "a.yaml", "--seed", "3", "--debug", "--output=m"]
    args, settings = build_parser().parse_known_args(words)
    assert args.debug
    assert settings == ["--seed", "3", "--output=m"]


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("a.wav: is empty"), 2, "foldformer: error: a.wav: is empty"),
        (SpecError("rank: too large"), 2, "foldformer: error: rank: too large"),
        (ModuleNotFoundError("No module", name="lhotse.cut"), 2,
         "foldformer: error: lhotse is not installed; it comes with: "
         "pip install 'foldformer[train]'"),
        (OSError(28, "No space left on device", "m/last.ckpt"), 2,
         "foldformer: error: m/last.ckpt: No space left on device"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't "
                      "allocate memory: you tried to allocate 64000000000000 bytes."), 2,
         "foldformer: error: there is not enough memory; take a smaller model, smaller batches "
         "(data.max_duration) or shorter segments (--segment)"),
        (KeyboardInterrupt(), 130, "foldformer: interrupted"),
        (Stopped(15, "stopped after step 3"), 143, "foldformer: stopped after step 3"),
    ],
)  # fmt: skip
def test_errors_are_one_line(
    error: BaseException,
    code: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(args: argparse.Namespace) -> None:
        raise error

    monkeypatch.setattr(describe, "run", fail)
    assert main(["describe", "x"]) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"{line}\n")


@pytest.mark.parametrize(
    ("package", "extra"),
    [("torch", "transformers"), ("transformers", "transformers"), ("jinja2", "train"),
     ("onnx", "export"), ("sherpa_onnx", "device")],
)  # fmt: skip
def test_the_extra_that_is_named_brings_what_is_missing(
    package: str, extra: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a verb with an extra of its own, as it is for a model of transformers."""

    def fail(args: argparse.Namespace) -> None:
        args.extra = "transformers"
        raise ModuleNotFoundError("No module", name=package)

    monkeypatch.setattr(describe, "run", fail)
    assert main(["describe", "x"]) == 2
    assert f"pip install 'foldformer[{extra}]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        ValueError("ours"),
        RuntimeError("ours"),
        ModuleNotFoundError("x", name="x"),
        OSError("no file"),
    ],
)
def test_our_own_mistakes_are_not_hidden(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(args: argparse.Namespace) -> None:
        raise error

    monkeypatch.setattr(describe, "run", fail)
    with pytest.raises(type(error)):
        main(["describe", "x"])


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(InputError):
        main(["describe", str(Path("none.yaml")), "--debug"])


def test_output_into_a_closed_pipe() -> None:
    """`foldformer ... | head -1` ends without a word."""
    command = f"{sys.executable} -m foldformer.cli.main describe paper-k3-r2 | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""


def test_settings() -> None:
    words = ["--training.steps", "5", "--output=a=b", "--data.augmentation", "null", "--x", "-1"]
    assert parse_settings(words) == [
        ("training.steps", "5"),
        ("output", "a=b"),
        ("data.augmentation", "null"),
        ("x", "-1"),
    ]


def test_several_manifests() -> None:
    words = ["compress", "m", "--output", "o", "--data", "a", "b", "--data", "c", "--seed", "3"]
    args, settings = build_parser().parse_known_args(words)
    assert args.data == ["a", "b", "c"]
    assert settings == ["--seed", "3"]


def test_settings_may_stand_before_the_arguments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The value of a setting is never taken for the file."""
    path = tmp_path / "a.yaml"
    path.write_text("training: {}\n")
    assert main(["train", "--training.steps", "7", str(path)]) == 2
    assert f"{path}: output: missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["training.steps", "5"], "expected a setting like --training.steps 2000"),
        (["--a", "1", "--training.steps"], "--training.steps: has no value"),
        (["--"], "expected a setting"),
    ],
)
def test_what_is_no_setting(words: list[str], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_settings(words)
