"""The demonstration: from recorded words to recognisers and translators, dense and shared.

Run by `make demo`. Everything is done by the `foldformer` command, as a user would; this script
only starts it, two trainings side by side, gathers what it prints into tables, and leaves the
figures in `demo/results.json`.
"""

import gzip
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

from command import (
    CHUNK,
    COMMAND,
    ENVIRONMENT,
    RECOGNISERS,
    TRANSLATORS,
    Trained,
    foldformer,
    record,
    say,
    score,
)
from device import exported, show_device
from tables import model_tables

from foldformer.experiment.origin import machine

RECIPE = Path(__file__).parent
# The recipe was tuned on the corpora of other seeds, so this test set has had no part in it.
SEED = "20261126"
DENSE = ["--model.encoder.uses", "1", "--model.encoder.linear.rank", "0"]


def main() -> None:
    """Compose, train, evaluate, export, print."""
    began = time.monotonic()
    say("1. Speech: numbers, dates and times, composed from recorded words")
    corpora = (("demo/corpus", "it,es", "1.25"), ("demo/corpus-it", "it", "2"))
    with ThreadPoolExecutor(max_workers=2) as pool:  # each thread waits for a process
        for made in pool.map(lambda corpus: compose(*corpus), corpora):
            print(made)
    say("2. Training two recognisers side by side, one core each")
    train_pair(RECOGNISERS, "asr.yaml", ())
    say("3. Training two translators, from Italian speech into Spanish text")
    train_pair(TRANSLATORS, "translate.yaml", RECOGNISERS)
    say("4. Evaluation on word sequences that no model has heard")
    with ThreadPoolExecutor(max_workers=2) as pool:  # each thread waits for a process
        every = RECOGNISERS + TRANSLATORS
        models = {each.name: of for each, of in zip(every, pool.map(measured, every), strict=True)}
    record(models=models)
    print(f"\n{model_tables(models)}")
    say("5. A few of those recordings, heard by the shared models")
    show_recordings()
    show_device()
    took = round((time.monotonic() - began) / 60, 1)
    record(minutes=took, date=f"{date.today()}", machine=machine(jobs=2))
    print(f"\nThe demonstration took {took:.1f} minutes. Now try:\n")
    for folder in (RECOGNISERS[1].folder, exported(RECOGNISERS[1])):
        print(f"    foldformer transcribe {folder} demo/recordings/*.flac")


def compose(folder: str, languages: str, hours: str) -> str:
    """Compose a corpus, unless an earlier demonstration has; what the command says of it."""
    counts = ["--dev", "40", "--test", "250", "--hours", hours, "--seed", SEED]
    kinds = ["--languages", languages, "--kinds", "numbers,dates,times"]
    return foldformer("corpus", "composed", folder, *counts, *kinds)


def show_recordings() -> None:
    """Transcribe and translate one recording of each kind, before the reader's eyes."""
    folder = Path("demo/recordings")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    references = chosen_recordings(folder)
    files = [str(folder / name) for name in references]
    italian = [file for file in files if Path(file).name.startswith("it-")]
    heard = texts_of(foldformer("transcribe", "demo/asr-shared", *files, "--json"))
    translated = texts_of(foldformer("transcribe", "demo/translate-shared", *italian, "--json"))
    for file in files:
        print(
            f"\n{file}\n  was said:    {references[Path(file).name]}\n  recognised:  {heard[file]}"
        )
        if file in translated:
            print(f"  translated:  {translated[file]}")


def chosen_recordings(folder: Path) -> dict[str, str]:
    """Copy the first test recording of each language and kind: {file name: what is said}."""
    chosen: dict[str, str] = {}
    seen = set()
    with gzip.open("demo/corpus/test.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            cut = json.loads(line)
            supervision = cut["supervisions"][0]
            kind = (supervision["language"], supervision["custom"]["meaning"].split(":")[0])
            if kind not in seen:
                seen.add(kind)
                source = Path("demo/corpus") / cut["recording"]["sources"][0]["source"]
                name = f"{kind[0]}-{kind[1]}.flac"
                shutil.copy(source, folder / name)
                chosen[name] = supervision["text"]
    return chosen


def texts_of(lines: str) -> dict[str, str]:
    """{file: text} of `foldformer transcribe --json`."""
    return {found["file"]: found["text"] for found in map(json.loads, lines.splitlines())}


def train_pair(pair: tuple[Trained, ...], recipe: str, source: tuple[Trained, ...]) -> None:
    """Train the models at the same time, from the encoders of `source` if there are any."""
    runs = []
    for place, trained in enumerate(pair):
        arguments = ["train", str(RECIPE / recipe), "--output", str(trained.folder)]
        arguments += DENSE if trained.kind == "dense" else []
        if source:
            arguments += ["--training.initialise_from", str(source[place].folder)]
        trained.folder.mkdir(parents=True, exist_ok=True)
        log = trained.folder / "train.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                [*COMMAND, *arguments], env=ENVIRONMENT, stdout=file, stderr=file
            )
        runs.append((trained, process, log))
    show_progress(runs)
    for trained, process, log in runs:
        if process.returncode:
            print(log.read_text()[-2000:], file=sys.stderr)
            raise SystemExit(f"training {trained.folder} failed; its log is {log}")


def show_progress(runs: Sequence[tuple[Trained, subprocess.Popen[bytes], Path]]) -> None:
    """One line that is written over on a terminal, or one every half a minute, until all end."""
    terminal = sys.stdout.isatty()
    shown = -math.inf
    while any(process.poll() is None for _, process, _ in runs):
        time.sleep(1)
        if time.monotonic() - shown >= (2 if terminal else 30):
            shown = time.monotonic()
            line = "   ".join(f"{t.kind}: {progress_of(log)}" for t, _, log in runs)
            print(
                f"\r{line[:79]:<79}" if terminal else line, end="" if terminal else "\n", flush=True
            )
    print()


def progress_of(log: Path) -> str:
    """Step, loss and time left from the last state of a progress bar."""
    found = re.findall(r"(\d+/\d+) \[[0-9:]+<([0-9:?]+),.*?loss ([0-9.]+)", log.read_text())
    return "step {0}, loss {2}, {1} left".format(*found[-1]) if found else "starting"


def measured(trained: Trained) -> dict[str, Any]:
    """What the results say of a model."""
    folder = str(trained.folder)
    size = json.loads(foldformer("describe", folder, "--json"))
    return {
        **{name: size["total"][name] for name in ("parameters", "fp32", "int8")},
        "share": round(size["encoder_matrix_share"], 2),
        "offline": score(trained, folder),
        "stream": score(trained, folder, "--chunk", CHUNK),
        "minutes": minutes(trained),
    }


def minutes(trained: Trained) -> float:
    """Minutes that the training took, in one demonstration or several."""
    curve = json.loads((trained.folder / "training" / "curve.json").read_text(encoding="utf-8"))
    return round(curve[-1]["seconds"] / 60, 1)


if __name__ == "__main__":
    os.chdir(RECIPE.parents[1])
    main()
