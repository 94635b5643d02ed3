"""The last part of the demonstration: its models on a device, in sherpa-onnx, without PyTorch.

Part of `make demo`; `python recipes/demo/device.py` does it alone, with models that are trained.
"""

import json
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

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

SECONDS = 0.64  # of a chunk
RECORDING = "demo/recordings/it-date.flac"
RUNTIME = "sherpa-onnx"
SPACE = "▁"  # as it stands in tokens
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
        scores = list(pool.map(score_export, models))
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
    """What an export writes after each chunk that it has heard."""
    print(f"\nfoldformer transcribe {folder} {RECORDING}")
    for line in grown(json.loads(foldformer("transcribe", str(folder), RECORDING, "--json"))):
        print(line)


def grown(heard: dict[str, Any]) -> Iterator[str]:
    """The text after each chunk: every token has the time at which it was decided."""
    chunks = math.ceil(heard["end"] / SECONDS)
    for number in range(1, chunks + 1):
        seconds = number * SECONDS
        decided = zip(heard["tokens"], heard["times"], strict=True)
        text = "".join(token for token, time in decided if time < seconds)
        when = f"after {seconds:.2f} s" if number < chunks else "at its end"
        yield f"  {when:12} {text.replace(SPACE, ' ').strip()}".rstrip()


def score_export(trained: Trained) -> str:
    """WER or BLEU of what the export hears in sherpa-onnx, utterance by utterance."""
    sounds = sorted(map(str, trained.test.parent.glob("audio/*/test")))
    heard = foldformer("transcribe", str(exported(trained)), *sounds, "--json")
    file = exported(trained).with_suffix(".jsonl")
    with file.open("w", encoding="utf-8") as lines:
        for found in map(json.loads, heard.splitlines()):
            line = {"id": Path(found["file"]).stem, "hypothesis": found["text"]}
            lines.write(json.dumps(line) + "\n")
    text = ["--text", "translation_es"] if trained.translates else []
    return score(trained, str(file), *text)


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
