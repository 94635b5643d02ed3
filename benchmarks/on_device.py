"""What weight sharing saves where a model runs: the paper's encoder, shared against dense.

    python benchmarks/on_device.py [--exports FOLDER] [--precision fp32 ...] [--chunk 320ms ...]
        [--states fp32]

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

DENSE, SHARED = "paper-dense", "paper-k3-r16"
MB = 1e6

FILE_SHARE = {"fp32": 0.39, "int8": 0.105, "int4": 0.065}
"""{precision: largest share of the dense encoder's file in fp32}."""
LATENCY = {"fp32": 1.0, "int8": 1.05}
"""{precision: largest ratio of the median time of a chunk, shared to dense}."""
PROCESS = {"int8": 60 * MB}
"""{precision: largest RSS of the whole process}."""
LATER = 1 * MB
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


def lines(small: Any, quick: Any, precision: str, reference: int) -> Iterator[str]:
    """The table of one comparison.

    Args:
        small: found by `measured`, buffers given back after each chunk.
        quick: found by `measured`, buffers kept.
        precision: of both.
        reference: bytes of the dense encoder's file in fp32.
    """
    exports = small["exports"]
    encoder = next(iter(exports[1]["files"]))

    def row(title: str, number: float, aim: float | None, form: str = ".3f") -> str:
        said = "" if aim is None else f"{'met' if number <= aim else 'MISSED':>10}"
        goal = "" if aim is None else f"{aim:{form}}"
        return f"{title:42}{number:12{form}}{goal:>12}{said}"

    yield f"{'':42}{'measured':>12}{'at most':>12}"
    share = exports[1]["files"][encoder] / reference
    yield row("encoder's file, of the dense fp32 one", share, FILE_SHARE.get(precision))
    for name, each in zip((DENSE, SHARED), exports, strict=True):
        growth = each["figures"]["onnxruntime"]["growth"]["median"]
        own = each["weights"][encoder]
        most = each["most_growth"]
        aim = None if most is None or each is exports[0] else most / MB
        yield row(f"RSS of the encoder, MB more: {name}", growth / MB, aim, ".1f")
        yield row("  of its weight bytes", growth / own, None)
    for name, each in zip((DENSE, SHARED), exports, strict=True):
        whole = each["figures"]["sherpa-onnx"]
        rss = whole["steady_rss"]["median"] / MB
        most = PROCESS.get(precision)
        aim = None if most is None or each is exports[0] else most / MB
        yield row(f"RSS of the whole process, MB: {name}", rss, aim, ".1f")
        rss = quick["exports"][exports.index(each)]["figures"]["sherpa-onnx"]["steady_rss"]
        yield row("  with its buffers kept (quick)", rss["median"] / MB, None, ".1f")
        if "later_growth" in whole:
            later = whole["later_growth"]["median"] / MB
            yield row("  grown after the first minute, MB", later, LATER / MB, ".2f")
    for runtime, what in (("onnxruntime", "encoder alone"), ("sherpa-onnx", "whole process")):
        ratio = quick["ratios"][runtime]["p50_ms"]
        aim = LATENCY.get(precision) if runtime == "onnxruntime" else None
        yield row(f"time of a chunk, shared / dense, {what}", ratio["median"], aim)
        yield f"  quartiles over the runs: {ratio['low']:.3f}, {ratio['high']:.3f}"
    for warning in quick["warnings"]:
        yield f"warning: {warning}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exports", type=Path, help="keep them here, or take them from here")
    parser.add_argument("--precision", nargs="+", default=["fp32"], metavar="P")
    parser.add_argument("--chunk", nargs="+", default=["320ms"], metavar="C")
    parser.add_argument("--states", choices=["fp32", "int8"], default="fp32", help="of streams")
    parser.add_argument("--runs", default="5")
    parser.add_argument("--seconds", default="20")
    parser.add_argument("--threads", default="1")
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
                found = [measured(dense, shared, memory, words) for memory in ("small", "quick")]
                print(f"\n{SHARED} against {DENSE}, {precision}, chunks of {chunk}")
                for line in lines(*found, precision, reference.stat().st_size):
                    print(line, flush=True)


if __name__ == "__main__":
    main()
