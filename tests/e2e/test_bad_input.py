"""Every mistake of a user is one clear line and exit code 2; nothing is left half-written."""

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from lhotse import CutSet

Change = Callable[[Path], object]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def one_line(result: tuple[int, str, str], *parts: str) -> None:
    code, out, err = result
    assert code == 2, err
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith("foldformer: error: ")
    for part in parts:
        assert part in err


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """A folder with recordings, most of them bad."""
    rate, second = 16000, np.zeros(16000, np.float32)
    soundfile.write(tmp_path / "none.wav", second[:0], rate)
    soundfile.write(tmp_path / "short.wav", second[:300], rate)
    second[5000] = np.nan
    soundfile.write(tmp_path / "nan.wav", second, rate, "FLOAT")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("This is no recording.\n" * 50)
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.wav", "no such file; expected an audio file"),
        ("empty.wav", "is empty (0 bytes)"),
        ("text.wav", "cannot be read as audio"),
        ("folder", "holds no recordings; expected .wav, .flac, .ogg, .mp3 or alike"),
        ("none.wav", "holds no samples; expected at least 40 ms"),
        ("short.wav", "lasts 18.8 ms (300 samples at 16000 Hz); expected at least 40 ms"),
        ("nan.wav", "sample 5000 (0.312 s) is nan; expected finite numbers"),
    ],
)
def test_recordings(model: Path, audio: Path, call, name: str, message: str) -> None:
    one_line(call("transcribe", model, audio / name), f"{audio / name}: ", message)


def test_a_bad_recording_does_not_hide_the_others(
    model: Path, audio: Path, recordings: list[Path], call
) -> None:
    code, out, err = call("transcribe", model, recordings[0], audio / "nan.wav", recordings[1])
    assert code == 2
    assert [line.split("\t")[0] for line in out.splitlines()] == [
        str(recordings[0]),
        str(recordings[1]),
    ]
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--chunk", "100ms"), "'100ms' is no positive multiple of 40 ms"),
        (("--chunk", "abc"), "'abc' is not a duration; write it like 320ms"),
        (("--chunk", "0ms"), "'0ms' is no positive multiple of 40 ms"),
        (("--chunk", ""), "'' is not a duration"),
        (("--chunk", "9" * 400 + "s"), "a duration of 400 digits is too long"),
        (("--head", "attention"), "the model has no 'attention' head, only ctc, transducer"),
        (("--beam", "0"), "beam: expected 1 or more"),
        (("--beam", "-3"), "beam: expected 1 or more"),
    ],
)
@pytest.mark.parametrize("verb", ["transcribe", "evaluate"])
def test_options(
    model: Path, corpus: Path, recordings: list[Path], call, verb: str, options, message: str
) -> None:
    what = recordings[0] if verb == "transcribe" else corpus / "test.jsonl.gz"
    one_line(call(verb, model, what, *options), message)


