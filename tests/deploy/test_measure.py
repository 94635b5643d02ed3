"""`foldformer measure`, where there is no PyTorch."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from foldformer.cli.main import main
from foldformer.deploy.folder import read_export
from foldformer.deploy.onnx_file import read_onnx
from foldformer.errors import MissingExtraError
from foldformer.measure import exports
from foldformer.measure.figures import Comparison, Export, Run, Settings, Spread
from foldformer.measure.process import Held
from foldformer.report.export_table import export_table

Exported = Callable[..., Path]
Command = Callable[..., subprocess.CompletedProcess[str]]


def test_two_exports(exported: Exported, command: Command) -> None:
    """Every run, what it comes to, and ratios between neighbours."""
    folders = exported("ctc", True), exported("transducer", True)
    words = ["--runs", "2", "--seconds", "2", "--json"]
    ran = command("measure", folders[0], "--against", folders[1], *words)
    assert (ran.returncode, ran.stderr) == (0, "")
    found = json.loads(ran.stdout)
    assert [each.split(", ")[1] for each in found["warnings"]] == [
        "too few for p95 and p99; take more --seconds"
    ] * 2
    assert found["settings"]["memory"] == "quick"
    for export, folder in zip(found["exports"], folders, strict=True):
        spec = read_export(folder)
        assert export["folder"] == str(folder)
        assert export["file_bytes"] == sum((folder / f).stat().st_size for f in spec.files)
        # Of all initialisers: constants are read as well.
        assert spec.weight_bytes <= export["weight_bytes"] < spec.weight_bytes + 12000
        # Each of two layers is used twice, and the second use finds its weights in the cache.
        assert spec.weight_bytes / 2 < 0.16 * export["weights_fetched_a_second"]
        assert 0.16 * export["weights_fetched_a_second"] <= export["weight_bytes"]
        assert export["weights_read_a_second"] > export["weights_fetched_a_second"]
        for runtime in ("sherpa-onnx", "onnxruntime"):
            for run in export["runs"][runtime]:
                assert run["seconds"] == pytest.approx(2, abs=0.2)
                assert len(run["latencies_ms"]) == pytest.approx(2 / 0.16, abs=2)
                assert run["baseline"]["private"] < run["loaded"]["private"]
                assert run["loaded"]["rss"] <= run["steady"]["rss"] <= run["steady"]["peak"]
                assert 0 < run["steady"]["private"] < run["steady"]["rss"]
            figures = export["figures"][runtime]
            assert figures["p50_ms"]["median"] <= figures["p95_ms"]["median"]
            growth = figures["steady_rss"]["median"] - figures["baseline_rss"]["median"]
            assert growth == pytest.approx(figures["growth"]["median"], abs=2e6)
    for runtime, ratios in found["ratios"].items():
        one, other = (each["runs"][runtime] for each in found["exports"])
        pairs = [b["load_ms"] / a["load_ms"] for a, b in zip(one, other, strict=True)]
        assert ratios["load_ms"]["median"] == pytest.approx(np.median(pairs))
        assert ratios["load_ms"]["low"] == pytest.approx(np.quantile(pairs, 0.25))


def test_calls_of_different_length(exported: Exported) -> None:
    folders = exported("ctc", True), exported("ctc", False)
    settings = Settings(runtimes=("onnxruntime",), runs=1, seconds=15)
    (warning,) = (each for each in exports.measure(folders, settings).warnings if "differ" in each)
    assert warning.startswith("calls differ: A hears 160ms a call, B whole recordings; compare")


def test_whole_recordings_in_a_table(exported: Exported, command: Command, tmp_path: Path) -> None:
    samples = 0.1 * np.random.default_rng(0).standard_normal((3, 12000))
    paths = [tmp_path / f"{i}.flac" for i in range(3)]
    for path, each in zip(paths, samples, strict=True):
        soundfile.write(path, each, 8000)
    folder = exported("ctc", False)
    words = ["--runs", "1", "--seconds", "5", "--memory", "system", "--audio", *paths]
    ran = command("measure", folder, *words)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith(f"A: {folder} (offline-ctc, fp32)\n")
    assert "memory: system.\n" in ran.stdout
    assert "ONNX Runtime: EnableCpuMemArena=0" in ran.stdout
    assert "B / A" not in ran.stdout
    assert "calls differ" not in ran.stdout
    assert all(len(line) <= 80 for line in ran.stdout.splitlines()[1:])


def test_a_version_that_copies_shared_weights(
    exported: Exported, command: Command, tmp_path: Path
) -> None:
    shutil.copytree(exported("ctc", True), folder := tmp_path / "export")
    path = folder / "export.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"onnxruntime": "99.1"}))
    ran = command("measure", folder, "--runs", "1", "--seconds", "1", "--runtime", "onnxruntime")
    assert ran.returncode == 0, ran.stderr
    text = " ".join(ran.stdout.split())
    assert "copies a shared weight for each use; 99.1 and newer keep it once" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--runs", "0"], "runs: expected 1 or more, got 0"),
        (["--seconds", "nan"], "seconds: expected 1 or more, got nan"),
        (["--seconds", "inf"], "seconds: expected 1 or more, got inf"),
        (["--cache", "1" * 400 + "MB"], f"cache: {'1' * 400 + 'MB'!r} is no size; write it"),
        (["--cache", "4"], "cache: '4' is no size; write it like 512kB or 4MB"),
        (["--audio", "none.wav"], "none.wav: no such file"),
        (["--against", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_bad_input(
    exported: Exported, capfd: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["measure", str(exported("ctc", True)), *words]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"foldformer: error: {message}")
    assert err.count("\n") == 1


def test_a_process_that_fails(exported: Exported, command: Command, tmp_path: Path) -> None:
    """What passes every check and fails in the runtime is one line too.

    So it is with a precision whose operators the installed runtime lacks.
    """
    import onnx

    shutil.copytree(exported("ctc", True), folder := tmp_path / "export")
    model = onnx.load(folder / "model.onnx")
    model.graph.node[len(model.graph.node) // 2].op_type = "NoSuchThing"
    onnx.save(model, folder / "model.onnx")
    data = yaml.safe_load((folder / "export.yaml").read_text())
    (folder / "export.yaml").write_text(yaml.safe_dump(data | {"checksums": {}}))
    for words in (["measure"], ["transcribe"]):
        soundfile.write(tmp_path / "a.wav", np.zeros(16000), 16000)
        rest = [tmp_path / "a.wav"] if words == ["transcribe"] else []
        ran = command(*words, folder, *rest)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert ran.stderr.count("\n") == 1
        assert "NoSuchThing" in ran.stderr


def test_weights_that_stay_in_int8_are_read_in_int8(exported: Exported) -> None:
    """With `small`, which leaves it to each call to take them to fp32."""
    folder = exported("ctc", True, "int8")
    spec = read_export(folder)
    quick, small = (
        exports._described(folder, spec, Settings(memory=memory)) for memory in ("quick", "small")
    )
    graph = read_onnx(folder / spec.files[0])
    kept = [node.inputs for node in graph.nodes if node.op_type == "DequantizeLinear"]
    assert kept
    whole = sum(graph.weights[numbers].bytes for numbers, *_ in kept)
    scales = sum(graph.weights[name].bytes for _, *rest in kept for name in rest)
    users = [name for node in graph.nodes for name in set(node.inputs)]
    wide = {n.outputs[0]: n.inputs[0] for n in graph.nodes if n.op_type == "DequantizeLinear"}
    in_fp32 = sum(4 * graph.weights[wide[name]].bytes for name in users if name in wide)
    assert spec.stream is not None
    assert quick.read is not None
    assert small.read is not None
    chunk = spec.stream.chunk * spec.frame_ms / 1000
    assert (quick.read - small.read) * chunk == pytest.approx(in_fp32 - whole - scales)


def test_what_is_not_installed(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """One runtime is enough, and none is too little."""
    installed = {"onnxruntime"}
    monkeypatch.setattr(exports, "find_spec", lambda name: name if name in installed else None)
    settings = Settings(runs=1, seconds=1, memory="system")
    found = exports.measure([exported("ctc", True)], settings)
    assert list(found.exports[0].runs) == ["onnxruntime"]
    assert found.warnings[0] == (
        "sherpa-onnx: not measured, because it is not installed; it comes with: pip install "
        "'foldformer[device]'"
    )
    installed.clear()
    with pytest.raises(MissingExtraError, match=r"onnxruntime is not installed.*\[export\]"):
        exports.measure([exported("ctc", True)], replace(settings, runtimes=("onnxruntime",)))
    with pytest.raises(MissingExtraError, match=r"sherpa-onnx is not installed.*\[device\]"):
        exports.measure([exported("ctc", True)], settings)


def test_elsewhere_than_on_linux(exported: Exported) -> None:
    """Times are measured without /proc."""
    run = Run("1.30.0", None, None, None, [], 5.0, 1.0, 5100.0, [float(n) for n in range(101)])
    spec = read_export(exported("ctc", True))
    export = Export(
        Path("a"), spec, {"A": "1"}, {"model.onnx": 5}, {"model.onnx": 4}, 10.0, 5.0, {}
    )
    export.runs["onnxruntime"] = [run, run]
    found = Comparison([export], Settings(), 1.0, ["memory: not measured"])
    assert run.figures == {
        "load_ms": 5.0, "p50_ms": 50.0, "p95_ms": 95.0, "p99_ms": 99.0, "rtf": 5.1,
    }  # fmt: skip
    table = export_table(found)
    assert "RSS at the end" not in table
    assert "p95" in table
    assert "warning: memory: not measured" in table
    assert "ONNX Runtime: A=1" in table
    assert json.loads(json.dumps(found.plain()))["exports"][0]["file_bytes"] == 5


def test_options_that_differ_are_told_of_each(exported: Exported) -> None:
    run = Run("1.30.0", None, None, None, [], 5.0, 1.0, 5100.0, [float(n) for n in range(101)])
    one = Export(
        Path("a"),
        read_export(exported("ctc", True)),
        provider={"A": "0", "B": "1"},
        files={"model.onnx": 5},
        weights={"model.onnx": 4},
        read=10.0,
        fetched=5.0,
        runs={"onnxruntime": [run]},
    )
    others = [replace(one, provider=provider) for provider in ({"A": "1"}, {})]
    same, changed, without = (
        export_table(Comparison([one, other], Settings(), 1.0, [])).splitlines()
        for other in (one, *others)
    )
    assert same[-1] == "ONNX Runtime: A=0 B=1"
    assert changed[-2:] == ["ONNX Runtime, A: A=0 B=1", "ONNX Runtime, B: A=1"]
    assert without[-1] == "ONNX Runtime, B: its defaults"


def test_later_growth_is_from_the_first_minute() -> None:
    memory = Held(100, 60, 120)
    curve = [[30.0, 10.0], [60.0, 50.0], [90.0, 80.0], [120.0, 75.0]]
    run = Run("1.30.0", Held(40, 10, 40), memory, memory, curve, 1.0, 120.0, 2.0, [1.0, 1.0])
    assert run.figures["later_growth"] == 25
    assert run.figures["growth"] == 60
    assert run.figures["private_growth"] == 50
    short = replace(run, curve=curve[:2])
    assert "later_growth" not in short.figures


def test_spread() -> None:
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0)
    assert Spread.of([5.0, 1.0, 3.0, 2.0, 4.0]) == Spread(3.0, 2.0, 4.0)
