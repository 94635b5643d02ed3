"""An experiment whose commands are played: a script stands in for training and evaluation."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from foldformer.checkpoint import ModelConfig, save_model
from foldformer.experiment.plan import plan
from foldformer.experiment.runner import Runner
from foldformer.experiment.spec import read_experiment
from foldformer.model import ModelSpec
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.mixers.attention import AttentionSpec

EXPERIMENT = """
title: Played
output: runs/played
corpora: ["composed data/played"]
seeds: [1, 2]
tasks:
  recognition: {config: base.yaml, measure: wer, sets: {digits: data/played/test.jsonl.gz}}
  translation:
    config: base.yaml
    measure: bleu
    after: recognition
    sets: {digits: data/played/test.jsonl.gz}
cells:
  dense: {title: dense, table: sizes, set: {model.encoder.uses: 1}}
  k3: {title: K = 3, table: sizes, against: dense, set: {model.encoder.uses: 3}}
  k3-int8: {title: int8, table: sizes, against: k3, model_of: k3, tasks: [recognition],
            decode: {weights: int8}}
smoke:
  set: {training.steps: 1, model.encoder.d_model: 8}
"""

COMPRESSED = """
  k3-short: {title: short, table: sizes, against: k3, tasks: [recognition], seeds: [1],
             compress: {of: dense, uses: 3, rank: 2}, set: {training.steps: 2}}
smoke:"""

BASE = """
output: runs/played
data: {train: data/played/train.jsonl.gz, valid: data/played/dev.jsonl.gz}
model:
  encoder:
    {d_model: 16, num_layers: 3, linear: {kind: residual}, mixer: {kind: attention, num_heads: 2}}
training: {steps: 4}
"""

# Plays `foldformer`: notes what it is asked, and leaves what training and evaluation would.
PLAYER = """
import json, os, pathlib, signal, sys, time
words = sys.argv[2:]
with open("asked", "a") as file:
    file.write(json.dumps(words) + "\\n")
output = words[words.index("--output") + 1] if "--output" in words else ""
makes = words[0] in ("train", "compress")
place = pathlib.Path(output.strip('"') if makes else words[1])
stuck = pathlib.Path("stuck")
if stuck.exists() and stuck.read_text() in str(place):
    signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path("saved").write_text(""), sys.exit(143)))
    pathlib.Path("waiting").write_text(str(os.getpid()))
    time.sleep(60)
changes = pathlib.Path("changes")
if changes.exists() and changes.read_text() == words[0]:
    pathlib.Path("code").write_text("another")
broken = pathlib.Path("broken")
if makes and broken.exists() and broken.read_text() in str(place):
    sys.exit("much text\\nfoldformer: error: the disk is full")
killed = pathlib.Path("killed")
if makes and killed.exists() and killed.read_text() in str(place):
    print("50%|#####     | 2/4", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
if makes:
    state = place / "training"
    state.mkdir(parents=True, exist_ok=True)
    row = {"step": 4, "hours": 0.5, "seconds": 3.0, "wer": 50.0}
    text = json.dumps([row])
    if pathlib.Path("curve").exists() and "recognition/k3/1" in str(place):
        text = pathlib.Path("curve").read_text()
    (state / "curve.json").write_text(text)
    (state / "last.ckpt").write_text("")
    (state / "config.yaml").write_text("{seed: 1, found: by itself}")
    for path in pathlib.Path("learnt").iterdir():
        (place / path.name).write_bytes(path.read_bytes())
elif words[0] == "evaluate":
    score = {"value": 50.0, "low": 0.0, "high": 90.0}
    every = {"utterances": 2, "words": 4, "wer": score, "cer": score, "chrf": score}
    every["bleu"] = {**score, "value": 0.0}  # of texts of fewer than four words
    print(json.dumps({"scores": {"all": every}, "audio_seconds": 3.0}))
    lines = [("b", "one two", "one\\u2028too"), ("a", "one two", "two")]
    keys = ("id", "reference", "hypothesis")
    said = [{"language": "en", **dict(zip(keys, line))} for line in lines]
    text = "".join(json.dumps(each, ensure_ascii=False) + "\\n" for each in said)
    pathlib.Path(output).write_text(text, encoding="utf-8")
"""


@pytest.fixture(scope="session")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every training that is played has learnt."""
    folder = tmp_path_factory.mktemp("learnt")
    encoder = EncoderSpec(d_model=16, num_layers=3, uses=3, mixer=AttentionSpec(num_heads=2))
    spec = ModelSpec(vocab_size=9, encoder=encoder)
    torch.manual_seed(0)
    save_model(folder, spec.build(), ModelConfig(model=spec))
    return folder


@pytest.fixture
def recipe(tmp_path: Path, learnt: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the experiment, in the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "learnt").symlink_to(learnt)
    for module in ("begun", "runner"):
        monkeypatch.setattr(f"foldformer.experiment.{module}.fingerprint", "of {}".format)
    (tmp_path / "player.py").write_text(PLAYER)
    folder = tmp_path / "recipe"
    folder.mkdir()
    (folder / "experiment.yaml").write_text(EXPERIMENT)
    (folder / "base.yaml").write_text(BASE)
    return folder


@pytest.fixture
def compressed(recipe: Path) -> Path:
    """The same with a cell more, whose model is made of another one's."""
    path = recipe / "experiment.yaml"
    path.write_text(EXPERIMENT.replace("\nsmoke:", COMPRESSED))
    return recipe


@pytest.fixture
def runner(recipe: Path) -> Callable[..., tuple[Runner, list[str]]]:
    """Make a runner and the list of what it says: `runner(jobs=2)`."""

    def make(
        jobs: int = 1, name: str = "experiment.yaml", smoke: bool = False
    ) -> tuple[Runner, list[str]]:
        place = recipe / name
        planned = plan(read_experiment(place), place, smoke)
        said: list[str] = []
        command = (sys.executable, "-I", "-S", "player.py")
        return Runner(planned, planned.runs, jobs, said.append, said.append, command), said

    return make


@pytest.fixture
def asked(recipe: Path) -> Callable[[], list[list[str]]]:
    """The words of all commands so far."""

    def read() -> list[list[str]]:
        path = Path("asked")
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    return read
