"""A trained dense recogniser, folded and recovered, against the same shared models from nothing.

    python recipes/compress/run.py

Everything is done by the `foldformer` command, as a user would; this script only starts it, one
process after another, counts their processor time, and gathers what they print into one table. The
dense model is that of the demonstration. Run again, a finished part is not done again.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "recipes" / "demo"
CHUNK = "640ms"
RANK = "8"
COMMAND = [sys.executable, "-m", "foldformer.cli.main"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
CORPUS, MODELS = Path("demo/corpus"), Path("demo/compress")
DENSE = MODELS / "dense"
DATA = ["--data", f"{CORPUS}/train.jsonl.gz", "--valid", f"{CORPUS}/dev.jsonl.gz"]


def main() -> None:
    """Train, compress, evaluate, print."""
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
    rows = [row("dense", DENSE)]
    for uses in ("3", "6"):
        for name in ("folded", "recovered", "nothing"):
            rows.append(row(f"K={uses}, {NAMES[name]}", MODELS / f"{name}-{uses}"))
    print_table(rows)


NAMES = {
    "folded": "folded alone",
    "recovered": "folded, recovered",
    "nothing": "from nothing",
}


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


def row(name: str, folder: Path) -> list[str]:
    """Bytes, processor time, word error rates, and how they compare with the dense model's."""
    megabytes = (folder / "model.safetensors").stat().st_size / 1e6
    seconds, whole = ((f / "processor-seconds").read_text() for f in (folder, DENSE))
    cells = [name, f"{megabytes:.2f}", f"{float(seconds):.0f}"]
    cells.append(f"{float(seconds) / float(whole):.2f}")
    for chunk in ([], ["--chunk", CHUNK]):
        against = [] if folder == DENSE else ["--against", str(DENSE)]
        arguments = ["evaluate", str(folder), f"{CORPUS}/test.jsonl.gz", *chunk, *against]
        found = json.loads(run([*arguments, "--json"]))
        cells.append(interval(found["scores"]["all"]["wer"]))
        if against:
            cells.append(interval(found["comparison"]["all"]["wer"]["difference"]))
        else:
            cells.append("")
    return cells


def interval(score: dict[str, Any]) -> str:
    """A figure with its 95 % interval."""
    return "{value:.2f} [{low:.2f}, {high:.2f}]".format(**score)


def print_table(rows: list[list[str]]) -> None:
    """In Markdown."""
    header = ["", "MB", "processor s", "of dense"]
    for kind in ("offline", f"{CHUNK} stream"):
        header += [f"WER %, {kind}", "more than dense"]
    print()
    for line in (header, ["---", *["---:"] * (len(header) - 1)], *rows):
        print(f"| {' | '.join(line)} |")


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
