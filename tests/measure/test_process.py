"""The memory of a process is what it holds."""

import subprocess
import sys

import pytest

from foldformer.measure import process

PAGES = 40_000_000


def test_memory_is_what_is_held() -> None:
    code = f"""
from foldformer.measure.process import held
before = held()
pages = bytearray({PAGES})
pages[::4096] = b"x" * len(pages[::4096])
full = held()
del pages
after = held()
print(full.rss - before.rss, full.private - before.private)
print(after.rss - before.rss, after.peak - full.rss)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rss, private, left, peak = map(int, ran.stdout.split())
    assert PAGES <= rss < PAGES + 5_000_000
    assert PAGES <= private < PAGES + 5_000_000
    assert left < 5_000_000
    assert abs(peak) < 5_000_000


def test_elsewhere_than_on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: str) -> dict[str, int]:
        raise FileNotFoundError(path)

    monkeypatch.setattr(process, "_kilobytes", missing)
    assert process.held() is None


def test_nothing_is_imported_that_would_be_counted() -> None:
    code = "import sys, foldformer.measure.process; print(*sorted(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in ran.stdout.split()}
    assert not loaded & {
        "numpy", "yaml", "soundfile", "torch", "onnxruntime", "sherpa_onnx", "dataclasses",
    }  # fmt: skip
