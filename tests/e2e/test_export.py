"""From training to the runtime, by the real commands."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foldformer.checkpoint import ModelConfig
from foldformer.data.audio import load_audio
from foldformer.data.tokens import Tokens
from foldformer.decode.recognizer import Recognizer
from foldformer.deploy.folder import read_export
from foldformer.model import Model

ROOT = Path(__file__).parents[1]
SYMBOLS = ["<blk>", "<unk>", "▁", "a", "b", "c", "d"]


def test_a_trained_model_is_exported_and_heard(
    model: Path,
    recordings: list[Path],
    foldformer: Callable[..., subprocess.CompletedProcess[str]],
    call: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
) -> None:
    out = tmp_path / "phone"
    done = foldformer("export", model, "--output", out)
    assert (done.returncode, done.stderr) == (0, "")
    size = (out / "model.onnx").stat().st_size
    lines = done.stdout.splitlines()
    assert lines[0] == f"{out / 'model.onnx'}: {size:,} bytes"
    assert lines[-2:] == [f"export: {out}", f"next: foldformer transcribe {out} RECORDING.wav"]
    assert (out / "model.md").read_bytes() == (model / "README.md").read_bytes()
    assert "[model.md](model.md)" in (out / "README.md").read_text("utf-8")
    spec = read_export(out)
    assert (spec.kind, spec.source.name, spec.source.trained) == ("offline-ctc", "model", True)
    assert spec.source.languages == ("en",)

    np.savez(tmp_path / "a.npz", **{f"{i}": load_audio(r) for i, r in enumerate(recordings)})
    script = ROOT / "deploy" / "run_sherpa.py"
    command = [sys.executable, str(script), str(out), "greedy_search", str(tmp_path / "a.npz")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    code, text, _ = call("transcribe", model, *recordings, "--json")
    assert code == 0
    expected = [json.loads(line) for line in text.splitlines()]
    found = json.loads(ran.stdout)
    assert len(found) == len(expected) >= 3
    for result, transcript in zip(found, expected, strict=True):
        assert " ".join(result["text"].split()) == transcript["text"]
        assert [token.replace(" ", "▁") for token in result["tokens"]] == transcript["tokens"]
        assert np.abs(np.subtract(result["times"], transcript["times"])).max(initial=0) < 0.041


@pytest.mark.parametrize("words", [(), ("--streaming", "--chunk", "320ms")])
def test_scores_of_an_export_are_those_of_the_model(
    talkative: Model,
    corpus: Path,
    call: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    words: tuple[str, ...],
) -> None:
    """Heard in the runtime; a stream has latencies too."""
    model, out, test = tmp_path / "model", tmp_path / "phone", corpus / "test.jsonl.gz"
    config = ModelConfig(model=talkative.spec, chunks=(8,))
    Recognizer(talkative, Tokens(SYMBOLS), config).save(model)
    assert call("export", model, *words, "--output", out)[0] == 0
    heard, written = tmp_path / "heard.jsonl", tmp_path / "written.jsonl"
    code, text, err = call("evaluate", out, test, "--json", "--against", model, "--output", heard)
    assert (code, err) == (0, "")
    found = json.loads(text)
    assert found["comparison"]["all"].keys() == {"wer", "cer", "raw_wer", "raw_cer", "bleu", "chrf"}
    asked = (*words[1:], "--json", "--output", written)
    assert found["scores"] == json.loads(call("evaluate", model, test, *asked)[1])["scores"]
    rows, expected = (
        {row["id"]: row for row in map(json.loads, path.read_text("utf-8").splitlines())}
        for path in (heard, written)
    )
    assert rows == expected
    assert any(row["hypothesis"] for row in rows.values())
    assert all(("emitted" in row) == bool(words) for row in rows.values())
    measured = found["measured"]
    assert (measured["weights"], measured["head"], measured["text"]) == ("fp32", "ctc", "text")
    assert measured["chunk"] == (words[2] if words else "none: whole recordings")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--card",), "--card: this is an export; give the folder of the model"),
        (("--weights", "int8"), "weights: those of this export are stored in fp32"),
        (("--chunk", "320ms"), "chunk: this export hears whole recordings"),
        (("--head", "transducer"), "head: this export has the head ctc alone"),
        (("--beam", "4"), "beam: sherpa-onnx searches a ctc export greedily"),
    ],
)
def test_what_an_evaluation_of_an_export_cannot_do(
    phone: Path,
    corpus: Path,
    call: Callable[..., tuple[int, str, str]],
    words: tuple[str, ...],
    message: str,
) -> None:
    code, out, err = call("evaluate", phone, corpus / "test.jsonl.gz", *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"foldformer: error: {message}")
    assert err.count("\n") == 1


@pytest.fixture(scope="module")
def phone(model: Path, foldformer: Callable[..., object], tmp_path_factory: Any) -> Path:
    out: Path = tmp_path_factory.mktemp("export") / "phone"
    foldformer("export", model, "--output", out)
    return out


def test_an_untrained_folder_is_refused(tmp_path: Path, call: Callable[..., object]) -> None:
    (tmp_path / "config.yaml").write_text("format: 1\nmodel: {vocab_size: 5}\n")
    code, out, err = call("export", tmp_path, "--output", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "model.safetensors: missing; a model folder needs" in err
    assert not (tmp_path / "out").exists()
