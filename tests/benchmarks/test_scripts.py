"""The benchmarks are run by hand and seldom: that they fit the package of today is tested here."""

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_can_be_imported(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    if name == "whisper_parity":
        pytest.importorskip("faster_whisper")  # a peer, which nothing else here needs
    importlib.import_module(name)


@pytest.mark.parametrize("name", [name for name in SCRIPTS if not name.startswith("_")])
def test_says_how_it_is_run(name: str) -> None:
    assert f"python benchmarks/{name}.py" in (FOLDER / f"{name}.py").read_text(encoding="utf-8")
