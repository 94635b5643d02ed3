"""The commands that a run consists of: one training, and an evaluation for each set."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from foldformer.errors import InputError
from foldformer.experiment.plan import Run
from foldformer.experiment.spec import file_name
from foldformer.train.curve import read_curve
from foldformer.train.state import STATE

LOG = "train.log"

COMMAND = (sys.executable, "-m", "foldformer.experiment.child")
"""What runs `foldformer VERB ...`, given the id of the process to end with, and those words."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command.

    Attributes:
        what: in a few words.
        words: what follows `foldformer`.
        log: where its errors go.
        output: where it prints to; the log unless given.
        hears: {name: manifest} of the set that it scores on, if it does.
    """

    what: str
    words: tuple[str, ...]
    log: Path
    output: Path | None = None
    hears: Mapping[str, str] = field(default_factory=dict)

    def start(
        self, command: Sequence[str] = COMMAND, held: Sequence[int] = ()
    ) -> "subprocess.Popen[bytes]":
        """Start it on one core, out of reach of the terminal's signals: who started it sends them.

        Args:
            command: what runs the step.
            held: files that it holds open as long as it lives: their locks last as long.

        Raises:
            InputError: the place of its logs cannot be written.
        """
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            for path in {self.log, self.output or self.log}:
                path.write_bytes(b"")
            # Both at the end of what is there: the two may be the same file.
            with self.log.open("ab") as log, (self.output or self.log).open("ab") as output:
                return subprocess.Popen(
                    [*command, str(os.getpid()), *self.words],
                    env={**os.environ, **threads, "COLUMNS": "80"},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=held,
                )
        except OSError as error:
            raise InputError(f"{self.log}: cannot be written: {error.strerror}") from None


def is_trained(run: Run) -> bool:
    """Whether the model of a run is there, trained to its last step."""
    try:
        rows = read_curve(run.model / STATE)
    except InputError:
        return False
    return bool(rows) and rows[-1].get("step", 0) >= run.config.training.steps


def training_of(run: Run) -> list[Step]:
    """The training of a run, or its compression; none where it scores another one's model."""
    if not run.trains:
        return []
    words = ["train", str(run.base)]
    if run.source is not None and run.compress is not None:
        made = run.compress
        words = ["compress", str(run.source), "--output", str(run.model), "--start", made.start]
        words += ["--uses", str(made.uses), "--rank", str(made.rank), "--order", made.order]
    for key, value in run.settings:
        words += [f"--{key}", value]
    return [Step(what="training", words=tuple(words), log=run.place / LOG)]


def evaluations_of(run: Run) -> list[Step]:
    """An evaluation on each set of a run."""
    return [
        Step(
            what=f"evaluation on {name}",
            words=("evaluate", str(run.model), manifest, *_options(run), "--json", "--output",
                   str(transcripts_of(run, name))),
            log=run.place / f"evaluate-{file_name(name)}.log",
            output=scores_of(run, name),
            hears={name: manifest},
        )
        for name, manifest in run.sets.items()
    ]  # fmt: skip


def corpora_of(commands: Sequence[str], output: Path) -> list[Step]:
    """The corpora of an experiment; one that is there says so at once."""
    return [
        Step(
            what=f"corpus {words}",
            words=("corpus", *shlex.split(words)),
            log=output / f"corpus-{number}.log",
        )
        for number, words in enumerate(commands)
    ]


def scores_of(run: Run, name: str) -> Path:
    """Where the evaluation on a set prints its scores to."""
    return run.place / f"{file_name(name)}.json"


def transcripts_of(run: Run, name: str) -> Path:
    """Where the evaluation on a set writes its transcripts."""
    return run.place / f"{file_name(name)}.jsonl"


def _options(run: Run) -> list[str]:
    decode, words = run.decode, ["--text", run.config.data.text]
    if decode.head is not None:
        words += ["--head", decode.head]
    if decode.chunk is not None:
        words += ["--chunk", decode.chunk]
    if decode.beam != 1:
        words += ["--beam", str(decode.beam)]
    if decode.weights != "fp32":
        words += ["--weights", decode.weights]
    return words


def last_line(log: Path) -> str:
    """The last line of a log that says something, for the message about a command that failed."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n")]
    return next((line for line in reversed(lines) if line), "")
