"""`foldformer evaluate` as a user gives it."""

import gzip
import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import yaml
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment

import foldformer as api
from foldformer.measure.process import held


@pytest.fixture(scope="module")
def own(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the model, whose card may be written into."""
    folder = tmp_path_factory.mktemp("evaluate") / "model"
    shutil.copytree(model, folder, ignore=shutil.ignore_patterns("training"))
    return folder


def test_everything_at_once(own: Path, corpus: Path, tmp_path: Path, call) -> None:
    """A stream, its transcripts, page and card; then the same from the transcripts."""
    test, written, page = corpus / "test.jsonl.gz", tmp_path / "a.jsonl", tmp_path / "a.html"
    options = ("--chunk", "320ms", "--output", written, "--html", page, "--card", "--json")
    code, out, err = call("evaluate", own, test, *options, "--worst", 2)
    assert (code, err) == (0, "")
    results = json.loads(out)
    assert set(results) == {
        "scores", "audio_seconds", "seconds", "latency", "confusions", "worst", "measured",
    }  # fmt: skip
    measured = results["measured"]
    assert measured["command"] == f"foldformer evaluate {own} {test} --chunk 320ms"
    assert (measured["chunk"], measured["head"], measured["text"]) == ("320ms", "ctc", "text")
    assert len(results["worst"]) == 2
    assert "How it was measured" in page.read_text("utf-8")
    assert measured["command"] in (own / "README.md").read_text("utf-8")
    rows = [json.loads(line) for line in written.read_text("utf-8").splitlines()]
    recognizer = api.load(own)
    for row in rows:
        audio = corpus / "audio" / "en" / "test" / f"{row['id']}.flac"
        assert row["hypothesis"] == recognizer.transcribe(audio, chunk=8).text
        assert len(row["emitted"]) == len(row["hypothesis"].split())
        assert " ".join(word for word, _ in row["spoken"]) == row["reference"]
    code, out, err = call("evaluate", written, test, "--json", "--worst", 2)
    assert (code, err) == (0, "")
    again = json.loads(out)
    for key in ("scores", "latency", "worst", "confusions"):
        assert again[key] == results[key]


def test_two_models(model: Path, corpus: Path, tmp_path: Path, call) -> None:
    """The other one by its transcripts, which here are without errors."""
    test, other = corpus / "test.jsonl.gz", tmp_path / "other.jsonl"
    code, out, _ = call("evaluate", model, test, "--output", tmp_path / "a.jsonl", "--json")
    assert code == 0
    value = json.loads(out)["scores"]["all"]["wer"]["value"]
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text("utf-8").splitlines()]
    lines = [json.dumps({"id": row["id"], "hypothesis": row["reference"]}) for row in rows[::-1]]
    other.write_text("\n".join(lines))
    code, out, err = call("evaluate", model, test, "--against", other, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)["comparison"]["all"]["wer"]
    assert (found["value"], found["other"]) == (value, 0)
    assert found["difference"]["value"] == value
    code, out, err = call("evaluate", model, test, "--against", model)
    assert (code, err) == (0, "")
    assert "+0.00 [+0.00, +0.00]" in out
    other.write_text("\n".join(lines[1:]))
    code, out, err = call("evaluate", model, test, "--against", other)
    assert (code, out) == (2, "")
    assert f"{other}: lacks 1 of the utterances in {test}, such as {rows[-1]['id']!r}" in err


def test_what_nobody_hears_needs_no_text(model: Path, corpus: Path, tmp_path: Path, call) -> None:
    cuts = list(CutSet.from_file(corpus / "test.jsonl.gz"))[:2]
    for cut in cuts:
        cut.recording.sources[0].source = str(corpus / cut.recording.sources[0].source)
    cuts[1].duration, cuts[1].supervisions = 0.0, []
    test, written = tmp_path / "test.jsonl", tmp_path / "a.jsonl"
    CutSet.from_cuts(cuts).to_file(test)
    code, _, err = call("evaluate", model, test, "--output", written)
    assert code == 0, err
    (line,) = written.read_text("utf-8").splitlines()
    assert json.loads(line)["id"] == cuts[0].id
    code, _, err = call("evaluate", written, test)
    assert (code, err) == (0, "")
    with written.open("a") as file:
        file.write(json.dumps({"id": cuts[1].id, "hypothesis": "heard"}))
    code, _, err = call("evaluate", written, test)
    assert code == 2
    assert f"cut {cuts[1].id!r}: has no supervision; expected one with the text" in err
    written.write_text("")
    CutSet.from_cuts(cuts[1:]).to_file(test)
    code, _, err = call("evaluate", written, test)
    assert code == 2
    assert f"{test}: none of its 1 cuts can be heard, and {written} is empty" in err


def test_the_worst_utterances(model: Path, corpus: Path, call) -> None:
    code, out, err = call("evaluate", model, corpus / "test.jsonl.gz", "--worst", 1)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert out.count("\nref  ") >= 1
    assert "S: substituted, I: inserted, D: deleted" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--worst", "-1"), "--worst: expected 0 or more, got -1"),
        (("--html", "."), ".: is a folder; --html names a file"),
        (("--html", "a", "--output", "a"), "--output and --html: name the same file"),
        (("--against", "nowhere"), "--against: nowhere: no such file or folder; expected a model"),
    ],
)
def test_options_that_cannot_be(
    model: Path, corpus: Path, tmp_path: Path, call, monkeypatch, options, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call("evaluate", model, corpus / "test.jsonl.gz", *options)
    assert (code, out) == (2, "")
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_what_to_compare_with_is_looked_at_first(
    model: Path, corpus: Path, tmp_path: Path, call
) -> None:
    """Not after all utterances of the model have been heard: here none can be."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "said.jsonl").write_text("{}\n")
    for other, message in (
        ("folder", "config.yaml: missing; a model folder needs config.yaml"),
        ("said.jsonl", "said.jsonl, line 1"),
        (
            "gone",
            "gone: no such file or folder; expected a model folder, an export, or transcripts",
        ),
    ):
        code, out, err = call("evaluate", model, "none.jsonl", "--against", tmp_path / other)
        assert (code, out) == (2, "")
        assert message in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--weights", "int8"), "weights: those of this export are stored in fp32"),
        (("--chunk", "320ms"), "chunk: this export hears whole recordings"),
        (("--against", "less.jsonl"), "less.jsonl: lacks 1 of the utterances in"),
    ],
)
def test_what_cannot_be_compared_is_not_heard_first(
    model: Path,
    corpus: Path,
    tmp_path: Path,
    call,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    test = corpus / "test.jsonl.gz"
    ids = [cut.id for cut in CutSet.from_file(test)]
    Path("less.jsonl").write_text(
        "".join(f"{json.dumps({'id': id_, 'hypothesis': ''})}\n" for id_ in ids[1:])
    )
    assert call("export", model, "--head", "ctc", "--output", "phone")[0] == 0
    monkeypatch.setattr("foldformer.decode.evaluate.evaluate", None)  # nobody hears
    code, out, err = call("evaluate", model, test, "--against", "phone", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"foldformer: error: {message}")


@pytest.mark.parametrize(
    "option",
    [
        ("--chunk", "320ms"),
        ("--segment", "9s"),
        ("--head", "ctc"),
        ("--beam", "2"),
        ("--weights", "int8"),
    ],
)
def test_transcripts_are_not_heard(corpus: Path, tmp_path: Path, call, option) -> None:
    (tmp_path / "a.jsonl").touch()
    code, _, err = call("evaluate", tmp_path / "a.jsonl", corpus / "test.jsonl.gz", *option)
    assert code == 2
    assert f"{option[0]}: says how a model hears, and {tmp_path / 'a.jsonl'} holds trans" in err


def test_into_standard_output(model: Path, corpus: Path, tmp_path: Path, foldformer) -> None:
    """Which another program has begun, and goes on with."""
    with open(tmp_path / "log.txt", "w+") as log:
        log.write("before\n")
        log.flush()
        test = corpus / "test.jsonl.gz"
        done = foldformer("evaluate", model, test, "--output", "/dev/stdout", stdout=log)
        assert done.returncode == 0
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert lines[0] == "before"
    assert any(line.startswith("all ") for line in lines)
    assert sum('"hypothesis"' in line for line in lines) == len(CutSet.from_file(test))


def test_transcripts_have_no_card(corpus: Path, tmp_path: Path, call) -> None:
    (tmp_path / "a.jsonl").touch()
    code, _, err = call("evaluate", tmp_path / "a.jsonl", corpus / "test.jsonl.gz", "--card")
    assert code == 2
    assert "--card: transcripts have no card" in err


def test_a_card_that_cannot_be_written(own: Path, corpus: Path, tmp_path: Path, call) -> None:
    """The scores are printed all the same, and the model is none the worse."""
    folder = tmp_path / "model"
    shutil.copytree(own, folder)
    (folder / "README.md").write_bytes(b"caf\xe9\n")
    code, out, err = call("evaluate", folder, corpus / "test.jsonl.gz", "--card")
    assert code == 2
    assert out.split()[:2] == ["utt.", "WER"]
    assert err.startswith(f"foldformer: error: {folder / 'README.md'}: is not text in UTF-8")
    assert (folder / "README.md").read_bytes() == b"caf\xe9\n"
    api.load(folder).save(tmp_path / "copy")
    assert (tmp_path / "copy" / "README.md").read_bytes() == b"caf\xe9\n"


def test_the_card_of_a_training(model: Path, corpus: Path) -> None:
    card = (model / "README.md").read_text("utf-8")
    _, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front) == {
        "license": "unknown",
        "language": ["en"],
        "library_name": "foldformer",
        "pipeline_tag": "automatic-speech-recognition",
        "tags": ["foldformer", "speech", "recognition"],
        "metrics": ["wer", "cer"],
    }
    assert f"    foldformer evaluate {model} {corpus / 'dev.jsonl.gz'}\n" in body
    assert f"CC-BY-SA-3.0, CC-BY-3.0: see {corpus / 'README.md'} |" in body
    assert "composed of recorded words" in body
    best = json.loads((model / "training" / "best.json").read_text())
    assert f"| wer | {best['wer']:.4g} |" in body


