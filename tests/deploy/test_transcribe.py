"""`foldformer transcribe EXPORT` and `foldformer.deploy`, where there is no PyTorch."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from numpy.typing import NDArray

from foldformer.checkpoint import ModelConfig
from foldformer.data.tokens import Tokens, TokensSpec
from foldformer.decode.recognizer import Recognizer
from foldformer.deploy.folder import StreamSpec
from foldformer.deploy.pieces import write_vocabulary
from foldformer.model import Model
from foldformer.report.transcripts import SrtWriter, VttWriter, Writer

Wave = NDArray[np.float32]
Sounds = Callable[..., list[Wave]]
Export = Callable[..., Path]
Command = Callable[..., subprocess.CompletedProcess[str]]

RATE = 16000
WHOLE = 40960
"""Samples of 16 chunks."""
CHUNK = 0.16


@pytest.fixture
def recordings(sounds: Sounds, tmp_path: Path) -> list[Path]:
    """Two recordings, of which the second ends in the middle of a chunk."""
    paths = []
    for number, wave in enumerate(sounds(WHOLE, 31234)):
        paths.append(tmp_path / f"{number}.wav")
        soundfile.write(paths[-1], wave, RATE, subtype="FLOAT")
    return paths


def lines(ran: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert (ran.returncode, ran.stderr) == (0, "")
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.mark.parametrize("streaming", [True, False])
def test_files(
    exported: Export,
    command: Command,
    recordings: list[Path],
    model: Model,
    tokens: Tokens,
    stream: StreamSpec,
    streaming: bool,
) -> None:
    """The same JSON as of the PyTorch model, but for the scores, which the runtime keeps.

    The second recording ends in the middle of a chunk.
    """
    found = lines(command("transcribe", exported("ctc", streaming), *recordings, "--json"))
    recognizer = Recognizer(model, tokens, ModelConfig(model=model.spec), "ctc")
    for result, path in zip(found, recordings, strict=True):
        (segment,) = recognizer.segments(path, stream.chunk if streaming else None)
        assert [result[key] for key in ("file", "start", "end")] == [
            str(path), segment.start, segment.end,
        ]  # fmt: skip
        best = segment.transcripts[0]
        assert len(best.tokens) >= 5
        assert (result["tokens"], result["times"]) == (list(best.tokens), list(best.times))
        assert result["score"] is None
        assert result["scores"] == [None] * len(result["tokens"])
        assert " ".join(word["text"] for word in result["words"]) == " ".join(
            result["text"].split()
        )


@pytest.mark.parametrize(("form", "writer"), [("srt", SrtWriter), ("vtt", VttWriter)])
def test_subtitles_are_those_of_the_model(
    exported: Export,
    command: Command,
    recordings: list[Path],
    model: Model,
    tokens: Tokens,
    form: str,
    writer: Callable[[], Writer],
) -> None:
    ran = command("transcribe", exported("ctc", False), recordings[0], "--format", form)
    recognizer = Recognizer(model, tokens, ModelConfig(model=model.spec), "ctc")
    written = writer()
    expected = [
        written.begin(),
        *map(written.segment, recognizer.segments(recordings[0])),
        written.end(),
    ]
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "".join(expected)
    assert ran.stdout.count("-->") >= 1


def test_a_transducer_and_subtitles(
    exported: Export, command: Command, recordings: list[Path], tmp_path: Path
) -> None:
    folder = exported("transducer", True)
    ran = command("transcribe", folder, *recordings, "--format", "srt", "--output", tmp_path / "o")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert (tmp_path / "o" / "0.srt").read_text(encoding="utf-8").startswith("1\n00:00:0")
    greedy, beam = (
        lines(command("transcribe", folder, recordings[0], "--json", *words))[0]
        for words in ([], ["--beam", "4"])
    )
    for result in (greedy, beam):
        assert len(result["tokens"]) >= 5
        assert all(score < 0 for score in result["scores"])
        assert result["score"] == pytest.approx(sum(result["scores"]), abs=1e-3)
    assert beam["tokens"] != greedy["tokens"]


@pytest.fixture
def transducer(exported: Export, tmp_path: Path) -> Callable[[str], tuple[Path, str]]:
    """An export with tokens of a kind, and a phrase that it can write."""

    def make(kind: str) -> tuple[Path, str]:
        if kind == "characters":
            return exported("transducer", True), "ñßñ"
        shutil.copytree(exported("transducer", True), folder := tmp_path / "pieces")
        tokens = TokensSpec(kind="sentencepiece", vocab_size=8).build(["abc cab", "ab abc"] * 9)
        assert "▁abc" in tokens.symbols  # more than single letters
        tokens.save(folder)
        write_vocabulary(folder, tokens)
        said = yaml.safe_load((folder / "export.yaml").read_text())
        del said["checksums"]["tokens.txt"]
        (folder / "export.yaml").write_text(yaml.safe_dump(said))
        return folder, "abcb"

    return make


@pytest.mark.parametrize("kind", ["characters", "sentencepiece"])
def test_hotwords(
    transducer: Callable[[str], tuple[Path, str]],
    command: Command,
    recordings: list[Path],
    tmp_path: Path,
    kind: str,
) -> None:
    folder, phrase = transducer(kind)
    (tmp_path / "hot.txt").write_text(f"{phrase}\nab :1.5\n", encoding="utf-8")
    words = ["transcribe", folder, recordings[0], "--beam", "4"]
    ran = [
        command(*words),
        command(*words, "--hotwords", tmp_path / "hot.txt", "--hotwords-score", "9"),
    ]
    assert [each.returncode for each in ran] == [0, 0], ran[1].stderr
    assert ran[1].stderr == ""
    assert ran[1].stdout.count(phrase) > ran[0].stdout.count(phrase)


@pytest.mark.parametrize(
    ("head", "words"), [("ctc", []), ("transducer", []), ("transducer", ["--beam", "4"])]
)
def test_endpoints(
    exported: Export, command: Command, recordings: list[Path], head: str, words: list[str]
) -> None:
    """Nothing is silent here: a segment ends when it is a second long."""
    words = [*words, "--endpoint", "2s", "--segment", "1s", "--json"]
    found = lines(command("transcribe", exported(head, True), recordings[0], *words))
    assert len(found) >= 2
    assert found[0]["start"] == 0
    assert found[-1]["end"] == WHOLE / RATE
    for one, other in pairwise(found):
        assert one["end"] <= other["start"]
    for each in found[:-1]:
        assert 0.9 < each["end"] - each["start"] < 1.5
    for each in found:
        assert all(each["start"] <= time < each["end"] for time in each["times"])


FAKE = """
import os, signal
import numpy as np, soundfile
class PortAudioError(Exception): pass
def query_devices(device, kind):
    if device == "none":
        raise ValueError("No input device matching 'none'")
    return {"default_samplerate": 16000.0}
