"""`foldformer transcribe` as a user calls it, with a model that was never trained."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from foldformer.cli.main import main
from foldformer.decode.recognizer import Recognizer

COMMAND = [sys.executable, "-m", "foldformer.cli.main", "transcribe"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def sound(seconds: float, rate: int = 16000, seed: int = 0) -> NDArray[np.float32]:
    """Noise whose loudness and colour change a few times a second."""
    rng = np.random.default_rng(seed)
    count = int(seconds * rate)
    loudness = np.repeat(rng.uniform(0, 0.3, count // 1600 + 1), 1600)[:count]
    tone = np.sin(np.cumsum(np.repeat(rng.uniform(0.05, 2, count // 1600 + 1), 1600))[:count])
    return (loudness * (tone + 0.3 * rng.standard_normal(count))).astype(np.float32)


@pytest.fixture(scope="module")
def model(recognizer: Callable[..., Recognizer], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    recognizer().save(folder)
    return folder


@pytest.fixture
def audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in: calls/a.wav, calls/b.flac, calls/x/c.ogg of different sounds."""
    for seed, name in enumerate(["a.wav", "b.flac", "x/c.ogg"]):
        path = tmp_path / "calls" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound(2, seed=seed), 16000)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the verb in this process: exit code, stdout, stderr."""

    def run(*args: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(["transcribe", *map(str, args)])
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


def command(*args: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run the verb as a user does."""
    words = [*COMMAND, *map(str, args)]
    return subprocess.run(words, capture_output=True, **{"env": ENVIRONMENT, **options})


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_folders_patterns_and_files(model: Path, audio: Path, call) -> None:
    code, out, err = call(model, "calls/*.wav", "calls", "calls/b.flac")
    assert (code, err) == (0, "")
    rows = [line.split("\t") for line in out.splitlines()]
    named = [str(Path("calls", name)) for name in ("a.wav", "b.flac", "x/c.ogg")]
    assert [row[0] for row in rows] == named  # each once
    expected = [Recognizer.load(model).transcribe(name).text for name in named]
    assert [row[1] for row in rows] == expected
    assert len(set(expected)) == 3


def test_a_folder_with_one_recording_names_it(model: Path, audio: Path, call) -> None:
    assert call(model, "calls/x")[1].startswith(str(Path("calls/x/c.ogg")) + "\t")
    assert "\t" not in call(model, "calls/x/c.ogg")[1]


@pytest.mark.parametrize("shown", [True, False])
def test_how_far_it_is(
    model: Path, audio: Path, call, monkeypatch: pytest.MonkeyPatch, shown: bool
) -> None:
    """A bar where somebody may look at it; what is wrong with a file does not run into it."""
    (audio / "calls" / "b.flac").write_bytes(b"no sound")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: shown)
    code, out, err = call(model, "calls", "--output", "out")
    assert (code, out) == (2, "")
    complaints = [line for line in re.split(r"[\r\n]+", err) if line.startswith("foldformer")]
    assert len(complaints) == 1
    assert complaints[0].startswith(f"foldformer: error: {Path('calls/b.flac')}: cannot be read")
    assert ("3/3" in err) == ("c.ogg 0:02" in err) == shown


@pytest.mark.parametrize("form", ["text", "json", "srt", "vtt"])
def test_a_file_for_each_recording(model: Path, audio: Path, call, form: str) -> None:
    code, out, err = call(model, "calls", "--output", "out/deep", "--format", form)
    assert (code, out, err) == (0, "", "")
    suffix = {"text": "txt", "json": "jsonl"}.get(form, form)
    assert files(audio / "out" / "deep") == {f"a.{suffix}", f"b.{suffix}", f"x/c.{suffix}"}
    for name, place in (("a.wav", "a"), ("x/c.ogg", "x/c")):
        printed = call(model, f"calls/{name}", "--format", form)[1]
        written = (audio / "out" / "deep" / f"{place}.{suffix}").read_text(encoding="utf-8")
        assert written == printed != ""


def test_json_is_short_for_its_format(model: Path, audio: Path, call) -> None:
    out = call(model, "calls/a.wav", "--json", "--head", "ctc")[1]
    assert out == call(model, "calls/a.wav", "--format", "json", "--head", "ctc")[1]
    said = json.loads(out)
    expected = Recognizer.load(model, "ctc").transcribe("calls/a.wav")
    assert (said["file"], said["start"], said["end"]) == ("calls/a.wav", 0.0, 2.0)
    assert (said["text"], said["score"]) == (expected.text, expected.score)
    assert said["scores"] == list(expected.scores)
    assert [word["text"] for word in said["words"]] == expected.text.split()


