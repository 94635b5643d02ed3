"""Whatever is wrong with an export, one line says so before a runtime sees it."""

import json
import math
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import onnx
import pytest
import yaml

from foldformer.cli.main import main
from foldformer.deploy.check import check_export
from foldformer.deploy.folder import ExportSpec, SourceSpec, StreamSpec
from foldformer.deploy.hotwords import Hotwords
from foldformer.deploy.runtime import Decoding, opening, try_apart
from foldformer.errors import InputError, SpecError
from foldformer.model import Model

Export = Callable[..., Path]
Damage = Callable[[Path], object]


@pytest.fixture
def copy(exported: Export, tmp_path: Path) -> Callable[..., Path]:
    def make(head: str = "ctc", streaming: bool = True) -> Path:
        shutil.copytree(exported(head, streaming), folder := tmp_path / "export")
        return folder

    return make


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change(path: Path, **keys: object) -> None:
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | keys))


def metadata(path: Path, key: str, value: str | None) -> None:
    model = onnx.load(path)
    kept = {each.key: each.value for each in model.metadata_props if each.key != key}
    model.ClearField("metadata_props")
    onnx.helper.set_model_props(model, kept | ({} if value is None else {key: value}))
    onnx.save(model, path)


def flip_a_bit(path: Path) -> None:
    """In the largest weight, where every number is as good as another."""
    model = onnx.load(path)
    weight = max(model.graph.initializer, key=lambda each: len(each.raw_data))
    damaged = bytearray(weight.raw_data)
    damaged[len(damaged) // 2] ^= 1
    weight.raw_data = bytes(damaged)
    onnx.save(model, path)


def swap_tokens(path: Path) -> None:
    """Two letters; the number of tokens stays."""
    text = path.read_text(encoding="utf-8")
    swapped = text.replace("a 3", "? 3").replace("ñ 6", "a 6").replace("? 3", "ñ 3")
    assert swapped != text
    path.write_text(swapped, encoding="utf-8")


def one_output_less(path: Path) -> None:
    model = onnx.load(path)
    del model.graph.output[-1]
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("head", "streaming"), [("ctc", True), ("ctc", False), ("transducer", True)]
)
def test_a_good_one(exported: Export, head: str, streaming: bool) -> None:
    spec, tokens = check_export(exported(head, streaming))
    assert (spec.head, spec.streams) == (head, streaming)
    assert tokens.vocab_size == spec.vocab_size


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "model.onnx").unlink(), r"model\.onnx: missing"),
        (lambda f: truncate(f / "model.onnx"), r"model\.onnx: is damaged .*bytes too early"),
        (lambda f: (f / "model.onnx").write_bytes(b""), r"model\.onnx: is damaged"),
        (lambda f: (f / "tokens.txt").unlink(), r"tokens\.txt: missing"),
        (lambda f: truncate(f / "tokens.txt"), r"tokens\.txt"),
        (lambda f: (f / "tokens.txt").write_text("<blk> 0\n<unk> 1\n"), "has 2 tokens"),
        (lambda f: (f / "export.yaml").write_text("format: 1\n"), r"export\.yaml: .*missing"),
        (lambda f: change(f / "export.yaml", format=99), "newer than this version"),
        (lambda f: change(f / "export.yaml", colour="red"), "colour"),
        (
            lambda f: change(f / "export.yaml", stream={"chunk": 8, "left_context": 10}),
            "metadata T: 16, expected 32",
        ),
        (
            lambda f: change(
                f / "export.yaml", kind="offline-ctc", model_type="zipformer_ctc", stream=None
            ),
            "the number of inputs and outputs",
        ),
        (lambda f: (f / "provider.cfg").write_text("arena off\n"), r"provider\.cfg: line 1"),
        (lambda f: (f / "provider.cfg").unlink(), r"provider\.cfg: missing"),
        (lambda f: metadata(f / "model.onnx", "T", None), "metadata T: missing"),
        (lambda f: metadata(f / "model.onnx", "T", "-16"), "metadata T: '-16'"),
        (lambda f: metadata(f / "model.onnx", "model_type", "conformer"), "model_type: conformer"),
        (lambda f: metadata(f / "model.onnx", "num_heads", "1"), "number of stacks"),
        (lambda f: one_output_less(f / "model.onnx"), "the number of inputs and outputs"),
        (
            lambda f: metadata(f / "model.onnx", "num_heads", "99999999999,2,2,2"),
            "metadata num_heads: '99999999999,2,2,2'",
        ),
        (lambda f: flip_a_bit(f / "model.onnx"), "damaged, or was changed after the export"),
        (lambda f: swap_tokens(f / "tokens.txt"), r"tokens\.txt: is damaged, or was changed"),
        (
            lambda f: change(f / "export.yaml", model_type="transducer"),
            r"model_type: expected zipformer2_ctc for streaming-ctc, got transducer",
        ),
        (
            lambda f: change(f / "export.yaml", sampling_rate=8000),
            "sampling_rate: expected 16000 for streaming-ctc, got 8000",
        ),
        (lambda f: change(f / "export.yaml", frame_ms=20), "frame_ms: expected 40"),
        (lambda f: change(f / "export.yaml", features={"num_mels": 40}), "features: expected "),
    ],
)
def test_a_damaged_one(copy: Callable[..., Path], damage: Damage, message: str) -> None:
    folder = copy()
    damage(folder)
    with pytest.raises(InputError, match=message):
        check_export(folder)


