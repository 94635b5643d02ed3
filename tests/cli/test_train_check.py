"""`foldformer train` and its `--check` on data as users have them: whole, odd and damaged."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment

from foldformer.cli.main import main

MODEL = {
    "encoder": {
        "d_model": 16,
        "num_layers": 2,
        "uses": 2,
        "mixer": {"kind": "attention", "num_heads": 2},
        "feed_forward": {"kind": "dense", "d_ff": 16},
        "linear": {"kind": "residual", "rank": 1},
        "subsampling": {"channels": 8},
    },
    "heads": [{"kind": "ctc"}],
}
WORDS = ("one", "two", "three", "four", "five")

Result = tuple[int, str, str]
Item = dict[str, object]


def item_of(path: Path, name: str, text: str, seconds: float, rate: int) -> Item:
    """Write a tone, and describe it as a Lhotse cut."""
    times = np.arange(int(seconds * rate)) / rate
    samples = 0.1 * np.sin(2 * np.pi * 440 * times) + 0.01 * np.cos(1e4 * times**2)
    soundfile.write(path, samples, rate)
    recording = Recording.from_file(path, recording_id=name)
    recording.sources[0].source = path.name
    return MonoCut(
        name,
        start=0.0,
        duration=recording.duration,
        channel=0,
        recording=recording,
        supervisions=[
            SupervisionSegment(name, name, 0.0, recording.duration, text=text, language="en")
        ],
    ).to_dict()


class Corpus:
    """Sixteen utterances of 1 s and more, and ways to spoil them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.items = [
            item_of(folder / f"u{i}.wav", f"u{i}", WORDS[i % 5], 1 + 0.1 * i, 16000)
            for i in range(16)
        ]

    def write(self, name: str = "train") -> str:
        """The manifest, written."""
        path = self.folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(item) + "\n" for item in self.items))
        return str(path)

    def supervision(self, number: int) -> dict[str, object]:
        """That of an utterance."""
        supervisions = self.items[number]["supervisions"]
        assert isinstance(supervisions, list)
        first: dict[str, object] = supervisions[0]
        return first


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    folder = tmp_path / "corpus"
    folder.mkdir()
    return Corpus(folder)


Train = Callable[..., Result]


@pytest.fixture
def train(
    tmp_path: Path,
    corpus: Corpus,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Train:
    """`foldformer train CONFIG ...` on a manifest: exit code, stdout, stderr."""
    valid = corpus.write("valid")
    monkeypatch.setenv("COLUMNS", "80")

    def run(manifest: str, *words: str) -> Result:
        config = {
            "output": str(tmp_path / "model"),
            "data": {
                "train": manifest,
                "valid": valid,
                "max_duration": 8,
                "max_utterance": 8,
                "augmentation": None,
            },
            "model": MODEL,
            "training": {"steps": 2, "warmup": 1, "validate_every": 2, "threads": 1},
        }
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        capfd.readouterr()
        caplog.clear()
        code = main(["train", str(tmp_path / "config.yaml"), *words])
        captured = capfd.readouterr()
        return code, captured.out, caplog.text + captured.err

    return run


def flat(text: str) -> str:
    """A report without its line ends."""
    return " ".join(text.split())


def test_a_check_says_what_is_there_and_writes_nothing(
    tmp_path: Path, corpus: Corpus, train: Train
) -> None:
    corpus.supervision(3)["language"] = "it"
    manifest = corpus.write()
    before = sorted(tmp_path.rglob("*"))
    code, out, err = train(manifest, "--check", "--training.ema", "0.9")
    assert code == 0, out + err
    assert max(len(line) for line in out.splitlines() if "/" not in line) <= 80
    assert "training can start" in out.splitlines()[-1]
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    assert rows["it"] == ["1", "0.00", "1.30", "1.30", "1.30", f"{4 / 1.3:.1f}"]
    assert "16000 Hz 100.0%" in out
    assert "tokens: 13 characters" in out  # e f h i n o r t u v w, blank, unknown
    assert "activations" in out
    assert "left out" not in out
    assert sorted(path for path in tmp_path.rglob("*") if path.name != "config.yaml") == before


def a_duration(seconds: float) -> Callable[[Corpus], None]:
    def change(corpus: Corpus) -> None:
        corpus.items[4]["duration"] = seconds

    return change


def overlapping(corpus: Corpus) -> None:
    first = corpus.supervision(4)
    corpus.items[4]["supervisions"] = [first, first | {"id": "other", "start": 0.3}]


def a_text(text: str) -> Callable[[Corpus], None]:
    def change(corpus: Corpus) -> None:
        corpus.supervision(4)["text"] = text

    return change


def one_millisecond(corpus: Corpus) -> None:
    corpus.items[4] = item_of(corpus.folder / "short.wav", "u4", "one", 0.001, 16000)


def three_hours(corpus: Corpus) -> None:
    hour = np.zeros(3600 * 1000, np.int16)
    with soundfile.SoundFile(corpus.folder / "long.flac", "w", 1000, 1) as file:
        for _ in range(3):
            file.write(hour)
    recording = Recording.from_file(corpus.folder / "long.flac", recording_id="u4")
    cut = recording.to_cut().to_dict() | {"id": "u4"}
    corpus.items[4] = cut | {
        "supervisions": [corpus.supervision(4) | {"duration": recording.duration}]
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (a_duration(-0.5), "has no positive duration"),
        (a_duration(0.0), "has no positive duration"),
        (a_duration(9.0), "begins or ends outside its recording"),
        (lambda corpus: corpus.items[4].update(start=-0.5), "begins or ends outside its recording"),
        (overlapping, "has supervisions that overlap"),
        (
            lambda corpus: corpus.supervision(4).update(duration=-1.0),
            "has a supervision without positive duration",
        ),
        (a_text(""), "has an empty text"),
        (a_text("  \n"), "has an empty text"),
        (a_text("one " * 20), "has more tokens in its text than frames of 40 ms"),
        (one_millisecond, "lasts less than 0.2 s"),
        (three_hours, "lasts more than 8 s"),
    ],
)
def test_what_cannot_be_learnt_is_left_out_and_named(
    corpus: Corpus, train: Train, change: Callable[[Corpus], None], reason: str
) -> None:
    change(corpus)
    manifest = corpus.write()
    code, out, err = train(manifest, "--check")
    assert code == 0, out + err
    assert "left out of 16, and their share of the hours:" in out
    (line,) = [line for line in out.splitlines() if f"each {reason}" in line]
    assert line.split()[0] == "1"
    assert "u4" in flat(out)
    code, out, err = train(manifest)
    assert code == 0, err
    assert f"left out 1 of 16 cuts: each {reason}" in err
    assert err.count("left out") == 1