def test_a_long_recording_is_cut(model: Path, audio: Path, call) -> None:
    soundfile.write("long.wav", sound(12), 16000)
    code, out, err = call(model, "long.wav", "--json", "--segment", "2s")
    assert (code, err) == (0, "")
    said = [json.loads(line) for line in out.splitlines()]
    assert len(said) >= 6
    assert (said[0]["start"], said[-1]["end"]) == (0.0, 12.0)
    assert [each["end"] for each in said[:-1]] == [each["start"] for each in said[1:]]
    assert max(each["end"] - each["start"] for each in said) <= 2.0
    text = call(model, "long.wav", "--segment", "2s")[1].splitlines()
    assert text == [each["text"] for each in said if each["text"]]
    assert len(call(model, "long.wav")[1].splitlines()) == 1


def test_subtitles_of_a_long_recording(model: Path, audio: Path, call) -> None:
    soundfile.write("long.wav", sound(12), 16000)
    times = re.compile(r"(\d\d):(\d\d):(\d\d),(\d{3})")
    out = call(model, "long.wav", "--format", "srt", "--segment", "2s")[1]
    clocks = [
        int(h) * 3600 + int(m) * 60 + int(s) + int(ms) / 1000 for h, m, s, ms in times.findall(out)
    ]
    assert clocks == sorted(clocks)
    assert len(clocks) > 10
    assert clocks[-1] <= 12.2
    numbers = re.findall(r"^(\d+)$", out, re.MULTILINE)
    assert numbers == [str(i) for i in range(1, len(clocks) // 2 + 1)]


def test_bad_ones_do_not_stop_the_rest(model: Path, audio: Path, call) -> None:
    Path("calls/text.wav").write_text("no sound\n" * 100)
    soundfile.write("calls/moment.wav", sound(1)[:16], 16000)
    data = Path("calls/b.flac").read_bytes()
    Path("calls/half.flac").write_bytes(data[: len(data) // 2])
    os.symlink("nowhere", "calls/gone.wav")
    code, out, err = call(model, "calls", "missing", "*.aiff", "--output", "out")
    assert (code, out) == (2, "")
    assert files(audio / "out") == {"a.txt", "b.txt", "x/c.txt"}
    lines = err.splitlines()
    assert all(line.startswith("foldformer: error: ") for line in lines)
    for name, message in [
        ("*.aiff", "fits no recording"),
        ("calls/gone.wav", "no such file"),
        ("calls/half.flac", "lost sync"),
        ("calls/moment.wav", "lasts 1.0 ms"),
        ("calls/text.wav", "cannot be read as audio"),
        ("missing", "no such file"),
    ]:
        (line,) = [line for line in lines if f" {name}: " in line]
        assert message in line
    assert len(lines) == 6


def test_what_is_gone_does_not_stop_the_rest_where_it_has_a_transcript(
    model: Path, audio: Path, call
) -> None:
    Path("out").mkdir()
    Path("out/gone.txt").write_text("said before\n")
    code, out, err = call(model, "calls/a.wav", "gone.wav", "calls/b.flac", "--output", "out")
    assert (code, out) == (2, "")
    assert err.startswith("foldformer: error: gone.wav: ")
    assert "no such file" in err
    assert err.count("\n") == 1
    assert files(audio / "out") == {"a.txt", "b.txt", "gone.txt"}
    assert Path("out/gone.txt").read_text() == "said before\n"


def test_a_name_that_no_file_can_have_does_not_stop_the_rest(
    model: Path, audio: Path, call
) -> None:
    code, out, err = call(model, f"{'x' * 300}.wav", "calls/a.wav", "--output", "out")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "File name too long" in err
    assert files(audio / "out") == {"a.txt"}


def test_a_recording_is_not_written_over(model: Path, audio: Path, call) -> None:
    shutil.copy("calls/a.wav", "calls/a.txt")  # a file is taken whatever it is called
    before = Path("calls/a.txt").read_bytes()
    code, _, err = call(model, "calls/a.txt", "--output", "calls")
    assert code == 2
    assert "calls/a.txt: its transcript would be written over calls/a.txt, which stands" in err
    assert Path("calls/a.txt").read_bytes() == before


@pytest.mark.parametrize("words", [["calls"], ["calls/a.wav"], ["calls/a.wav", "--json"]])
def test_a_text_beside_its_recording_is_not_written_over(
    model: Path, audio: Path, call, words: list[str]
) -> None:
    """It may be what was really said."""
    place = Path("calls/a.jsonl" if "--json" in words else "calls/a.txt")
    place.write_text("written by hand")
    code, out, err = call(model, *words, "--output", "calls/../calls")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"would be written over calls/../{place}, which stands beside it; take another" in err
    assert place.read_text() == "written by hand"
    assert call(model, *words, "--output", "out")[0] == 0
    assert call(model, *words, "--output", "out")[0] == 0  # once more


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["calls", "--format", "srt"], "format: srt holds one recording, and there are 3"),
        (["calls/a.wav", "--format", "vtt", "--num-best", "1"], "num-best: vtt holds one"),
        (["calls", "--segment", "400ms"], "segment: expected 1s or more, got '400ms'"),
        (["calls", "--segment", "x"], "segment: 'x' is no positive duration"),
        (["calls", "calls/x/../a.wav", "--output", "out"], "would have the name of that of"),
        (["calls/a.wav", "--output", "calls/b.flac"], "it is a file, not a folder"),
        (["none*"], "none*: fits no recording"),
    ],
)
def test_what_cannot_be(model: Path, audio: Path, call, args: list[str], message: str) -> None:
    before = files(audio)
    code, out, err = call(model, *args)
    assert (code, out) == (2, "")
    assert err.startswith("foldformer: error: ")
    assert message in err
    assert err.count("\n") == 1
    assert files(audio) == before


def test_standard_input(model: Path, audio: Path, call) -> None:
    """Through a pipe, which cannot seek, and from a file."""
    expected = call(model, "calls/b.flac")[1]
    data = Path("calls/b.flac").read_bytes()
    assert command(model, "-", input=data).stdout.decode() == expected
    with open("calls/b.flac", "rb") as file:
        done = command(model, "-", "--json", stdin=file)
    said = json.loads(done.stdout)
    assert (said["file"], said["text"]) == ("-", expected.strip())


@pytest.fixture
def accents(model: Path, tmp_path: Path) -> Path:
    """The model, with letters that ASCII lacks."""
    folder = tmp_path / "accents"
    shutil.copytree(model, folder)
    table = (folder / "tokens.txt").read_text(encoding="utf-8")
    (folder / "tokens.txt").write_text(table.replace("c 5", "è 5").replace("d 6", "ж 6"), "utf-8")
    return folder


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_terminal_that_knows_ascii_alone(accents: Path, audio: Path, form: str) -> None:
    name = "calls/caffè.wav"
    shutil.copy("calls/a.wav", name)
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = command(accents, name, "calls/b.flac", "--format", form, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    expected = Recognizer.load(accents).transcribe(name).text
    assert not expected.isascii()
    first = done.stdout.decode("ascii").splitlines()[0]
    if form == "json":
        assert (json.loads(first)["file"], json.loads(first)["text"]) == (name, expected)
    else:
        assert first == f"{name}\t{expected}".encode("ascii", "backslashreplace").decode()


def test_into_a_closed_pipe(model: Path, audio: Path) -> None:
    words = " ".join([*COMMAND, str(model), *["calls"] * 3])
    done = subprocess.run(
        ["bash", "-c", f"{words} --json --segment 1s | head -1"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    assert done.stderr == ""
    assert json.loads(done.stdout)["file"] == "calls/a.wav"


def test_stopped_by_hand(model: Path, audio: Path) -> None:
    """Whole transcripts or none: what was being written when Ctrl-C came is gone."""
    soundfile.write("calls/z.wav", np.tile(sound(60), 60), 16000)  # an hour, the last one
    words = [*COMMAND, str(model), "calls", "--output", "out"]
    process = subprocess.Popen(
        words,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        # Ctrl-C does nothing in what a shell has started in the background; here it shall.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for _ in range(600):
        if list(Path("out").glob(".partial-*/z.txt")):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == b"foldformer: interrupted\n"
    assert files(audio / "out") == {"a.txt", "b.txt", "x/c.txt"}


def test_only_what_is_needed_is_imported(model: Path, audio: Path) -> None:
    program = (
        "import sys\nfrom foldformer.cli.main import main\n"
        "code = main(['transcribe', *sys.argv[1:]])\n"
        "print(code, *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    words = [sys.executable, "-c", program, str(model), "calls", "--format", "json"]
    done = subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT)
    code, *modules = done.stdout.splitlines()[-1].split()
    assert code == "0", done.stderr
    assert "torch" in modules
    heavy = {"lightning", "lhotse", "scipy", "tensorboard", "sacrebleu", "matplotlib"}
    more = {"huggingface_hub", "sentencepiece", "kaldialign", "pandas", "requests"}
    assert not (heavy | more) & set(modules)


@pytest.mark.parametrize("words", [["a.wav", "--endpoint", "1s"], ["--microphone"]])
def test_what_only_an_export_does(
    model: Path, words: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["transcribe", str(model), *words]) == 2
    option = words[-2 if "1s" in words else -1].strip("-")
    assert capfd.readouterr().err == (
        f"foldformer: error: {option}: only an export has that, and {model} is none; "
        "`foldformer export` makes one\n"
    )