def test_options_that_were_changed(
    copy: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = copy()
    check_export(folder)
    assert not caplog.messages
    (folder / "provider.cfg").write_text("EnableCpuMemArena=1\n")
    check_export(folder)
    (message,) = caplog.messages
    assert message.startswith(f"{folder}/provider.cfg: its options are not those in export.yaml;")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: metadata(f / "decoder.onnx", "context_size", None), "context_size: missing"),
        (lambda f: metadata(f / "decoder.onnx", "vocab_size", "9"), "vocab_size: 9, expected 8"),
        (lambda f: metadata(f / "decoder.onnx", "context_size", "3"), "tokens of an input"),
        (lambda f: truncate(f / "joiner.onnx"), r"joiner\.onnx: is damaged"),
        (lambda f: shutil.copy(f / "decoder.onnx", f / "joiner.onnx"), r"joiner\.onnx: does not"),
    ],
)
def test_a_damaged_transducer(copy: Callable[..., Path], damage: Damage, message: str) -> None:
    folder = copy("transducer")
    damage(folder)
    with pytest.raises(InputError, match=message):
        check_export(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: truncate(f / "model.onnx"), "/model.onnx: is damaged or no ONNX file"),
        (lambda f: flip_a_bit(f / "model.onnx"), "/model.onnx: is damaged, or was changed"),
        (lambda f: metadata(f / "model.onnx", "T", None), "/model.onnx: does not fit export.yaml"),
        (lambda f: change(f / "export.yaml", format=99), "/export.yaml: format 99 is newer than"),
        (lambda f: change(f / "export.yaml", precision="int2"), "'int2' is none of"),
    ],
)
@pytest.mark.parametrize("verb", ["transcribe", "measure"])
def test_through_the_command(
    copy: Callable[..., Path],
    command: Callable[..., subprocess.CompletedProcess[str]],
    damage: Damage,
    message: str,
    verb: str,
) -> None:
    """In a process of its own, which a runtime that is handed such files may end."""
    folder = copy()
    damage(folder)
    ran = command(verb, folder, *(["a.wav"] if verb == "transcribe" else ["--seconds", "3"]))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith(f"foldformer: error: {folder}")
    assert message in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_described(
    copy: Callable[..., Path], model: Model, capfd: pytest.CaptureFixture[str]
) -> None:
    """What it is, and the model that it was made of; a damaged one is refused."""
    folder = copy()
    assert main(["describe", str(folder)]) == 0
    size = (folder / "model.onnx").stat().st_size / 1e6
    lines = capfd.readouterr().out.splitlines()
    assert lines[1:3] == [
        "export: streaming-ctc for sherpa-onnx, fp32, chunks of 160ms, remembering 400ms",
        f"  in fp32, a state of 0.03 MB; ONNX files {size:.2f} MB",
    ]
    assert main(["describe", str(folder), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["export"]["kind"] == "streaming-ctc"
    # Keys and values of two layers, the runtime's place for the subsampling, a count of frames.
    assert found["export_state_bytes"] == 4 * (2 * 2 * 10 * 16 + 7296) + 8
    assert found["total"]["parameters"] == sum(each.numel() for each in model.parameters())
    flip_a_bit(folder / "model.onnx")
    assert main(["describe", str(folder)]) == 2
    assert "was changed after the export" in capfd.readouterr().err


def test_an_export_is_no_model(exported: Export, capfd: pytest.CaptureFixture[str]) -> None:
    folder = exported("ctc", True)
    assert main(["export", str(folder)]) == 2
    assert capfd.readouterr().err == (
        f"foldformer: error: {folder} is an export; export the model that it was made of once "
        "more\n"
    )


def test_what_ends_the_runtime_ends_a_process_of_its_own(exported: Export) -> None:
    """Such as a file that nobody vouches for; here it is that of the tokens."""
    folder = exported("ctc", True)
    spec, _ = check_export(folder)
    how = opening(folder, spec, Decoding())
    try_apart(folder, how)
    how.options["tokens"] = str(folder / "none.txt")
    with pytest.raises(InputError, match=r"sherpa-onnx cannot open it \(.*none\.txt"):
        try_apart(folder, how)


@pytest.mark.parametrize(
    ("decoding", "message"),
    [
        (Decoding(threads=100_000), "threads: expected 1000 at most, got 100000"),
        (Decoding(beam=10**30), "beam: expected 1000 at most"),
        (Decoding(endpoint=math.nan), "endpoint: expected more than 0 seconds, got nan"),
        (Decoding(endpoint=math.inf), "endpoint: expected more than 0 seconds, got inf"),
        (Decoding(longest=math.nan), "longest: expected more than 0 seconds, got nan"),
        (
            Decoding(beam=4, hotwords=Hotwords(("a",), math.nan)),
            "hotwords: expected a finite score, got nan",
        ),
        (Decoding(memory=cast(Any, "tiny")), "memory: expected one of quick, small, system, got"),
        (Decoding(endpoint=cast(Any, "1s")), "endpoint: expected more than 0 seconds, got '1s'"),
        (Decoding(beam=4, hotwords=cast(Any, ["a"])), r"expected Hotwords\(phrases\), got list"),
    ],
)
def test_numbers_that_no_runtime_could_take(decoding: Decoding, message: str) -> None:
    spec = ExportSpec(
        kind="streaming-transducer",
        model_type="zipformer2",
        vocab_size=5,
        stream=StreamSpec(chunk=8, left_context=8),
        weight_bytes=4,
        difference=0.0,
        source=SourceSpec(name="a", trained=True, parameters=1, foldformer="0"),
    )
    with pytest.raises(SpecError, match=message):
        decoding.check(spec)


def test_without_its_description(
    copy: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    """It is still no model folder, and nobody needs PyTorch to be told."""
    (folder := copy()).joinpath("export.yaml").unlink()
    assert main(["transcribe", str(folder), "a.wav"]) == 2
    assert capfd.readouterr().err == (
        f"foldformer: error: {folder}/export.yaml: missing; is this an export? "
        "`foldformer export` makes one\n"
    )


def test_the_microphone_wants_a_stream(exported: Export, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", str(exported("ctc", False)), "--microphone"]) == 2
    assert "microphone: wants an export for streams" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("head", "streaming", "words", "message"),
    [
        ("ctc", True, ["--chunk", "320ms"], r"chunk: this export hears chunks of 160ms"),
        ("ctc", False, ["--chunk", "160ms"], r"chunk: this export hears whole recordings"),
        ("ctc", True, ["--head", "transducer"], r"head: this export has the head ctc alone"),
        ("ctc", True, ["--beam", "4"], "beam: sherpa-onnx searches a ctc export greedily"),
        ("ctc", True, ["--num-best", "2"], "num-best: "),
        ("ctc", False, ["--endpoint", "1s"], "endpoint: only a stream has one"),
        ("ctc", True, ["--threads", "0"], "threads: expected 1 or more, got 0"),
        ("ctc", True, ["--hotwords", "HOT", "--beam", "4"], "beam: "),
        ("transducer", True, ["--hotwords", "HOT"], "hotwords: they need several hypotheses"),
        ("transducer", True, ["--hotwords", "NONE", "--beam", "4"], "cannot be read"),
        ("transducer", True, ["--hotwords", "BAD", "--beam", "4"], "the model cannot write 'e'"),
        ("ctc", True, ["--microphone"], "microphone: listens instead of reading files"),
        ("ctc", True, ["--microphone-device", "3"], "microphone-device: is that of --microphone"),
        ("transducer", True, ["--hotwords-score", "3"], "hotwords-score: is that of the phrases"),
        ("ctc", False, ["--partial"], "partial: wants an export for streams"),
        ("ctc", True, ["--partial", "--format", "srt"], "partial: .* leave out --output, srt"),
        ("ctc", True, ["--partial", "--output", "OUT"], "partial: .* leave out --output, srt"),
        ("ctc", True, ["--partial", "--segment", "9s"], "segment: with --partial .* --endpoint"),
        ("ctc", True, ["--endpoint", "1e3"], "endpoint: '1e3' is no positive duration"),
        ("ctc", True, ["--endpoint", "0s"], "endpoint: '0s' is no positive duration"),
    ],
)
def test_what_an_export_cannot_do(
    exported: Export,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    head: str,
    streaming: bool,
    words: list[str],
    message: str,
) -> None:
    (tmp_path / "HOT").write_text("ab ß\n")
    (tmp_path / "BAD").write_text("quer\n")
    given = [str(tmp_path / word) if word.isupper() else word for word in words]
    assert main(["transcribe", str(exported(head, streaming)), "a.wav", *given]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert re.search(message, err), err