def test_characters_without_a_token_are_named(corpus: Corpus, train: Train) -> None:
    corpus.supervision(4)["text"] = "fivé"
    manifest = corpus.write()
    few = ("--tokens.vocab_size", "13")  # all but the rarest character
    code, out, err = train(manifest, "--check", *few)
    assert code == 0, out + err
    assert "each has characters that no token stands for: u4" in flat(out)
    assert "without a token: é 1" in out
    for words in (("--check",), ()):
        code, out, err = train(manifest, *words, "--tokens.vocab_size", "9")
        assert code == 2
        assert "of 16 cuts hold characters that no token stands for: " in flat(out + err)
        assert "raise tokens.vocab_size" in flat(out + err)
    code, _, err = train(manifest, *few)
    assert code == 0
    assert "no token stands for (é 1): u4" in err


def spoil(corpus: Corpus, number: int, kind: str) -> str:
    """Damage the recording of an utterance in the middle of the corpus."""
    name = f"u{number}"
    path = corpus.folder / f"{name}.wav"
    if kind == "flac":
        path = corpus.folder / f"{name}.flac"
        corpus.items[number] = item_of(path, name, "one", 2.0, 16000)
    data = path.read_bytes()
    if kind == "missing":
        path.unlink()
    elif kind == "nan":
        soundfile.write(path, np.full(16000 + 1600 * number, np.nan), 16000, subtype="FLOAT")
    else:
        path.write_bytes(
            {"no sound": b"abc" * 1000, "empty": b""}.get(kind, data[: len(data) // 2])
        )
    return name


@pytest.mark.parametrize("kind", ["wav", "flac", "no sound", "empty", "nan", "missing"])
def test_damaged_audio_is_found(corpus: Corpus, train: Train, kind: str) -> None:
    names = [spoil(corpus, number, kind) for number in (5, 9)]
    manifest = corpus.write()
    code, out, err = train(manifest, "--check")
    assert code == 2, out + err
    for name in names:  # all of them
        assert f"error: cut {name!r}: " in out
    assert "Exception" not in out  # as Lhotse words it
    # That of the validation too, which has the same recordings.
    assert f"{4 if kind != 'flac' else 2} errors: training cannot start" in out
    assert max(len(line) for line in out.splitlines() if "/" not in line) <= 80
    code, out, err = train(manifest)
    assert (code, out) == (2, "")
    last = err.splitlines()[-1]
    assert last.startswith("foldformer: error: cut 'u")
    assert any(name in last for name in names)
    assert "Traceback" not in err


def test_a_manifest_that_breaks_off_is_reported(corpus: Corpus, train: Train) -> None:
    manifest = Path(corpus.write())
    manifest.write_text(manifest.read_text()[:-50])
    code, out, err = train(str(manifest), "--check")
    assert (code, err) == (2, "")
    assert "train.jsonl, line 16: is not a cut (JSONDecodeError: " in flat(out)
    assert "1 error: training cannot start" in out
    code, out, err = train(str(manifest))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_an_id_that_comes_twice_is_reported(corpus: Corpus, train: Train) -> None:
    corpus.items.insert(9, corpus.items[4])
    manifest = corpus.write()
    code, out, _ = train(manifest, "--check")
    assert code == 2
    error = f"{manifest}, line 10: holds the cut 'u4' a second time; expected each id once"
    assert error in flat(out)
    code, _, err = train(manifest)
    assert code == 2
    assert err.splitlines()[-1] == f"foldformer: error: {error}"


def test_a_text_that_is_none_is_reported(corpus: Corpus, train: Train) -> None:
    corpus.supervision(3)["text"] = 5
    corpus.supervision(3)["custom"] = {"translation_it": "cinque"}
    code, out, _ = train(corpus.write(), "--check")
    assert code == 2
    assert "'text' of its supervision is 5, expected text; one of translation_it" in flat(out)


@pytest.mark.parametrize("rates", [(8000, 96000), (44100, 11025)])
def test_any_sampling_rate_will_do(corpus: Corpus, train: Train, rates: tuple[int, int]) -> None:
    for number, rate in enumerate(rates):
        name = f"r{rate}"
        corpus.items.append(item_of(corpus.folder / f"{name}.wav", name, WORDS[number], 1.5, rate))
    manifest = corpus.write()
    code, out, _ = train(manifest, "--check")
    assert code == 0
    for rate in rates:
        assert f"{rate} Hz 4.8%" in flat(out)
    code, out, err = train(manifest, "--data.augmentation", "{noise_probability: 1}")
    assert code == 0, err


def test_a_pattern_and_a_shar_folder(tmp_path: Path, corpus: Corpus, train: Train) -> None:
    corpus.write("part-1")
    corpus.items = corpus.items[:8]
    corpus.write("part-2")
    from foldformer.data.cuts import read_cuts

    cuts = CutSet(list(read_cuts(corpus.folder / "part-1.jsonl")))
    (tmp_path / "shar").mkdir()
    cuts.to_shar(tmp_path / "shar", fields={"recording": "flac"}, shard_size=6)
    for place, utterances in (
        (str(corpus.folder / "part-?.jsonl"), ["16", "8"]),
        (str(tmp_path / "shar"), ["16"]),
        (str(tmp_path / "sha*"), ["16"]),
    ):
        code, out, _ = train(place, "--check")
        assert code == 0
        rows = [line.split() for line in out.splitlines() if line.startswith("  en ")]
        assert [row[1] for row in rows] == [*utterances, "16"]
        code, out, err = train(
            place, "--output", str(tmp_path / f"model-{place.count('*')}-{len(utterances)}")
        )
        assert code == 0, err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("--data.train", "none-*.jsonl"), "none-*.jsonl: no manifest matches this pattern"),
        (("--data.train", "none"), "none: expected a manifest of cuts named *.jsonl"),
        (("--data.text", "txt"), "did you mean 'text'?"),
        (("--data.valid", "none.jsonl"), "none.jsonl: no such file"),
        (("--training.initialise_from", "none"), "none: "),
        (("--tokens.kind", "sentencepiece"), "SentencePiece cannot make 500 tokens"),
        (("--output", "/dev/null/x"), "/dev/null: is a file"),
        (("--data.augmentation", "{noise: none.jsonl}"), "none.jsonl: no such file"),
        (
            ("--data.augmentation", "{reverberation: {responses: none.jsonl}}"),
            "none.jsonl: no such file",
        ),
    ],
)
def test_a_check_finds_what_a_training_would(
    corpus: Corpus, train: Train, settings: tuple[str, ...], message: str
) -> None:
    code, out, _ = train(corpus.write(), "--check", *settings)
    assert code == 2
    assert message in flat(out)
    assert "training cannot start" in out.splitlines()[-1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("--data.max_duration", "long"), "data.max_duration: expected a number, got 'long'"),
        (("--data.train", "3"), "data.train: expected text or a list, each text, got 3"),
        (("--data.num_workers", "1.5"), "data.num_workers: expected a whole number, got 1.5"),
        (("--data.augmentation", "[1]"), "data.augmentation: expected a mapping, got [1]"),
        (
            ("--data.augmentation", "{telephone: {codecs: [mp3]}}"),
            "data.augmentation.telephone.codecs[0]: 'mp3' is none of 8khz, mu-law, a-law, gsm",
        ),
        (
            ("--data.augmentation", "{reverberation: {rt60: [1]}}"),
            "data.augmentation.reverberation: rt60: [1.0]; expected [least, most]",
        ),
        (("--data.train", "[]"), "data: train: names no manifest; expected one or more"),
    ],
)
@pytest.mark.parametrize("check", [(), ("--check",)])
def test_wrong_types_are_one_line(
    corpus: Corpus, train: Train, check: tuple[str, ...], settings: tuple[str, ...], message: str
) -> None:
    code, out, err = train(corpus.write(), *check, *settings)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_validation_leaves_out_what_no_model_could_hear(
    tmp_path: Path, corpus: Corpus, train: Train
) -> None:
    manifest = corpus.write()
    one_millisecond(corpus)
    corpus.items[6]["duration"] = -1.0
    corpus.supervision(7)["text"] = ""
    corpus.write("valid")
    code, out, _ = train(manifest, "--check")
    assert code == 0
    assert "each lasts less than 0.04 s: u4" in out
    assert "each has no positive duration: u6" in out
    assert "empty" not in out
    code, _, err = train(manifest)
    assert code == 0
    assert "valid.jsonl: left out cut 'u4': it lasts less than 0.04 s" in err


