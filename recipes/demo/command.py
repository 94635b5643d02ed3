"""What the parts of the demonstration have in common: its models, the command, its results."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CHUNK = "640ms"
RESULTS = Path("demo/results.json")
COMMAND = [sys.executable, "-m", "foldformer.cli.main"]
# One core for each of two processes: PyTorch's threads would only get in each other's way.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}

Score = dict[str, float]
"""`value`, and the ends `low` and `high` of its 95 % interval."""


@dataclass(frozen=True)
class Trained:
    """A model of the demonstration."""

    kind: str
    folder: Path

    @property
    def name(self) -> str:
        """In the results."""
        return self.folder.name

    @property
    def translates(self) -> bool:
        """Whether it writes another language than it hears."""
        return self.name.startswith("translate")

    @property
    def test(self) -> Path:
        """The test set, word sequences that no model has heard."""
        corpus = "demo/corpus-it" if self.translates else "demo/corpus"
        return Path(corpus) / "test.jsonl.gz"


RECOGNISERS = (
    Trained("dense", Path("demo/asr-dense")),
    Trained("shared K=3", Path("demo/asr-shared")),
)
TRANSLATORS = (
    Trained("dense", Path("demo/translate-dense")),
    Trained("shared K=3", Path("demo/translate-shared")),
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


def score(trained: Trained, what: str, *options: str) -> Score:
    """WER of a recogniser in %, BLEU of a translator, and its interval.

    Args:
        trained: whose test set it is.
        what: its folder, or a file of transcripts.
        options: more of `foldformer evaluate`.
    """
    scores = foldformer("evaluate", what, str(trained.test), "--json", *options)
    found = json.loads(scores)["scores"]["all"]["bleu" if trained.translates else "wer"]
    return {end: round(found[end], 2) for end in ("value", "low", "high")}


def record(**parts: object) -> None:
    """Write what was measured into `demo/results.json`, over what it says of the same parts."""
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found | parts, indent=1) + "\n", encoding="utf-8")
