"""The end of the demonstration: what it prints of exports, without training any."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

DEMO = Path(__file__).parents[2] / "recipes" / "demo"


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script, which stands beside another that it imports."""
    monkeypatch.syspath_prepend(str(DEMO))
    yield importlib.import_module("device")
    for name in ("device", "command"):
        sys.modules.pop(name, None)


def test_tables_fit_a_terminal(
    device: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def export(size: int, ms: float) -> dict[str, object]:
        figures = {"steady_rss": 162.6e6, "growth": 127e6, "p50_ms": ms, "p95_ms": 2 * ms}
        each = {name: {"median": value} for name, value in figures.items()}
        return {"file_bytes": size, "figures": {"sherpa-onnx": each}}

    ratios = {name: {"median": 1.25} for name, *_ in device.FIGURES}
    found = {
        "exports": [export(12_000_000, 20.0), export(6_000_000, 25.0)],
        "ratios": {"sherpa-onnx": ratios},
    }
    asked: list[tuple[str, ...]] = []

    def command(*words: str) -> str:
        asked.append(words)
        return json.dumps(found)

    monkeypatch.setattr(device, "foldformer", command)
    scores = ["100.0 [100.0, 100.0]"] * 2
    rows = [
        row
        for pair in (device.RECOGNISERS, device.TRANSLATORS)
        for row in device.compared(pair, scores)
    ]
    device.print_device_tables(rows)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split() for line in lines if line.startswith(("dense", "shared"))][:2] == [
        ["dense", "12.00", "162.6", "127.0", "20.00", "40.00", "100.0", "[100.0,", "100.0]"],
        ["shared", "K=3", "6.00", "162.6", "127.0", "25.00", "50.00", "100.0", "[100.0,", "100.0]"],
    ]
    assert lines.count("  shared / dense    0.50   1.25   1.25     1.25  1.25") == 2
    assert asked[0][:4] == ("measure", "demo/asr-dense-int8", "--against", "demo/asr-shared-int8")