class InputStream:
    def __init__(self, device, channels, samplerate, dtype):
        assert (channels, samplerate, dtype) == (1, 16000, "float32")
        self.samples = soundfile.read(os.environ["SPOKEN"], dtype="float32", always_2d=True)[0]
    def __enter__(self):
        return self
    def __exit__(self, *error):
        pass
    def read(self, count):
        block, self.samples = self.samples[:count], self.samples[count:]
        if not len(self.samples):
            if os.environ["ENDED"] == "unplugged":
                raise PortAudioError("Device unavailable")
            os.kill(os.getpid(), getattr(signal, os.environ["ENDED"]))
        return block, False
"""


def test_what_is_known_so_far(exported: Export, command: Command, recordings: list[Path]) -> None:
    """It grows with what has been heard, and ends as the whole; in text it says when."""
    folder = exported("ctc", True)
    words = ("transcribe", folder, recordings[0])
    *partial, whole = lines(command(*words, "--json", "--partial"))
    (plain,) = lines(command(*words, "--json"))
    assert {key: whole[key] for key in ("text", "tokens", "times")} == {
        key: plain[key] for key in ("text", "tokens", "times")
    }
    assert len(partial) >= 3
    for each in partial:
        known = [
            token
            for token, time in zip(whole["tokens"], whole["times"], strict=True)
            if time < each["end"]
        ]
        assert set(each) == {"file", "start", "end", "partial"}
        text = " ".join("".join(known).replace("▁", " ").split())
        assert text.startswith(each["partial"])
    ends = [each["end"] for each in partial]
    assert ends == sorted(set(ends))
    ran = command(*words, "--partial")
    *grown, last = ran.stdout.splitlines()
    assert grown == [f"{each['end']:7.2f} s  {each['partial']}" for each in partial]
    assert last == whole["text"]


def test_what_is_known_of_each_segment(
    exported: Export, command: Command, recordings: list[Path]
) -> None:
    """After an endpoint it begins anew."""
    words = ("transcribe", exported("ctc", True), recordings[0], "--json", "--endpoint", "80ms")
    found = lines(command(*words, "--partial"))
    whole = [each for each in found if "text" in each]
    assert len(whole) >= 2
    assert whole == lines(command(*words))
    start = {each["start"] for each in found if "partial" in each}
    assert start <= {each["start"] for each in whole}


@pytest.mark.parametrize(
    ("head", "streaming"), [("ctc", True), ("ctc", False), ("transducer", True)]
)
def test_the_code_of_the_card(
    exported: Export,
    command: Command,
    recordings: list[Path],
    tmp_path: Path,
    head: str,
    streaming: bool,
) -> None:
    """Copied as it stands, it hears a recording to its end, and the silence after it."""
    folder = exported(head, streaming)
    samples, _ = soundfile.read(recordings[1], dtype="float32")
    sound = tmp_path / "sound.wav"
    soundfile.write(sound, samples[: 16000 + 300], RATE, subtype="FLOAT")
    code = (folder / "README.md").read_text("utf-8").split("```python\n")[1].split("```")[0]
    program = "import soundfile\n" + code.replace(
        "samples, rate = ..., 16000",
        f"samples, rate = soundfile.read({str(sound)!r}, dtype='float32')",
    )
    assert program.count("soundfile.read") == 1
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True
    )
    (plain,) = lines(command("transcribe", folder, sound, "--json"))
    assert len(plain["tokens"]) >= 3
    written, expected = ("".join(text.split()) for text in (ran.stdout, plain["text"]))
    assert written.startswith(expected)
    assert len(written) <= len(expected) + (4 if streaming else 0)


@pytest.fixture
def listen(
    exported: Export, command: Command, recordings: list[Path], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`transcribe --microphone`, which hears the second recording and then what `ended` says."""
    (tmp_path / "sounddevice.py").write_text(FAKE)
    paths = f"{tmp_path}:{Path(__import__('foldformer').__file__).parents[1]}"
    spoken = {"SPOKEN": str(recordings[1]), "PYTHONPATH": paths}

    def run(*words: object, ended: str = "SIGINT") -> subprocess.CompletedProcess[str]:
        folder = exported("ctc", True)
        return command("transcribe", folder, "--microphone", *words, ENDED=ended, **spoken)

    return run


