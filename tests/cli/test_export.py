"""`foldformer export`: what it asks for, and mistakes that are found before anything is traced."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from foldformer.checkpoint import ModelConfig
from foldformer.cli.main import main
from foldformer.data.tokens import Tokens
from foldformer.decode.recognizer import Recognizer
from foldformer.deploy import processor
from foldformer.deploy.export import make
from foldformer.deploy.folder import ExportSpec, ProductsSpec, SourceSpec, StreamSpec
from foldformer.model import Model

SYMBOLS = ["<blk>", "<unk>", "▁", "a", "b", "c", "d"]


@pytest.fixture
def folder(talkative: Model, tmp_path: Path) -> Path:
    """A model trained with chunks of 320 and 640 ms, which remembers 480 ms."""
    config = ModelConfig(model=talkative.spec, chunks=(8, 16))
    Recognizer(talkative, Tokens(SYMBOLS), config).save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the exporter is asked for; it writes one byte for each file."""
    found: dict[str, Any] = {}

    def export(model: Model, tokens: Tokens, config: ModelConfig, folder: Path, **options: Any):
        found.update(options, model=model, tokens=tokens, folder=folder)
        streams, head = options["stream"] is not None, options["head"] or "ctc"
        spec = ExportSpec(
            kind=f"{'streaming' if streams else 'offline'}-{head}",
            model_type="zipformer2",
            vocab_size=tokens.vocab_size,
            stream=options["stream"],
            precision=options["precision"],
            reduce_range=options["reduce_range"],
            products=ProductsSpec(integer=1, total=1) if options["precision"] == "int8" else None,
            weight_bytes=1,
            difference=1e-6,
            source=SourceSpec(
                name="model", trained=options["trained"], parameters=7, foldformer="0"
            ),
        )
        folder.mkdir()
        for name in spec.files:
            (folder / name).write_bytes(b" ")
        return spec

    monkeypatch.setattr(make, "export", export)
    return found


def run(*words: object) -> int:
    return main(["export", *map(str, words)])


def test_offline_by_default(
    folder: Path, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder) == 0
    out = folder.resolve().with_name("model-offline-ctc-fp32")
    assert (asked["stream"], asked["head"], asked["precision"]) == (None, None, "fp32")
    assert (asked["folder"], asked["name"], asked["trained"]) == (out, "model", True)
    assert capsys.readouterr().out == (
        f"{out / 'model.onnx'}: 1 bytes\n"
        "weights: 7 numbers, each stored once, in 1 bytes; all else: 0 bytes\n"
        "largest difference to PyTorch: 1.0e-06 of the largest output\n"
        f"export: {out}\n"
        f"next: foldformer transcribe {out} RECORDING.wav\n"
    )


def test_what_differs_is_in_the_default_name(folder: Path, asked: dict[str, Any]) -> None:
    """So that several exports of a model lie side by side."""
    names = set()
    for words in ([], ["--states", "int8"], ["--left-context", "80ms"], ["--chunk", "640ms"]):
        assert run(folder, "--streaming", *words) == 0
        names.add(asked["folder"].name)
    assert names == {
        "model-streaming-320ms-ctc-fp32",
        "model-streaming-320ms-ctc-fp32-states-int8",
        "model-streaming-320ms-ctc-fp32-left-80ms",
        "model-streaming-640ms-ctc-fp32",
    }


def test_the_card_of_the_model_goes_along(folder: Path, asked: dict[str, Any]) -> None:
    assert run(folder) == 0
    assert asked["card"] is None
    for encoding, text in {"utf-8": "licence: ß", "latin-1": "licence: \ufffd"}.items():
        (folder / "README.md").write_text("licence: ß", encoding=encoding)
        assert run(folder, "--streaming", "--output", folder.parent / encoding) == 0
        assert asked["card"] == text


@pytest.mark.parametrize(
    ("words", "stream"),
    [
        ((), StreamSpec(chunk=8, left_context=12)),
        (("--chunk", "640ms"), StreamSpec(chunk=16, left_context=12)),
        (("--states", "int8"), StreamSpec(chunk=8, left_context=12, states="int8")),
        (("--chunk", "0.32s", "--left-context", "80ms"), StreamSpec(chunk=8, left_context=2)),
    ],
)
def test_streaming(
    folder: Path,
    asked: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    words: tuple[str, ...],
    stream: StreamSpec,
) -> None:
    options = ("--head", "transducer", "--precision", "fp16", "--output", tmp_path / "out")
    assert run(folder, "--to", "sherpa-onnx", "--streaming", *words, *options) == 0
    assert (asked["stream"], asked["head"]) == (stream, "transducer")
    assert (asked["folder"], asked["precision"]) == (tmp_path / "out", "fp16")
    assert not caplog.records


