"""A trained dense recogniser, folded and recovered, against the same shared models from scratch.

    python recipes/compress/run.py

Everything is done by the `foldformer` command, as a user would; this script only starts it, one
process after another, counts their processor time, gathers what they print into one table, and
leaves the figures in `demo/compress/results.json`. The dense model is that of the demonstration.
Run again, a finished part is not done again.
"""

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

from foldformer.experiment.origin import machine

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "recipes" / "demo"
CHUNK = "640ms"
RANK = "8"
COMMAND = [sys.executable, "-m", "foldformer.cli.main"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
CORPUS, MODELS = Path("demo/corpus"), Path("demo/compress")
DENSE = MODELS / "dense"
TITLES = {
    "dense": "dense, 1,300 steps",
    "folded-3": "K = 3, folded alone",
    "recovered-3": "K = 3, folded and recovered",
    "nothing-3": "K = 3, from scratch, 1,300 steps",
    "folded-6": "K = 6, folded alone",
    "recovered-6": "K = 6, folded and recovered",
    "nothing-6": "K = 6, from scratch, 1,300 steps",
}
"""Rows of the table, by the folders of their models."""
DATA = ["--data", f"{CORPUS}/train.jsonl.gz", "--valid", f"{CORPUS}/dev.jsonl.gz"]


def main() -> None:
    """Train, compress, evaluate, print, and leave the results."""
    compose()
    settings = ["--model.encoder.uses", "1", "--model.encoder.linear.rank", "0"]
    train(DENSE, settings)
    for uses in ("3", "6"):
        shared = ["--model.encoder.uses", uses, "--model.encoder.linear.rank", RANK]
        train(MODELS / f"nothing-{uses}", shared)
        plan = ["compress", str(DENSE), "--uses", uses, "--rank", RANK]
        folded, recovered = MODELS / f"folded-{uses}", MODELS / f"recovered-{uses}"
        calibration = ["--calibration", DATA[1]]
        made([*plan, *calibration, "--output", str(folded)], folded)
        made([*plan, *DATA, "--output", str(recovered)], recovered)
    results: dict[str, Any] = {name: measured(MODELS / name) for name in TITLES}
    print(f"\n{table(results)}")
    results |= {"date": f"{date.today()}", "machine": machine(jobs=1)}
    text = json.dumps(results, indent=1) + "\n"
    (MODELS / "results.json").write_text(text, encoding="utf-8")


def compose() -> None:
    """The corpus of the demonstration."""
    counts = ["--dev", "40", "--test", "250", "--hours", "1.25", "--seed", "20261126"]
    kinds = ["--languages", "it,es", "--kinds", "numbers,dates,times"]
    run(["corpus", "composed", str(CORPUS), *counts, *kinds])


def train(folder: Path, settings: list[str]) -> None:
    """The demonstration's recogniser with other settings."""
    made(["train", str(DEMO / "asr.yaml"), "--output", str(folder), *settings], folder)


def made(arguments: list[str], folder: Path) -> None:
    """Run a command that makes a model, and add up the processor time that it took."""
    done, spent = folder / "done", folder / "processor-seconds"
    if done.exists():
        return
    print(f"foldformer {' '.join(arguments)}", flush=True)
    process = subprocess.Popen([*COMMAND, *arguments], env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    folder.mkdir(parents=True, exist_ok=True)
    before = float(spent.read_text()) if spent.exists() else 0.0
    spent.write_text(str(before + usage.ru_utime + usage.ru_stime))
    if status:
        raise SystemExit(f"{folder} is not complete; the same command goes on")
    done.touch()


def run(arguments: list[str]) -> str:
    """Run a command and return what it printed; its errors end the script."""
    result = subprocess.run(
        [*COMMAND, *arguments], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=False
    )
    if result.returncode:
        raise SystemExit(result.returncode)
    return result.stdout


def measured(folder: Path) -> dict[str, Any]:
    """Bytes, processor time, word error rates, and how they compare with the dense model's."""
    seconds = processor_seconds(folder)
    found: dict[str, Any] = {
        "megabytes": round((folder / "model.safetensors").stat().st_size / 1e6, 2),
        "processor_seconds": round(seconds, 2),
    }
    if folder != DENSE:
        nothing = processor_seconds(MODELS / f"nothing-{folder.name.partition('-')[2]}")
        found["of_nothing"] = round(seconds / nothing, 2)
    for kind, chunk in (("offline", []), ("stream", ["--chunk", CHUNK])):
        against = [] if folder == DENSE else ["--against", str(DENSE)]
        arguments = ["evaluate", str(folder), f"{CORPUS}/test.jsonl.gz", *chunk, *against]
        scores = json.loads(run([*arguments, "--json"]))
        found[kind] = rounded(scores["scores"]["all"]["wer"])
        if against:
            found[kind]["more"] = rounded(scores["comparison"]["all"]["wer"]["difference"])
    return found


def processor_seconds(folder: Path) -> float:
    """That making a model took."""
    return float((folder / "processor-seconds").read_text())


def rounded(score: dict[str, float]) -> dict[str, Any]:
    """A figure with the ends of its 95 % interval."""
    return {end: round(score[end], 2) for end in ("value", "low", "high")}


def table(results: dict[str, Any]) -> str:
    """The models beside one another, in Markdown."""
    header = ["", "MB", "processor s"]
    for kind in ("offline", "stream"):
        header += [f"WER %, {kind}", "more than dense"]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for name, title in TITLES.items():
        found = results[name]
        cells = [title, f"{found['megabytes']:.2f}", f"{found['processor_seconds']:.0f}"]
        for kind in ("offline", "stream"):
            more = found[kind].get("more")
            cells += [interval(found[kind]), "" if more is None else interval(more)]
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def interval(score: dict[str, float]) -> str:
    """A figure with its 95 % interval."""
    return "{value:.2f} [{low:.2f}, {high:.2f}]".format(**score)


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
