"""The examples write what `foldformer transcribe` writes, and a page what it says."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


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


def test_weights_of_a_file_and_their_readers(
    exported: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What the page about memory lets its reader count: six matrices, each with two uses."""
    page = (ROOT / "docs" / "how-to" / "memory.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "shared").symlink_to(exported("transducer", True))
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "docs/how-to/memory.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    name = "encoder.depth.layers.0.mixer.query.weight"
    assert f"{name}: 1,024 bytes, once, read by 2 nodes" in lines  # 16 x 16 numbers
    assert len(lines) == 6
    assert all(line.endswith(" bytes, once, read by 2 nodes") for line in lines)
