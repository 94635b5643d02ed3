"""What recipes print of what they measured: tables that fit, and those that documents show."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "recipes" / "demo"
COMPRESS = ROOT / "recipes" / "compress"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The demonstration's, which stand beside each other and import each other."""
    monkeypatch.syspath_prepend(str(DEMO))
    names = ("command", "tables", "device")
    yield {name: importlib.import_module(name) for name in names}
    for name in names:
        sys.modules.pop(name, None)


def committed(recipe: Path) -> dict[str, Any]:
    return json.loads((recipe / "results.json").read_text(encoding="utf-8"))


def test_the_readme_shows_the_committed_results(scripts: dict[str, ModuleType]) -> None:
    """All that its output says of them; single figures in running text have marks."""
    results, tables = committed(DEMO), scripts["tables"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for shown in (tables.model_tables(results["models"]), tables.device_tables(results["device"])):
        assert max(map(len, shown.splitlines())) <= 80
        assert f"\n\n{shown}\n\n" in readme
    assert f"\nThe demonstration took {results['minutes']:.1f} minutes. Now try:" in readme


@pytest.mark.parametrize(
    "document", [COMPRESS / "README.md", ROOT / "docs" / "how-to" / "compress.md"]
)
def test_documents_show_the_table_of_the_committed_results(
    document: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(COMPRESS))
    shown = importlib.import_module("run").table(committed(COMPRESS))
    sys.modules.pop("run")
    assert f"\n\n{shown}\n\n" in document.read_text(encoding="utf-8")


def test_what_is_measured_of_exports_becomes_a_table(
    scripts: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = scripts["device"]

    def export(size: int, ms: float) -> dict[str, object]:
        figures = {"steady_rss": 162.6e6, "growth": 127e6, "p50_ms": ms, "p95_ms": 2 * ms}
        each = {name: {"median": value} for name, value in figures.items()}
        return {"file_bytes": size, "figures": {"sherpa-onnx": each}}

    ratios = {name: {"median": 1.25} for name in ("steady_rss", "growth", "p50_ms", "p95_ms")}
    found = {
        "exports": [export(12_000_000, 20.0), export(6_000_000, 25.0)],
        "ratios": {"sherpa-onnx": ratios},
    }
    asked: list[tuple[str, ...]] = []

    def command(*words: str) -> str:
        asked.append(words)
        return json.dumps(found)

    monkeypatch.setattr(device, "foldformer", command)
    scores = [{"value": 100.0, "low": 100.0, "high": 100.0}] * 2
    results: dict[str, Any] = {}
    for pair in (device.RECOGNISERS, device.TRANSLATORS):
        results |= device.compared(pair, scores)
    lines = device.device_tables(results).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split() for line in lines if line.startswith(("dense", "shared"))][:2] == [
        ["dense", "12.00", "162.6", "127.0", "20.00", "40.00", "100.0", "[100.0,", "100.0]"],
        ["shared", "K=3", "6.00", "162.6", "127.0", "25.00", "50.00", "100.0", "[100.0,", "100.0]"],
    ]
    assert lines.count("  shared / dense    0.50   1.25   1.25     1.25  1.25") == 2
    assert asked[0][:4] == ("measure", "demo/asr-dense-int8", "--against", "demo/asr-shared-int8")


def test_results_are_kept_part_by_part(
    scripts: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last part of the demonstration can be run alone."""
    monkeypatch.chdir(tmp_path)
    scripts["command"].record(models={"a": 1}, device={"a": 1})
    scripts["command"].record(device={"b": 2})
    found = json.loads(Path("demo/results.json").read_text(encoding="utf-8"))
    assert found == {"models": {"a": 1}, "device": {"b": 2}}
