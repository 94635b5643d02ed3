"""The last part of the demonstration: its models on a device, in sherpa-onnx, without PyTorch.

Part of `make demo`; `python recipes/demo/device.py` does it alone, with models that are trained.
"""

import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from command import CHUNK, RECOGNISERS, TRANSLATORS, Score, Trained, foldformer, record, say, score
from tables import device_tables

from foldformer.deploy.processor import cuts_off_pairs

RECORDING = "demo/recordings/it-date.flac"
RUNTIME = "sherpa-onnx"
MB = 1e6
# {figure of the results: (that of `foldformer measure`, what it is divided by)}
FIGURES = {
    "ram_mb": ("steady_rss", MB),
    "own_mb": ("growth", MB),
    "chunk_ms": ("p50_ms", 1),
    "p95_ms": ("p95_ms", 1),
}


def show_device() -> None:
    """Export, hear a stream, and measure, dense against shared."""
    say(f"6. On a device: int8, streams of {CHUNK}, in sherpa-onnx without PyTorch")
    models = RECOGNISERS + TRANSLATORS
    with ThreadPoolExecutor(max_workers=2) as pool:  # each thread waits for a process
        list(pool.map(export, models))
        for _, shared in (RECOGNISERS, TRANSLATORS):
            show_stream(exported(shared))
        scores = list(pool.map(lambda each: score(each, str(exported(each))), models))
    # Now one after the other and nothing beside, for the sake of the times.
    device = {**compared(RECOGNISERS, scores[:2]), **compared(TRANSLATORS, scores[2:])}
    record(device=device)
    print(f"\n{device_tables(device)}")


def exported(trained: Trained) -> Path:
    """Where its export is."""
    return trained.folder.with_name(f"{trained.folder.name}-int8")


def export(trained: Trained) -> None:
    """Make what a device runs."""
    folder = exported(trained)
    shutil.rmtree(folder, ignore_errors=True)
    stream = ["--to", RUNTIME, "--streaming", "--chunk", CHUNK, "--precision", "int8"]
    reduced = ["--reduce-range"] if cuts_off_pairs() else []
    foldformer("export", str(trained.folder), *stream, *reduced, "--output", str(folder))


def show_stream(folder: Path) -> None:
    """What an export writes while it hears a recording."""
    arguments = ["transcribe", str(folder), RECORDING, "--partial"]
    print(f"\nfoldformer {' '.join(arguments)}\n{foldformer(*arguments)}", end="")


def compared(pair: Sequence[Trained], scores: Sequence[Score]) -> dict[str, Any]:
    """What the results say of a dense model and its shared twin."""
    one, other = (str(exported(trained)) for trained in pair)
    how = ["--runtime", RUNTIME, "--runs", "5", "--seconds", "60", "--json"]
    found = json.loads(foldformer("measure", one, "--against", other, *how))
    results: dict[str, Any] = {}
    for trained, each, score_ in zip(pair, found["exports"], scores, strict=True):
        measured = each["figures"][RUNTIME]
        figures = {
            name: round(measured[figure]["median"] / unit, 2)
            for name, (figure, unit) in FIGURES.items()
        }
        size = round(each["file_bytes"] / MB, 2)
        results[trained.name] = {"file_mb": size, **figures, "stream": score_}
    ratios = found["ratios"][RUNTIME]
    sizes = [each["file_bytes"] for each in found["exports"]]
    results[pair[1].name]["of_dense"] = {
        "file_mb": round(sizes[1] / sizes[0], 2),
        **{name: round(ratios[figure]["median"], 2) for name, (figure, _) in FIGURES.items()},
    }
    return results


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[2])
    show_device()