def test_validation_that_hears_nothing(corpus: Corpus, train: Train) -> None:
    manifest = corpus.write()
    del corpus.items[3:]
    corpus.items[0]["duration"] = -1.0
    corpus.write("valid")
    limit = ("--data.max_duration", "1", "--data.max_utterance", "1")
    why = "none of its 3 cuts can be used: 1 because each has no positive duration; 2 because each"
    code, out, _ = train(manifest, "--check", *limit)
    assert code == 2
    assert f"{why} lasts more than 1 s; cut long recordings at their supervisions" in flat(out)
    assert "or raise max_duration" in flat(out)
    code, _, err = train(manifest, *limit)
    assert code == 2
    assert "1 because each has no positive duration" in err
    assert "2 because each lasts more than 1 s" in err


def test_more_memory_than_there_is(
    corpus: Corpus, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foldformer.train.check._available", lambda: 400_000)
    code, out, _ = train(corpus.write(), "--check")
    assert code == 2
    assert "lower data.max_duration or data.cache_gb" in flat(out)


def test_more_weights_than_there_is_memory(corpus: Corpus, train: Train) -> None:
    """Said before they are made: some systems end a process that asks for too much."""
    code, out, _ = train(corpus.write(), "--check", "--model.encoder.d_model", "4000000")
    assert code == 2
    assert "weights, gradients and optimiser take" in flat(out)
    assert "take a smaller model" in flat(out)


def test_the_memory_of_several_devices(
    corpus: Corpus, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes of a machine without GPUs share its memory, whether they hold copies or shares."""
    manifest, wide = corpus.write(), ("--model.encoder.d_model", "512")

    def rows(*words: str) -> dict[str, float]:
        code, out, _ = train(manifest, "--check", *wide, *words)
        assert code == 0
        lines = out.split("libraries:\n")[1].splitlines()[:-1]
        return {line[:34].strip(): float(line[34:]) for line in lines}

    alone, copies = rows(), rows("--devices", "2")
    assert copies["gradients that are sent"] == alone["gradients"]
    assert copies["2 processes"] == pytest.approx(2 * copies["together"], abs=0.1)
    shares = rows("--devices", "2", "--nodes", "2", "--strategy", "fsdp")
    assert shares["optimiser"] == pytest.approx(alone["optimiser"] / 4, abs=0.1)
    assert "2 processes" in shares
    assert alone["optimiser"] > 4
    noisy = rows("--training.quantization_noise", "{}")
    assert noisy["exact weights"] > 1
    for each in (alone, noisy):
        parts = [size for name, size in each.items() if name not in ("together", "the machine has")]
        assert sum(parts) == pytest.approx(each["together"], abs=0.3)
    _, out, _ = train(manifest, "--check", "--devices", "2", "--nodes", "2")
    assert "memory of each process of 4 in MiB" in out
    most = 1.5 * alone["together"] * 2**20
    monkeypatch.setattr("foldformer.train.check._available", lambda: most)
    assert rows()["together"] == alone["together"]
    code, out, _ = train(manifest, "--check", *wide, "--devices", "2")
    assert code == 2
    assert "GiB of memory for 2 processes, and there are" in flat(out)


def test_a_strategy_that_cannot_be_is_found(corpus: Corpus, train: Train) -> None:
    noise = ("--training.quantization_noise", "{}")
    code, out, _ = train(corpus.write(), "--check", "--strategy", "fsdp", *noise)
    assert code == 2
    assert "with --strategy fsdp no process holds one" in flat(out)