def test_a_chunk_that_was_not_trained_is_a_warning(
    folder: Path, asked: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert run(folder, "--streaming", "--chunk", "160ms") == 0
    assert asked["stream"].chunk == 4
    assert caplog.messages == ["trained with 320ms, 640ms, not with chunks of 160ms"]


def test_a_preset_with_random_weights(
    asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("paper-k9-r16", "--random-weights", "--streaming") == 0
    assert asked["trained"] is False
    assert asked["stream"] == StreamSpec(chunk=8, left_context=128)
    assert asked["folder"] == Path("paper-k9-r16-streaming-320ms-transducer-fp32")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none",), "none: no such folder; expected a model folder"),
        (("paper-dense",), "paper-dense is a preset, which has no weights: --random-weights"),
        (("paper-dens", "--random-weights"), "unknown 'paper-dens'; did you mean 'paper-dense'?"),
        (("model", "--chunk", "320ms"), "chunk: only a stream has one; add --streaming"),
        (("model", "--left-context", "1s"), "left-context: only a stream has one"),
        (("model", "--states", "int8"), "states: only a stream has one"),
        (("model", "--streaming", "--chunk", "100ms"), "no positive multiple of 40 ms"),
        (("model", "--streaming", "--left-context", "520ms"), "left-context: 520ms is more than"),
        (("model", "--head", "rnn"), "no 'rnn' head"),
        (("model", "--to", "onnxruntime"), "--to onnxruntime: is for a Whisper; foldformer's own"),
        (("model", "--output", "."), ".: is not empty; choose a new folder"),
    ],
)
def test_mistakes(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(folder.parent)
    before = sorted(folder.parent.rglob("*"))
    assert run(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert sorted(folder.parent.rglob("*")) == before


def half_written(folder: Path) -> None:
    """What a training leaves that has not come to its end."""
    for path in folder.iterdir():
        path.unlink()
    (folder / "training").mkdir()


def with_nan(path: Path) -> None:
    weights = load_file(path)
    weights["encoder.norm.weight"][0] = float("nan")
    save_file(weights, path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (half_written, "model/config.yaml: missing; a model folder needs"),
        (lambda f: (f / "model.safetensors").unlink(), "model.safetensors: missing"),
        (lambda f: (f / "tokens.txt").unlink(), "tokens.txt: no such file"),
        (
            lambda f: (f / "model.safetensors").write_bytes(
                (f / "model.safetensors").read_bytes()[:-9]
            ),
            "model.safetensors: is damaged or no safetensors file",
        ),
        (
            lambda f: with_nan(f / "model.safetensors"),
            "encoder.norm.weight: has numbers that are not finite; the model is damaged",
        ),
    ],
)
def test_models_that_are_untrained_damaged_or_half_written(
    folder: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], object], message: str
) -> None:
    damage(folder)
    out = folder.parent / "out"
    assert run(folder, "--output", out) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("foldformer: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not out.exists()


@pytest.mark.parametrize("cuts_off", [False, True])
@pytest.mark.parametrize("words", [(), ("--reduce-range",)])
def test_a_processor_that_cuts_off_products_is_a_warning(
    folder: Path,
    asked: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    cuts_off: bool,
) -> None:
    """Where weights go to 127; with the option they do not, and the folder's name says so."""
    monkeypatch.setattr(processor, "cuts_off_pairs", lambda: cuts_off)
    with caplog.at_level(logging.WARNING):
        assert run(folder, "--precision", "int8", *words) == 0
    reduced = bool(words)
    assert asked["reduce_range"] == reduced
    assert asked["folder"].name == "model-offline-ctc-int8" + "-reduce-range" * reduced
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (cuts_off and not reduced)
    assert all("less exact on this processor" in each and "--reduce-range" in each for each in said)


def test_a_range_is_reduced_of_whole_numbers_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder.parent / "out"
    assert run(folder, "--reduce-range", "--precision", "fp16", "--output", out) == 2
    assert (
        "reduce-range: is for weights in int8, and in fp16 there are none"
        in capsys.readouterr().err
    )
    assert not out.exists()


def test_precision_is_one_of_those_that_there_are(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run(folder, "--precision", "fp8")
    assert end.value.code == 2
    assert "invalid choice: 'fp8'" in capsys.readouterr().err
