"""What `--memory` is worth: the whole process in sherpa-onnx while it streams an export.

    python benchmarks/process_memory.py EXPORT [--runs 5] [--record FILE]

`foldformer measure` runs the export with each of `system`, `quick` and `small`. Printed are medians
over processes: RSS, what of it is private, what Python with sherpa-onnx alone takes, and the time
of a chunk.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from _record import add_record, record

MB = 1e6


def measured(export: Path, memory: str, runs: int) -> dict[str, float]:
    """Figures of an export with one setting of `--memory`."""
    words = ["measure", str(export), "--memory", memory, "--runs", str(runs), "--json"]
    command = [sys.executable, "-m", "foldformer.cli.main", *words, "--runtime", "sherpa-onnx"]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(ran.stdout)["exports"][0]["figures"]["sherpa-onnx"]
    return {
        "rss_mb": found["steady_rss"]["median"] / MB,
        "private_mb": found["steady_private"]["median"] / MB,
        "imports_mb": found["baseline_rss"]["median"] / MB,
        "chunk_ms": found["p50_ms"]["median"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("export", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    add_record(parser)
    args = parser.parse_args()
    print(f"{'--memory':10}{'RSS, MB':>10}{'private':>10}{'imports':>10}{'ms a chunk':>12}")
    found = {}
    for memory in ("system", "quick", "small"):
        found[memory] = each = measured(args.export, memory, args.runs)
        cells = f"{each['rss_mb']:10.1f}{each['private_mb']:10.1f}{each['imports_mb']:10.1f}"
        print(f"{memory:10}{cells}{each['chunk_ms']:12.2f}", flush=True)
    record(args.record, "process_memory", args.export.name, found)


if __name__ == "__main__":
    main()
