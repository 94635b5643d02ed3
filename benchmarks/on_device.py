"""What weight sharing saves where a model runs: the paper's encoder, shared against dense.

    python benchmarks/on_device.py [--exports FOLDER] [--precision fp32 ...] [--chunk 320ms ...]
        [--states fp32] [--record FILE]

For each precision and chunk, `paper-dense` and `paper-k3-r16` are exported with random weights,
unless FOLDER holds them from an earlier time, and `foldformer measure DENSE --against SHARED` runs
them in processes that take turns: with `--memory small` for the memory, and with `quick` for the
time. Beside each figure stands what is aimed at, and whether it is reached. A machine that is busy
slows both alike: ratios are taken run by run. RSS grows over that of a session without weights; the
whole process is Python, sherpa-onnx, features, encoder and search.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _record import add_record, record, setting

DENSE, SHARED = "paper-dense", "paper-k3-r16"
MB = 1e6

FILE_SHARE = {"fp32": 0.39, "int8": 0.105, "int4": 0.065}
"""{precision: largest share of the dense encoder's file in fp32}."""
LATENCY = {"fp32": 1.0, "int8": 1.05}
"""{precision: largest ratio of the median time of a chunk, shared to dense}."""
PROCESS_MB = {"int8": 60.0}
"""{precision: largest RSS of the whole process}."""
LATER_MB = 1.0
"""What RSS may grow by after the first minute; told by runs that are longer."""

COMMAND = [sys.executable, "-m", "foldformer.cli.main"]


def export(folder: Path, preset: str, precision: str, chunk: str, states: str = "fp32") -> Path:
    """The export of a preset, made if it is not there."""
    place = folder / f"{preset}-{chunk}-{precision}-{states}"
    if not place.exists():
        words = ["export", preset, "--random-weights", "--streaming", "--chunk", chunk]
        words += ["--precision", precision, "--states", states, "--output", str(place)]
        subprocess.run(COMMAND + words, check=True, stdout=subprocess.DEVNULL)
    return place


def measured(dense: Path, shared: Path, memory: str, words: list[str]) -> Any:
    """What `foldformer measure` says of the two, from its JSON."""
    words = ["measure", str(dense), "--against", str(shared), "--json", "--memory", memory, *words]
    ran = subprocess.run(COMMAND + words, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(ran.stdout)


def figures(small: Any, quick: Any, reference: int) -> dict[str, dict[str, float]]:
    """Of both presets, and ratios of the shared to the dense; memory in MB.

    Args:
        small: found by `measured`, buffers given back after each chunk.
        quick: found by `measured`, buffers kept.
        reference: bytes of the dense encoder's file in fp32.
    """
    found = {}
    for preset, each, kept in zip((DENSE, SHARED), small["exports"], quick["exports"], strict=True):
        encoder = next(iter(each["files"]))
        alone, whole = (each["figures"][runtime] for runtime in ("onnxruntime", "sherpa-onnx"))
        found[preset] = {
            "files_mb": each["file_bytes"] / MB,
            "encoder_mb": each["files"][encoder] / MB,
            "encoder_share": each["files"][encoder] / reference,
            "encoder_growth_mb": alone["growth"]["median"] / MB,
            "encoder_growth_of_weights": alone["growth"]["median"] / each["weights"][encoder],
            "process_mb": whole["steady_rss"]["median"] / MB,
            "process_private_mb": whole["steady_private"]["median"] / MB,
            "process_quick_mb": (kept["figures"]["sherpa-onnx"]["steady_rss"]["median"] / MB),
        }
        if each["most_growth"] is not None:
            found[preset]["most_encoder_growth_mb"] = each["most_growth"] / MB
        for name, run in (("encoder", alone), ("process", whole)):
            if "later_growth" in run:
                found[preset][f"{name}_later_mb"] = run["later_growth"]["median"] / MB
    dense, shared = found[DENSE], found[SHARED]
    found["ratio"] = {
        name: shared[name] / dense[name]
        for name in dense
        if name.endswith("_mb") and "later" not in name
    }
    for runtime, name in (("onnxruntime", "encoder"), ("sherpa-onnx", "process")):
        for end, value in quick["ratios"][runtime]["p50_ms"].items():
            found["ratio"][f"{name}_p50_ms_{end}"] = value
    return found


def lines(found: dict[str, dict[str, float]], precision: str) -> Iterator[str]:
    """The table of one comparison, found by `figures`."""
    shared, ratio = found[SHARED], found["ratio"]

    def row(title: str, number: float, aim: float | None, form: str = ".3f") -> str:
        said = "" if aim is None else f"{'met' if number <= aim else 'MISSED':>10}"
        goal = "" if aim is None else f"{aim:{form}}"
        return f"{title:42}{number:12{form}}{goal:>12}{said}"

    yield f"{'':42}{'measured':>12}{'at most':>12}"
    share = shared["encoder_share"]
    yield row("encoder's file, of the dense fp32 one", share, FILE_SHARE.get(precision))
    for name in (DENSE, SHARED):
        each = found[name]
        aim = None if name == DENSE else each.get("most_encoder_growth_mb")
        yield row(f"RSS of the encoder, MB more: {name}", each["encoder_growth_mb"], aim, ".1f")
        yield row("  of its weight bytes", each["encoder_growth_of_weights"], None)
    for name in (DENSE, SHARED):
        each = found[name]
        aim = None if name == DENSE else PROCESS_MB.get(precision)
        yield row(f"RSS of the whole process, MB: {name}", each["process_mb"], aim, ".1f")
        yield row("  with its buffers kept (quick)", each["process_quick_mb"], None, ".1f")
        if "process_later_mb" in each:
            later = each["process_later_mb"]
            yield row("  grown after the first minute, MB", later, LATER_MB, ".2f")
    for name, what in (("encoder", "encoder alone"), ("process", "whole process")):
        aim = LATENCY.get(precision) if name == "encoder" else None
        half = ratio[f"{name}_p50_ms_median"]
        yield row(f"time of a chunk, shared / dense, {what}", half, aim)
        low, high = ratio[f"{name}_p50_ms_low"], ratio[f"{name}_p50_ms_high"]
        yield f"  quartiles over the runs: {low:.3f}, {high:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exports", type=Path, help="keep them here, or take them from here")
    parser.add_argument("--precision", nargs="+", default=["fp32"], metavar="P")
    parser.add_argument("--chunk", nargs="+", default=["320ms"], metavar="C")
    parser.add_argument("--states", choices=["fp32", "int8"], default="fp32", help="of streams")
    parser.add_argument("--runs", default="5")
    parser.add_argument("--seconds", default="20")
    parser.add_argument("--threads", default="1")
    add_record(parser)
    args = parser.parse_args()
    words = ["--runs", args.runs, "--seconds", args.seconds, "--threads", args.threads]
    with tempfile.TemporaryDirectory() as made:
        folder = args.exports or Path(made)
        for chunk in args.chunk:
            reference = export(folder, DENSE, "fp32", chunk) / "encoder.onnx"
            for precision in args.precision:
                dense, shared = (
                    export(folder, preset, precision, chunk, args.states)
                    for preset in (DENSE, SHARED)
                )
                small, quick = (
                    measured(dense, shared, memory, words) for memory in ("small", "quick")
                )
                found = figures(small, quick, reference.stat().st_size)
                print(f"\n{SHARED} against {DENSE}, {precision}, chunks of {chunk}")
                for line in lines(found, precision):
                    print(line, flush=True)
                for warning in quick["warnings"]:
                    print(f"warning: {warning}")
                name = setting(precision, chunk, args.states)
                name += "" if args.seconds == parser.get_default("seconds") else f"-{args.seconds}s"
                record(args.record, "on_device", name, found)


if __name__ == "__main__":
    main()