def test_more_hypotheses_than_the_beam_keeps(model: Path, recordings: list[Path], call) -> None:
    result = call("transcribe", model, recordings[0], "--num-best", "3")
    one_line(result, "num-best: 3 hypotheses want a beam as large; add --beam 3")


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("config.yaml", Path.unlink, "config.yaml: missing; a model folder needs"),
        ("config.yaml", truncate, "config.yaml"),
        ("config.yaml", lambda path: path.write_bytes(b"\x80\x04\x95"), "not readable as YAML"),
        ("model.safetensors", Path.unlink, "model.safetensors: missing; a model folder needs"),
        ("model.safetensors", truncate, "is damaged or no safetensors file"),
        ("model.safetensors", lambda path: path.write_bytes(pickle.dumps([1])), "is damaged"),
        ("tokens.txt", Path.unlink, "tokens.txt: no such file; expected one `symbol id` a line"),
        ("tokens.txt", lambda path: path.write_text("<blk> 0\n<unk> 1\na 2\n"),
         "tokens.txt: has 3 tokens, but the model was trained with"),
        ("tokens.txt", truncate, "tokens.txt"),
        ("tokens.txt", lambda path: path.write_bytes(b"\xff\xfe" * 20), "not a text file in UTF-8"),
        ("tokens.txt", lambda path: path.write_text(""), "line 1: expected `symbol id`"),
    ],
)  # fmt: skip
def test_a_damaged_model_folder(
    model: Path,
    tmp_path: Path,
    recordings: list[Path],
    call,
    file: str,
    change: Change,
    message: str,
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(model, broken, ignore=shutil.ignore_patterns("training"))
    change(broken / file)
    one_line(call("transcribe", broken, recordings[0]), message, str(broken / file))


@pytest.mark.parametrize("place", ["none", "file"])
def test_what_is_no_model_folder(tmp_path: Path, recordings: list[Path], call, place: str) -> None:
    (tmp_path / "file").touch()
    one_line(
        call("transcribe", tmp_path / place, recordings[0]),
        f"{tmp_path / place}: ",
        "expected a model folder with config.yaml and model.safetensors",
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("--trainig.steps", "3"), "trainig: unknown key; did you mean 'training'?"),
        (("--training.step", "3"), "training.step: unknown key; did you mean 'steps'?"),
        (("--training.steps",), "--training.steps: has no value; write --training.steps VALUE"),
        (("--training.steps", "many"), "training.steps: expected a whole number, got 'many'"),
        (("training.steps", "3"), "'training.steps': expected a setting like --training.steps"),
        (("--model.encoder.uses", "2"), "3 layers are not divisible by 2 uses; possible: 1, 3"),
        (("--model.encoder.linear.rank", "40"), "rank: 40 is larger than the matrix allows"),
        (("--model.encoder.mixer.num_heads", "5"), "5 heads do not divide a width of 32"),
        (("--data.train", "none.jsonl.gz"), "none.jsonl.gz: no such file; expected a Lhotse"),
        (("--data.valid", "none.jsonl.gz"), "none.jsonl.gz: no such file; expected a Lhotse"),
        (("--data.text", "translaton_es"), "did you mean 'translation_es'?"),
        (("--tokens.kind", "sentencepiece"), "SentencePiece cannot make 500 tokens"),
        (("--model.vocab_size", "7"), "model.vocab_size: 7 asked for, but there are"),
        (("--model.encoder.num_layers", "3000000"), "num_layers: expected 1 to 1000, got 3000000"),
        (("--model.encoder.subsampling.kernel", "9999"), "kernel: expected 2 to 100, got 9999"),
        (("--data.num_workers", "100000"), "num_workers: expected 1024 at most, got 100000"),
        (("--training.threads", "100000"), "threads: expected 1024 at most, got 100000"),
        (("--seed", "-1"), "seed: expected 0 to 4294967295, got -1"),
        (("--training.save_every", "0"), "save_every: expected 1 or more, got 0"),
        (("--skip-bad-batches", "-1"), "--skip-bad-batches: expected 0 or more, got -1"),
        (("--training.chunks", "[100ms]"), "chunks: '100ms' is no positive multiple of 40 ms"),
    ],
)
def test_training_is_refused_before_anything_is_written(
    tmp_path: Path, write_config, call, settings: tuple[str, ...], message: str
) -> None:
    path = write_config(tmp_path)
    one_line(call("train", path, *settings), message)
    assert [each.name for each in tmp_path.iterdir()] == ["model.yaml"]


def test_a_pickle_in_place_of_a_model(
    tmp_path: Path, write_config, call, recordings: list[Path]
) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps({"weights": [1.0]}))
    expected = f"{path}: is not a folder; expected a model folder with config.yaml"
    one_line(call("transcribe", path, recordings[0]), expected)
    config = write_config(tmp_path)
    one_line(call("train", config, "--training.initialise_from", path), expected)
    state = tmp_path / "model" / "training"
    assert not state.exists()


def test_a_pickle_in_place_of_a_checkpoint(tmp_path: Path, write_config, call, model: Path) -> None:
    shutil.copytree(model, tmp_path / "model")
    last = tmp_path / "model" / "training" / "last.ckpt"
    last.write_bytes(pickle.dumps({"callbacks": {}}))
    one_line(
        call("train", write_config(tmp_path)),
        f"{last}: is damaged or no checkpoint of foldformer",
        "to begin anew",
    )


