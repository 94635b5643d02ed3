"""Recipes as their README says to run them: on miniatures in the corpora's own layouts."""

import os
import re
import runpy
import shlex
import subprocess
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from lhotse.bin.lhotse import cli as lhotse

from foldformer.cli.main import main

RECIPES = Path(__file__).parents[2] / "recipes"

TINY = {
    "model.encoder.d_model": 16,
    "model.encoder.num_layers": 3,
    "model.encoder.mixer.num_heads": 2,
    "model.encoder.feed_forward.d_ff": 16,
    "model.encoder.linear.rank": 1,
    "model.encoder.subsampling.channels": 8,
    "data.num_workers": 0,
    "data.max_duration": 30,
    "training.threads": 1,
    "training.steps": 3,
    "training.warmup": 1,
    "training.validate_every": 3,
}

Say = Callable[[str], str]


def speech(path: Path, seconds: float, rate: int) -> None:
    """Write noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name))
    soundfile.write(path, 0.1 * rng.standard_normal(int(seconds * rate)), rate)


def commands_in(readme: Path) -> list[list[str]]:
    """The words of each command of the `sh` blocks, loops and variables written out by bash."""
    names = ("foldformer", "lhotse", "python")
    stand_in = "".join(
        f"{name}() {{ printf '%s\\0' {name} \"$@\" >&3; echo >&3; }}\n" for name in names
    )
    script = "\n".join(re.findall(r"^```sh\n(.*?)^```$", readme.read_text(), re.M | re.S))
    run, write = os.pipe()
    with subprocess.Popen(
        ["bash", "-ec", f"exec 3>&{write}\n{stand_in}{script}"], pass_fds=[write]
    ):
        os.close(write)
        with os.fdopen(run) as lines:
            return [line.rstrip("\n").split("\0")[:-1] for line in lines]


def overrides(recipe: Path, pieces: int) -> list[str]:
    """Settings that make the model of a recipe tiny and its training short."""
    config = yaml.safe_load(recipe.read_text())
    settings = dict(TINY)
    if config["tokens"]["kind"] == "sentencepiece":
        settings["tokens.vocab_size"] = pieces
    if config["model"]["heads"][0]["kind"] == "transducer":
        settings |= {"model.heads.0.predictor_dim": 8, "model.heads.0.joiner_dim": 8}
    return [word for key, value in settings.items() for word in (f"--{key}", str(value))]


@pytest.fixture
def follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str, int], list[tuple[str, str]]]:
    """Run all that the README of a recipe says, in a folder of its own: [(command, output)].

    `pieces` is the number of SentencePiece's tokens: the texts of miniatures have not many."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "recipes").symlink_to(RECIPES)

    def run(words: list[str], pieces: int) -> None:
        name, *rest = words
        if name == "lhotse":
            with warnings.catch_warnings():  # Lhotse's own
                warnings.simplefilter("ignore")
                lhotse(rest, standalone_mode=False)
        elif name == "python":
            monkeypatch.setattr("sys.argv", rest)
            runpy.run_path(rest[0], run_name="__main__")
        else:
            if rest[0] == "train":
                rest += overrides(Path(rest[1]), pieces)
            code = main(rest)
            captured = capsys.readouterr()
            print(captured.out)
            assert code == 0, captured.out + captured.err

    def follow(name: str, pieces: int) -> list[tuple[str, str]]:
        said = []
        for words in commands_in(RECIPES / name / "README.md"):
            capsys.readouterr()
            run(words, pieces)
            said.append((shlex.join(words), capsys.readouterr().out))
        return said

    return follow


@pytest.fixture
def write_librispeech() -> Callable[..., None]:
    return _librispeech


def _librispeech(folder: Path, parts: Mapping[str, int]) -> None:
    """A tree like LibriSpeech's: `LibriSpeech/PART/SPEAKER/CHAPTER/*.flac` with a `trans.txt`.

    Args:
        folder: to hold `LibriSpeech`.
        parts: utterances of each part, which is one speaker's.
    """
    said = ["THE", "QUICK", "BROWN", "FOX", "JUMPS", "OVER", "A", "LAZY", "DOG", "AGAIN"]
    for speaker, (part, count) in enumerate(parts.items(), 100):
        chapter = folder / "LibriSpeech" / part / str(speaker) / "1001"
        lines = []
        for number in range(count):
            name = f"{speaker}-1001-{number:04}"
            words = said[number % 4 : number % 4 + 6]
            speech(chapter / f"{name}.flac", 2 + 0.1 * number, 16000)
            lines.append(f"{name} {' '.join(words)}\n")
        (chapter / f"{speaker}-1001.trans.txt").write_text("".join(lines))


@pytest.fixture
def write_covost() -> Callable[..., None]:
    return _covost


def _covost(folder: Path) -> None:
    """A language of Common Voice as it is unpacked, and CoVoST's table of translations."""
    voices = folder / "cv-corpus-4-2019-12-10" / "de"
    sentences = [
        ("Guten Morgen, wie geht es dir?", "Good morning, how are you?"),
        ('Er sagte: "Komm herein', 'He said: "Come in'),  # unbalanced quotes occur
        ("Das ist ein langer Satz über nichts.", "This is a long sentence about nothing."),
        ("Auf Wiedersehen.", "Goodbye."),
    ]
    splits = ["train"] * 6 + ["train_covost"] * 2 + ["dev"] * 3 + ["test"] * 3
    table = ["client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccent"]
    covost = ["path\ttranslation\tsplit"]
    for number, split in enumerate(splits):
        name = f"common_voice_de_{number}.mp3"
        german, english = sentences[number % 4]
        speech(voices / "clips" / name, 2.5 + 0.2 * number, 48000)
        table.append(f"speaker{number}\t{name}\t{german}\t2\t0\t\t\t")
        covost.append(f"{name}\t{english}\t{split}")
    (voices / "clips" / "common_voice_de_2.mp3").write_bytes(b"no sound")
    table.append("speaker\tcommon_voice_de_98.mp3\tNiemand übersetzt das.\t2\t0\t\t\t")
    table.append("speaker\tcommon_voice_de_99.mp3\tDas fehlt.\t2\t0\t\t\t")
    covost.append("common_voice_de_99.mp3\tThis is missing.\ttrain")
    covost.append("common_voice_de_97.mp3\tNobody said this.\ttrain")
    (voices / "validated.tsv").write_text("\n".join(table) + "\n")
    (folder / "covost_v2.de_en.tsv").write_text("\n".join(covost) + "\n")
