"""What a benchmark has found, kept as data that the documents quote by marks."""

import argparse
import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from foldformer.experiment.origin import machine


def add_record(parser: argparse.ArgumentParser) -> None:
    """The option `--record FILE`."""
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="write the figures into this JSON, too"
    )


def record(path: Path | None, benchmark: str, name: str, found: Mapping[str, Any]) -> None:
    """Write figures under `benchmark` and `name` over what the file says of the same.

    Args:
        path: JSON; made if it is not there; nothing is written without one.
        benchmark: name of the script.
        name: what was measured; without points, which part the keys of a mark.
        found: numbers, or more of such names with numbers.
    """
    if path is None:
        return
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    origin = {"date": f"{date.today()}", "machine": machine(jobs=1)}
    kept.setdefault(benchmark, {})[name] = {**rounded(found), **origin}
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def setting(precision: str, chunk: str, states: str) -> str:
    """The name of what was measured with an export: states in fp32 go without saying."""
    return "-".join([precision, chunk, *([] if states == "fp32" else ["states", states])])


def rounded(found: Mapping[str, Any]) -> dict[str, Any]:
    """Six digits of each number, which is more than any of them can be trusted to."""
    return {
        name: rounded(each) if isinstance(each, Mapping) else float(f"{each:.6g}")
        for name, each in found.items()
    }