def test_validation_figures_come_from_their_command(model: Path, corpus: Path, call) -> None:
    _, out, _ = call("evaluate", model, corpus / "dev.jsonl.gz", "--json")
    best = json.loads((model / "training" / "best.json").read_text())
    scores = json.loads(out)["scores"]["all"]
    assert scores["wer"]["value"] == pytest.approx(best["wer"])
    assert scores["cer"]["value"] == pytest.approx(best["cer"])


def test_long_utterances_are_heard_in_pieces(
    model: Path, corpus: Path, tmp_path: Path, call
) -> None:
    """As `transcribe` hears them; what a piece emits counts from the start of the recording."""
    test, rows = corpus / "test.jsonl.gz", {}
    for options in ((), ("--chunk", "320ms")):
        output = tmp_path / "a.jsonl"
        segment = ("--segment", "2s", *options)
        code, out, err = call("evaluate", model, test, *segment, "--output", output, "--json")
        assert (code, err) == (0, "")
        assert json.loads(out)["measured"]["command"].endswith("--segment 2s")
        rows = {row["id"]: row for row in map(json.loads, output.read_text("utf-8").splitlines())}
        assert max(row["seconds"] for row in rows.values()) > 4
        for name, row in rows.items():
            audio = corpus / "audio" / "en" / "test" / f"{name}.flac"
            code, out, err = call("transcribe", model, audio, *segment, "--json")
            assert (code, err) == (0, "")
            parts = [json.loads(line)["text"] for line in out.splitlines()]
            assert row["hypothesis"] == " ".join(part for part in parts if part)
    for row in rows.values():
        assert len(row["emitted"]) == len(row["hypothesis"].split())
        assert row["emitted"] == sorted(row["emitted"])
        assert all(time <= row["seconds"] for time in row["emitted"])


