"""What the parts of the demonstration have in common: its models, the command, tables."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CHUNK = "640ms"
INTERVAL = "with 95 % intervals"
COMMAND = [sys.executable, "-m", "foldformer.cli.main"]
# One core for each of two processes: PyTorch's threads would only get in each other's way.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Trained:
    """A model of the demonstration."""

    task: str
    kind: str
    folder: Path

    @property
    def translates(self) -> bool:
        """Whether it writes another language than it hears."""
        return self.task.startswith("translate")

    @property
    def test(self) -> Path:
        """The test set, word sequences that no model has heard."""
        corpus = "demo/corpus-it" if self.translates else "demo/corpus"
        return Path(corpus) / "test.jsonl.gz"


RECOGNISERS = (
    Trained("recognise it, es", "dense", Path("demo/asr-dense")),
    Trained("recognise it, es", "shared K=3", Path("demo/asr-shared")),
)
TRANSLATORS = (
    Trained("translate it-es", "dense", Path("demo/translate-dense")),
    Trained("translate it-es", "shared K=3", Path("demo/translate-shared")),
)


def say(text: str) -> None:
    """A heading."""
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def foldformer(*arguments: str) -> str:
    """Run the command and return what it printed; its errors end the demonstration."""
    result = subprocess.run(
        [*COMMAND, *arguments], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=False
    )
    if result.returncode:
        raise SystemExit(result.returncode)
    return result.stdout


def score(trained: Trained, what: str, *options: str) -> str:
    """WER of a recogniser, BLEU of a translator, and its interval.

    Args:
        trained: whose test set it is.
        what: its folder, or a file of transcripts.
        options: more of `foldformer evaluate`.
    """
    scores = foldformer("evaluate", what, str(trained.test), "--json", *options)
    name = "bleu" if trained.translates else "wer"
    return "{value:.1f} [{low:.1f}, {high:.1f}]".format(**json.loads(scores)["scores"]["all"][name])


def print_tables(header: list[str], rows: Sequence[list[str]], tables: dict[int, str]) -> None:
    """Tables with the same columns, at 80 of a terminal's.

    Args:
        header: of each.
        rows: of all.
        tables: {where a table begins: its title}.
    """
    widths = [max(len(line[column]) for line in [header, *rows]) for column in range(len(header))]
    for place, line in enumerate(rows):
        if place in tables:
            print(f"\n{tables[place]}")
            print(_aligned(header, widths))
        print(_aligned(line, widths))


def _aligned(cells: list[str], widths: list[int]) -> str:
    """A line of a table."""
    first, *others = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
    return " ".join([cells[0].ljust(len(first)), *others]).rstrip()