def test_microphone(
    listen: Command, exported: Export, command: Command, recordings: list[Path], tmp_path: Path
) -> None:
    """What it hears until a signal ends it is what a recording with the same endpoints holds."""
    read = command("transcribe", exported("ctc", True), recordings[1], "--endpoint", "1.2s")
    assert len(read.stdout.strip()) >= 5
    for ended in ("SIGINT", "SIGTERM", "SIGHUP"):
        heard = listen(ended=ended)
        assert (heard.returncode, heard.stderr, heard.stdout) == (0, "", read.stdout)
    unplugged = listen(ended="unplugged")
    assert (unplugged.returncode, unplugged.stdout) == (2, read.stdout)
    assert unplugged.stderr.startswith("foldformer: error: microphone: Device unavailable;")
    output = tmp_path / "said"
    refused = listen("--microphone-device", "none", "--output", output)
    assert (refused.returncode, refused.stdout, output.exists()) == (2, "", False)
    assert refused.stderr.startswith("foldformer: error: microphone: No input device matching")


def test_what_the_microphone_heard_before_stays(listen: Command, tmp_path: Path) -> None:
    said = tmp_path / "said"
    expected = {form: listen("--format", form).stdout for form in ("text", "json", "srt")}
    for suffix, form in {"txt": "text", "jsonl": "json"}.items():
        for times in (1, 2):
            again = listen("--output", said, "--format", form)
            assert (again.returncode, again.stderr) == (0, "")
            written = (said / f"microphone.{suffix}").read_text("utf-8")
            assert written == times * expected[form]
    first, second = (listen("--output", said, "--format", "srt") for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 2)
    assert second.stderr.startswith(f"foldformer: error: {said}/microphone.srt: is there already")
    assert (said / "microphone.srt").read_text("utf-8") == expected["srt"]