def odd_cut(folder: Path, name: str, seconds: float, rate: int, text: str) -> MonoCut:
    """Noise at a rate of its own."""
    path = folder / f"{name}.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(int(seconds * rate)), rate)
    recording = Recording.from_file(path, recording_id=name)
    said = SupervisionSegment(name, name, 0.0, recording.duration, text=text, language="en")
    return MonoCut(name, 0.0, recording.duration, 0, [said], recording=recording)


def test_odd_utterances(model: Path, tmp_path: Path, call, caplog) -> None:
    """What no model could hear is left out and named; all else is scored."""
    cuts = [
        odd_cut(tmp_path, "hi-fi", 1.0, 96000, "one"),
        odd_cut(tmp_path, "phone", 1.0, 8000, "two"),
        odd_cut(tmp_path, "mute", 1.0, 16000, ""),
        odd_cut(tmp_path, "foreign", 1.0, 16000, "\u4f60\u597d"),
        odd_cut(tmp_path, "click", 0.001, 16000, "three"),
    ]
    CutSet(cuts).to_file(tmp_path / "odd.jsonl")
    output = tmp_path / "out.jsonl"
    code, out, err = call("evaluate", model, tmp_path / "odd.jsonl", "--output", output)
    assert code == 0, err
    assert "all     4" in out
    assert out.endswith(f"\n\ntranscripts: {output}\n")
    assert "left out cut 'click': it lasts less than 0.04 s" in caplog.text + err
    rows = {row["id"]: row for row in map(json.loads, output.read_text("utf-8").splitlines())}
    assert set(rows) == {"hi-fi", "phone", "mute", "foreign"}
    samples, rate = soundfile.read(tmp_path / "hi-fi.wav", dtype="float32")
    lower = soxr.resample(samples, rate, 16000, quality="HQ")
    assert rows["hi-fi"]["hypothesis"] == api.load(model).transcribe(lower, 16000).text
    code, again, err = call("evaluate", output, tmp_path / "odd.jsonl")  # what it wrote itself
    assert code == 0, err
    assert "all     4" in again


