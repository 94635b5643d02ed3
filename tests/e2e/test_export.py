"""From training to the runtime, by the real commands."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from foldformer.data.audio import load_audio
from foldformer.deploy.folder import read_export

ROOT = Path(__file__).parents[1]


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
    assert lines[-1] == f"export: {out}"
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
        assert result["text"].strip() == transcript["text"]
        assert [token.replace(" ", "▁") for token in result["tokens"]] == transcript["tokens"]
        assert np.abs(np.subtract(result["times"], transcript["times"])).max(initial=0) < 0.041


def test_an_untrained_folder_is_refused(tmp_path: Path, call: Callable[..., object]) -> None:
    (tmp_path / "config.yaml").write_text("format: 1\nmodel: {vocab_size: 5}\n")
    code, out, err = call("export", tmp_path, "--output", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "model.safetensors: missing; a model folder needs" in err
    assert not (tmp_path / "out").exists()