def test_a_bad_recording_is_one_line(
    exported: Export, command: Command, recordings: list[Path], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "short.wav", np.zeros(100), RATE)
    for words in ([], ["--endpoint", "1s"]):
        ran = command(
            "transcribe", exported("ctc", True), tmp_path / "short.wav", recordings[0], *words
        )
        assert ran.returncode == 2
        assert ran.stdout.startswith(f"{recordings[0]}\t")
        assert ran.stderr == (
            f"foldformer: error: {tmp_path}/short.wav: lasts 6.2 ms (100 samples at 16000 Hz); "
            "expected at least 40 ms\n"
        )


@pytest.mark.parametrize("words", [["--partial"], ["--endpoint", "1s"]])
def test_a_bad_sample_is_found_where_it_is(
    exported: Export, command: Command, sounds: Sounds, tmp_path: Path, words: list[str]
) -> None:
    (wave,) = sounds(WHOLE)
    wave[2 * RATE + 80] = np.nan
    soundfile.write(tmp_path / "bad.wav", wave, RATE, subtype="FLOAT")
    ran = command("transcribe", exported("ctc", True), tmp_path / "bad.wav", *words)
    assert ran.returncode == 2
    assert ran.stderr == (
        f"foldformer: error: {tmp_path}/bad.wav, from 2.00 s: sample 80 (0.005 s) is nan; "
        "expected finite numbers: the recording is damaged\n"
    )


PYTHON = """
import array
import json
import soundfile
import foldformer.deploy
from foldformer.errors import FoldformerError

export, offline, path = sys.argv[1:]
samples, rate = soundfile.read(path, dtype="float32")
recognizer = foldformer.deploy.load(export)
results = [recognizer.transcribe(path), recognizer.transcribe(samples, rate)]
stream = recognizer.stream()
for start in range(0, len(samples), 777):
    stream.accept(samples[start : start + 777], rate)
results.append(stream.finish())
stream = recognizer.stream()
stream.accept(samples[:20000], rate)
first = stream.cut()
stream.accept(samples[20000:], rate)
second = stream.finish()
results.append(recognizer.transcribe(array.array("f", samples), rate))
lower = recognizer.transcribe((samples[::2] * 32767).astype("int16"), rate // 2)
beside = [(samples[:1601, None].repeat(2, 1), rate), (samples[1601:], rate)]
(whole,) = recognizer.live(beside)
results.append(whole.transcripts[0])
errors = []
numbers = samples * 32767
for wrong in (
    lambda: recognizer.stream().accept(numbers, rate),
    lambda: recognizer.stream().accept(array.array("f", numbers), rate),
    lambda: foldformer.deploy.load(offline).stream(),
    lambda: recognizer.transcribe(samples),
    lambda: recognizer.transcribe(path, chunk=9),
    lambda: recognizer.transcribe(list(samples), rate),
    lambda: list(recognizer.segments(samples)),
    lambda: stream.accept(samples, rate),
):
    try:
        wrong()
    except (FoldformerError, ValueError) as error:
        errors.append(str(error))
print(json.dumps({
    "results": [[each.text, each.tokens, each.times] for each in results],
    "cut": [first.times, second.times],
    "type": type(results[0]).__module__,
    "lower": lower.tokens,
    "errors": errors,
}))
"""


def test_python(exported: Export, script: Callable[..., Any], recordings: list[Path]) -> None:
    folders = exported("transducer", True), exported("ctc", False)
    found = script(PYTHON, *folders, recordings[1])
    one, *others = found["results"]
    assert others == [one, one, one, one]
    assert len(one[1]) >= 5
    assert found["type"] == "foldformer.decode.transcript"
    assert found["lower"]
    before, after = found["cut"]
    assert before
    assert before[-1] < 20000 / RATE
    assert after[0] > before[-1]
    peak = found["errors"][0].split()[4].strip(";")
    scale = f"the stream: samples reach {peak}; expected a full scale of 1.0: divide"
    assert found["errors"][0].startswith(scale)
    assert found["errors"][1].startswith(scale)
    assert [each.split(":")[0] for each in found["errors"]] == [
        "the stream",
        "the stream",
        "stream",
        "sampling_rate",
        "chunk",
        "audio",
        "audio",
        "the stream is finished; begin another one",
    ]