def test_an_environment_for_many_processes_is_not_ours(
    model: Path, corpus: Path, call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As clusters set it for all that runs on them: one process hears everything."""
    words = ("evaluate", model, corpus / "test.jsonl.gz", "--json")
    code, alone, err = call(*words)
    assert code == 0, err
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "1")
    code, found, err = call(*words)
    assert code == 0, err
    assert json.loads(found)["scores"] == json.loads(alone)["scores"]


def test_an_id_in_two_manifests(model: Path, corpus: Path, call) -> None:
    test = corpus / "test.jsonl.gz"
    code, out, err = call("evaluate", model, test, test)
    assert (code, out) == (2, "")
    assert "of another manifest; expected each id once" in err


def test_three_hours_in_one_utterance(model: Path, tmp_path: Path, call) -> None:
    """Heard in pieces: its samples alone would be 0.7 GB, and its features another 0.3."""
    seconds, rate = 3 * 3600, 16000
    hum = (1000 * np.sin(2 * np.pi * 100 / rate * np.arange(60 * rate))).astype(np.int16)
    with soundfile.SoundFile(tmp_path / "long.wav", "w", rate, 1, "PCM_16") as file:
        for _ in range(seconds // 60):
            file.write(hum)
    recording = Recording.from_file(tmp_path / "long.wav", recording_id="long")
    said = SupervisionSegment("long", "long", 0.0, seconds, text="one", language="en")
    cut = MonoCut("long", 0.0, seconds, 0, [said], recording=recording)
    CutSet([cut, odd_cut(tmp_path, "short", 1.0, 16000, "two")]).to_file(tmp_path / "cuts.jsonl")
    ended, most = threading.Event(), [held()]

    def watch() -> None:
        while not ended.wait(0.1):
            most.append(held())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        code, out, err = call("evaluate", model, tmp_path / "cuts.jsonl", "--json")
    finally:
        ended.set()
        watching.join()
    assert (code, err) == (0, "")
    results = json.loads(out)
    assert results["audio_seconds"] == seconds + 1
    assert results["scores"]["all"]["utterances"] == 2
    assert len(most) > 10
    rss = [each.rss for each in most if each is not None]
    assert max(rss) - rss[0] < 300e6


@pytest.mark.parametrize("damage", ["truncated", "no sound", "missing"])
def test_a_bad_recording_in_a_manifest(
    model: Path, corpus: Path, tmp_path: Path, call, damage: str
) -> None:
    """In the middle of it; no score without it, and no file of half the utterances."""
    copy, output = tmp_path / "corpus", tmp_path / "out.jsonl"
    shutil.copytree(corpus, copy)
    with gzip.open(copy / "test.jsonl.gz", "rt", encoding="utf-8") as lines:
        names = [json.loads(line)["id"] for line in lines]
    path = copy / "audio" / "en" / "test" / f"{names[2]}.flac"
    data = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(data[: len(data) // 2] if damage == "truncated" else b"fLaC" * 99)
    code, out, err = call("evaluate", model, copy / "test.jsonl.gz", "--output", output)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith(f"foldformer: error: cut '{names[2]}': its recording")
    assert not output.exists()