@pytest.mark.parametrize("output", ["model.yaml", "model.yaml/below"])
def test_an_output_that_is_a_file(tmp_path: Path, write_config, call, output: str) -> None:
    path = write_config(tmp_path)
    one_line(
        call("train", path, "--output", tmp_path / output),
        f"{path}: is a file; `output` names the folder to make",
    )


def changed_manifest(corpus: Path, folder: Path, change: Callable[[dict], None]) -> Path:
    """A copy of the training corpus in which every cut has been changed."""
    shutil.copytree(corpus, folder)
    cuts = [cut.to_dict() for cut in CutSet.from_file(folder / "train.jsonl.gz")]
    for cut in cuts:
        change(cut)
    CutSet.from_dicts(cuts).to_file(folder / "changed.jsonl.gz")
    return folder / "changed.jsonl.gz"


def test_a_manifest_without_the_text(corpus: Path, tmp_path: Path, write_config, call) -> None:
    manifest = changed_manifest(
        corpus, tmp_path / "c", lambda cut: cut["supervisions"][0].pop("text")
    )
    one_line(
        call("train", write_config(tmp_path, data={"train": str(manifest)})),
        "the field 'text' of its supervision is missing",
    )
    assert not (tmp_path / "model").exists()


def test_a_manifest_that_is_damaged(corpus: Path, tmp_path: Path, write_config, call) -> None:
    manifest = tmp_path / "train.jsonl"
    manifest.write_text('{"id": "a", "type": "MonoCut"}\n')
    one_line(
        call("train", write_config(tmp_path, data={"train": str(manifest)})),
        str(manifest),
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_recording_in_a_manifest(
    corpus: Path, tmp_path: Path, write_config, call, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found in training at the latest, also by a process that prepares batches."""
    manifest = changed_manifest(corpus, tmp_path / "c", lambda cut: None)
    files = sorted((tmp_path / "c" / "audio" / "en" / "train").glob("*.flac"))
    files[3].write_bytes(b"fLaC" + bytes(1000))
    if workers:  # let it pass the statistics, which would find it first
        monkeypatch.setattr("foldformer.data.statistics.SAMPLE", 1)
    data = {"train": str(manifest), "num_workers": workers}
    code, out, err = call("train", write_config(tmp_path, data=data))
    assert (code, out) == (2, "")
    last = err.splitlines()[-1]
    assert last.startswith(f"foldformer: error: cut '{files[3].stem}': its recording")
    assert "cannot be read" in last
    assert "Traceback" not in err


def test_evaluating_what_cannot_be(model: Path, corpus: Path, tmp_path: Path, call) -> None:
    one_line(call("evaluate", model, "none.jsonl.gz"), "none.jsonl.gz: no such file")
    one_line(call("evaluate", model, "README.md"), "expected a manifest of cuts named *.jsonl")
    test = corpus / "test.jsonl.gz"
    one_line(call("evaluate", model, test, "--text", "txt"), "did you mean 'text'?")
    one_line(call("evaluate", model, test, "--output", tmp_path), f"{tmp_path}: is a folder")
    (tmp_path / "file").touch()
    one_line(
        call("evaluate", model, test, "--output", tmp_path / "file" / "x"),
        "file: cannot be written: it is a file",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_describing_what_is_none(tmp_path: Path, call) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"model": 3}))
    one_line(call("describe", tmp_path), "expected a mapping under `model`")


def test_arguments_that_are_none(call) -> None:
    one_line(
        call("transcribe", "a", "b", "--heed", "ctc"),
        "unknown arguments: --heed ctc; see foldformer transcribe --help",
    )
    one_line(call("transcibe"), "invalid choice: 'transcibe'")
    one_line(
        call("transcribe", "a.flac"),
        "the following arguments are required: AUDIO; see foldformer transcribe --help",
    )
