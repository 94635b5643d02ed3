"""The examples write what `foldformer transcribe` writes."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("length", [40960, 31234, 2000])
def test_onnxruntime_stream(
    exported: Callable[..., Path],
    command: Callable[..., subprocess.CompletedProcess[str]],
    sounds: Callable[..., list[object]],
    tmp_path: Path,
    length: int,
) -> None:
    soundfile.write(tmp_path / "a.wav", sounds(length)[0], 16000, subtype="FLOAT")
    folder = exported("ctc", True)
    ran = subprocess.run(
        [sys.executable, str(EXAMPLES / "onnxruntime_stream.py"), folder, tmp_path / "a.wav"],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == command("transcribe", folder, tmp_path / "a.wav").stdout
    assert length < 3000 or len(ran.stdout.strip()) > 5
