"""The whole line as a user walks it: corpus, train, evaluate, transcribe, describe, Python."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

import foldformer as api
from foldformer.data.tokens import Tokens


def test_training_makes_a_model_folder(
    trained: subprocess.CompletedProcess[str], model: Path
) -> None:
    names = {path.name for path in model.iterdir()}
    assert names == {"config.yaml", "model.safetensors", "tokens.txt", "README.md", "training"}
    config = yaml.safe_load((model / "config.yaml").read_text())
    assert config["format"] == 1
    assert config["chunks"] == [8, 16]
    assert config["languages"] == ["en"]
    assert config["model"]["vocab_size"] == Tokens.load(model).vocab_size
    card = (model / "README.md").read_text()
    assert "3 layers of width 32, each set of weights used 3 times" in card
    assert f"foldformer transcribe {model} RECORDING.wav" in card
    state = {path.name for path in (model / "training").iterdir()}
    origin = {"config.yaml", "manifests.json", "tokens.txt"}
    assert state == origin | {"best.json", "curve.json", "last.ckpt", "lock", "logs"}
    assert list((model / "training" / "logs").glob("events.out.tfevents.*"))
    # The steps end between two validations, and are validated all the same.
    lines = trained.stdout.splitlines()
    assert lines[0].startswith("best validation: step ")
    assert lines[1] == f"model: {model}"
    assert lines[2] == f"next: foldformer transcribe {model} RECORDING.wav"
    assert "30/30" in trained.stderr
    assert "Traceback" not in trained.stderr
    assert "Warning" not in trained.stderr


def test_training_learns(model: Path) -> None:
    """From about ln 25 nats a token and many blanks to less than half of the untrained loss."""
    best = json.loads((model / "training" / "best.json").read_text())
    assert best["step"] in (20, 30)
    assert best["loss"] < 20


def test_evaluate(model: Path, corpus: Path, tmp_path: Path, foldformer) -> None:
    output = tmp_path / "new" / "utterances.jsonl"
    done = foldformer("evaluate", model, corpus / "test.jsonl.gz", "--output", output)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.replace(str(output), "out.jsonl").splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split()[:5] == ["utt.", "WER", "%", "CER", "%"]
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(rows) == 4
    assert set(rows[0]) == {"id", "language", "reference", "hypothesis", "seconds"}
    assert [path.name for path in output.parent.iterdir()] == ["utterances.jsonl"]


def test_transcribe_prints_the_text_alone(model: Path, recordings: list[Path], foldformer) -> None:
    done = foldformer("transcribe", model, recordings[0])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == api.load(model).transcribe(recordings[0]).text + "\n"


def test_transcribe_several_files(model: Path, recordings: list[Path], call) -> None:
    code, out, err = call("transcribe", model, *recordings)
    assert (code, err) == (0, "")
    recognizer = api.load(model)
    rows = [line.split("\t") for line in out.splitlines()]
    assert rows == [[str(path), recognizer.transcribe(path).text] for path in recordings]


@pytest.mark.parametrize("head", ["ctc", "transducer"])
@pytest.mark.parametrize("beam", [1, 3])
def test_transcribe_as_json(
    model: Path, recordings: list[Path], call, head: str, beam: int
) -> None:
    options = ("--json", "--chunk", "640ms", "--head", head, "--beam", beam)
    code, out, err = call("transcribe", model, recordings[1], *options)
    assert (code, err) == (0, "")
    said = json.loads(out)
    expected = api.load(model, head, beam).transcribe(recordings[1], chunk=16)
    assert said["file"] == str(recordings[1])
    assert (said["text"], said["score"]) == (expected.text, expected.score)
    assert (tuple(said["tokens"]), tuple(said["times"])) == (expected.tokens, expected.times)
    assert said["score"] < 0


@pytest.mark.parametrize("head", ["ctc", "transducer"])
def test_transcribe_the_best_few(model: Path, recordings: list[Path], call, head: str) -> None:
    options = ("--head", head, "--beam", 4, "--num-best", 3)
    code, out, err = call("transcribe", model, recordings[0], *options, "--json")
    assert (code, err) == (0, "")
    said = json.loads(out)
    scores = [each["score"] for each in said["alternatives"]]
    assert 1 < len(scores) <= 3
    assert said["text"] == said["alternatives"][0]["text"]
    assert len({tuple(each["tokens"]) for each in said["alternatives"]}) == len(scores)
    code, out, err = call("transcribe", model, recordings[0], *options)
    assert [line.split("\t")[0] for line in out.splitlines()] == [f"{s:.3f}" for s in scores]


def test_more_hypotheses_than_the_beam_holds(model: Path, recordings: list[Path], call) -> None:
    code, out, err = call("transcribe", model, recordings[0], "--num-best", 2)
    assert (code, out) == (2, "")
    assert err.startswith(
        "foldformer: error: num-best: 2 hypotheses want a beam as large; add --beam"
    )


@pytest.mark.parametrize("head", ["ctc", "transducer"])
def test_a_stream_gives_what_the_file_gives(model: Path, recordings: list[Path], head: str) -> None:
    """The recordings have 8 kHz: they pass the stream's resampler in pieces."""
    recognizer = api.load(model, head)
    for path in recordings[:2]:
        samples, rate = soundfile.read(path, dtype="float32")
        assert rate == 8000
        whole = recognizer.transcribe(path, chunk=8)
        assert recognizer.transcribe(samples, rate, chunk=8) == whole
        stream = recognizer.stream(chunk=8)
        for start in range(0, len(samples), 777):
            stream.accept(samples[start : start + 777], rate)
        result = stream.finish()
        assert (result.tokens, result.times) == (whole.tokens, whole.times)
        assert result.score == pytest.approx(whole.score, rel=1e-4)


def test_stereo_and_other_formats(model: Path, recordings: list[Path], tmp_path: Path) -> None:
    recognizer = api.load(model)
    samples, rate = soundfile.read(recordings[0], dtype="float32")
    expected = recognizer.transcribe(recordings[0])
    soundfile.write(tmp_path / "stereo.wav", np.stack([samples, samples], 1), rate, "FLOAT")
    assert recognizer.transcribe(tmp_path / "stereo.wav").text == expected.text
    with (tmp_path / "stereo.wav").open("rb") as file:
        assert recognizer.transcribe(file).score == pytest.approx(expected.score, rel=1e-5)


def test_describe_the_folder(model: Path, call) -> None:
    code, out, err = call("describe", model)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == str(model)
    assert "1 used 3 times" in out
