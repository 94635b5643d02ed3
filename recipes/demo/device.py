"""The last part of the demonstration: its models on a device, in sherpa-onnx, without PyTorch.

Part of `make demo`; `python recipes/demo/device.py` does it alone, with models that are trained.
"""

import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from command import (
    CHUNK,
    INTERVAL,
    RECOGNISERS,
    TRANSLATORS,
    Trained,
    foldformer,
    print_tables,
    say,
    score,
)

RECORDING = "demo/recordings/it-date.flac"
RUNTIME = "sherpa-onnx"
MB = 1e6
# (figure of `foldformer measure`, what it is divided by, digits)
FIGURES = (("steady_rss", MB, 1), ("growth", MB, 1), ("p50_ms", 1, 2), ("p95_ms", 1, 2))


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
    print_device_tables([*compared(RECOGNISERS, scores[:2]), *compared(TRANSLATORS, scores[2:])])


def exported(trained: Trained) -> Path:
    """Where its export is."""
    return trained.folder.with_name(f"{trained.folder.name}-int8")


def export(trained: Trained) -> None:
    """Make what a device runs."""
    folder = exported(trained)
    shutil.rmtree(folder, ignore_errors=True)
    stream = ["--to", RUNTIME, "--streaming", "--chunk", CHUNK, "--precision", "int8"]
    foldformer("export", str(trained.folder), *stream, "--output", str(folder))


def show_stream(folder: Path) -> None:
    """What an export writes while it hears a recording."""
    arguments = ["transcribe", str(folder), RECORDING, "--partial"]
    print(f"\nfoldformer {' '.join(arguments)}\n{foldformer(*arguments)}", end="")


def compared(pair: Sequence[Trained], scores: Sequence[str]) -> list[list[str]]:
    """Rows of a dense model, its shared twin, and the ratio of the two."""
    one, other = (str(exported(trained)) for trained in pair)
    how = ["--runtime", RUNTIME, "--runs", "5", "--seconds", "60", "--json"]
    found = json.loads(foldformer("measure", one, "--against", other, *how))
    rows = []
    for trained, each, score_ in zip(pair, found["exports"], scores, strict=True):
        figures = each["figures"][RUNTIME]
        cells = [f"{figures[name]['median'] / unit:.{n}f}" for name, unit, n in FIGURES]
        rows.append([trained.kind, f"{each['file_bytes'] / MB:.2f}", *cells, score_])
    ratios = found["ratios"][RUNTIME]
    sizes = [each["file_bytes"] for each in found["exports"]]
    cells = [f"{ratios[name]['median']:.2f}" for name, _, _ in FIGURES]
    return [*rows, ["  shared / dense", f"{sizes[1] / sizes[0]:.2f}", *cells, ""]]


def print_device_tables(rows: Sequence[list[str]]) -> None:
    """The exports beside one another, at 80 columns."""
    header = ["", "file MB", "RAM MB", "own MB", "chunk ms", "p95", f"{CHUNK} stream"]
    tables = {
        0: f"Recognition, Italian and Spanish: WER in %, {INTERVAL}",
        len(rows) // 2: f"Translation, Italian to Spanish: BLEU, {INTERVAL}",
    }
    print_tables(header, rows, tables)
    print(
        "\nRAM: of the whole process while it streams; own: of it what came with the"
        "\nexport; chunk: median time that a chunk takes on one core, and the 95th"
        "\npercentile. A model of this size is the least of what is in memory:"
        "\ndocs/how-to/measure.md has figures of the paper's."
    )


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[2])
    show_device()
