"""Recordings of one's own, from folders and tables of several makers, by the command."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from lhotse import Recording
from lhotse.cut import Cut

from foldformer.cli.main import main
from foldformer.data.corpora._choice import words_of
from foldformer.data.corpora._own.heard import Heard
from foldformer.data.corpora._own.listed import Listed
from foldformer.data.corpora._own.split import by_speaker, split
from foldformer.data.corpora._own.usable import Usable
from foldformer.data.cuts import check_cut, language_of, read_cuts, samples_of, text_of
from foldformer.data.tokens import normalise
from foldformer.errors import InputError
from foldformer.train.source import source_of

RATE = 8000


def record(path: Path, seconds: float = 1.0, pitch: float = 200.0, channels: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.3 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * RATE)) / RATE)
    soundfile.write(path, np.stack([wave, *[0 * wave] * (channels - 1)], axis=1), RATE)
    return path


def make(out: Path, *words: str | Path) -> list[Cut]:
    """The cuts of train, made by the command without dev and test."""
    assert main(["corpus", "own", str(out), *map(str, words), "--dev", "0", "--test", "0"]) == 0
    return list(read_cuts(out / "train.jsonl.gz"))


def said(cuts: list[Cut]) -> dict[str, str]:
    return {cut.id: text_of(cut, "text") for cut in cuts}


def test_a_folder_has_a_text_beside_each_recording(tmp_path: Path) -> None:
    for name, text in (("a.wav", "Good morning.\n"), ("b/c.flac", "guten\nTag")):
        path = record(tmp_path / "recordings" / name)
        path.with_suffix(".txt").write_text(text, encoding="utf-8")
    (tmp_path / "recordings" / ".hidden.wav").write_bytes(b"")
    cuts = make(tmp_path / "own", tmp_path / "recordings", "--language", "de")
    assert said(cuts) == {"a": "Good morning.", "b/c": "guten Tag"}
    assert {language_of(cut) for cut in cuts} == {"de"}
    assert not (tmp_path / "own" / "dev.jsonl.gz").exists()
    for cut in cuts:
        check_cut(cut, "text")
        assert len(samples_of(cut)) == RATE


def test_librispeech_has_the_texts_of_a_chapter_in_one_file(tmp_path: Path) -> None:
    folder = tmp_path / "LibriSpeech" / "84" / "121123"
    for name in ("84-121123-0000", "84-121123-0001"):
        record(folder / f"{name}.flac")
    (folder / "84-121123.trans.txt").write_text("84-121123-0000 GO ON\n84-121123-0001 DO YOU\n")
    cuts = make(tmp_path / "own", tmp_path / "LibriSpeech")
    assert list(said(cuts).values()) == ["GO ON", "DO YOU"]
    assert {cut.supervisions[0].speaker for cut in cuts} == {"84"}


def test_common_voice_has_a_table_beside_its_clips(tmp_path: Path) -> None:
    record(tmp_path / "cv" / "clips" / "common_1.mp3")
    lines = ["client_id\tpath\tsentence\tlocale", 'f00\tcommon_1.mp3\t"Ja", sagte er.\tde']
    table = tmp_path / "cv" / "validated.tsv"
    table.write_text("\n".join(lines), encoding="utf-8")
    (cut,) = make(tmp_path / "own", table)
    (supervision,) = cut.supervisions
    assert (supervision.text, supervision.speaker) == ('"Ja", sagte er.', "f00")
    assert supervision.language == "de"
    assert len(samples_of(cut)) == pytest.approx(RATE, rel=0.2)  # MP3 pads
    (cut,) = make(tmp_path / "words", table, "--words")
    assert text_of(cut, "text") == "Ja sagte er"


def test_nemo_has_json_lines_with_places_in_recordings(tmp_path: Path) -> None:
    path = record(tmp_path / "talk.wav", seconds=5)
    lines = [
        {"audio_filepath": str(path), "duration": 1.5, "offset": 0.5, "text": "one"},
        {"audio_filepath": str(path), "duration": 2.0, "offset": 3.0, "text": "two", "lang": "en"},
    ]
    table = tmp_path / "manifest.json"
    table.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    cuts = make(tmp_path / "own", table, "--language", "de")
    assert [(cut.start, cut.duration, language_of(cut)) for cut in cuts] == [
        (0.5, 1.5, "de"),
        (3.0, 2.0, "en"),
    ]
    whole, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_allclose(samples_of(cuts[1]), whole[3 * RATE :], atol=1e-6)


def test_a_duration_without_a_start_is_that_of_the_recording(tmp_path: Path) -> None:
    record(tmp_path / "a.wav", seconds=1)
    table = tmp_path / "t.jsonl"
    table.write_text('{"audio_filepath": "a.wav", "duration": 1.2, "text": "rounded by its maker"}')
    (cut,) = make(tmp_path / "own", table)
    assert (cut.start, cut.duration) == (0, 1)


@pytest.mark.parametrize("delimiter", [",", ";", "|"])
def test_a_csv_table_tells_its_delimiter(tmp_path: Path, delimiter: str) -> None:
    record(tmp_path / "sounds" / "a.wav")
    table = tmp_path / "t.csv"
    head = delimiter.join(("clip", "said", "who", "in english"))
    table.write_text(f'\ufeff{head}\na.wav{delimiter}"ja{delimiter} gut"{delimiter}x{delimiter}yes')
    names = ("path=clip", "text=said", "speaker=who", "translation_en=in english")
    columns = [word for name in names for word in ("--column", name)]
    (cut,) = make(tmp_path / "own", table, "--audio", tmp_path / "sounds", *columns)
    assert text_of(cut, "text") == f"ja{delimiter} gut"
    assert text_of(cut, "translation_en") == "yes"


def test_all_channels_are_heard(tmp_path: Path) -> None:
    path = record(tmp_path / "recordings" / "a.wav", channels=2)
    path.with_suffix(".txt").write_text("two microphones")
    (cut,) = make(tmp_path / "own", tmp_path / "recordings")
    whole, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_allclose(samples_of(cut), whole.mean(axis=1), atol=1e-6)
    check_cut(cut, "text")


def test_recordings_beside_the_corpus_move_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record(tmp_path / "data" / "recordings" / "a.wav")
    path.with_suffix(".txt").write_text("a")
    make(tmp_path / "data" / "own", tmp_path / "data" / "recordings")
    make(tmp_path / "elsewhere" / "own", tmp_path / "data" / "recordings")
    monkeypatch.chdir(tmp_path / "data" / "recordings")
    make(Path("../too"), Path("."))
    (tmp_path / "data" / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "data" / "sub")
    make(Path("far"), Path("../recordings"))
    (tmp_path / "data").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    for name in ("own", "too"):
        (cut,) = read_cuts(f"moved/{name}/train.jsonl.gz")
        assert len(samples_of(cut)) == RATE
    (cut,) = read_cuts("moved/sub/far/train.jsonl.gz")
    assert Path(cut.recording.sources[0].source) == path  # not below the parent of the corpus
    (cut,) = read_cuts("elsewhere/own/train.jsonl.gz")
    assert Path(cut.recording.sources[0].source) == path  # where it was


def test_what_cannot_be_used_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path / "good.wav")
    (tmp_path / "damaged.wav").write_bytes(b"no sound")
    lines = ["path,text,start,duration", "good.wav,good,,", "good.wav,the same again,,"]
    lines += ["good.wav,,,", "lost.wav,lost,,", "damaged.wav,damaged,,", "damaged.wav,twice,,"]
    lines += ["good.wav,late,0.5,0.6", "good.wav,backwards,-1,0.5", "good.wav,nothing,0.5,0"]
    lines += ["good.wav,at the end,1.01,0.01", f"{'x' * 300},no name of a file,,"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    cuts = make(tmp_path / "own", tmp_path / "t.csv")
    assert said(cuts) == {"good": "good"}
    out = capsys.readouterr().out
    for line in (
        "| no text | 1 | good.wav |",
        "| listed twice | 1 | good.wav |",
        "| recording missing | 2 | lost.wav |",
        "| recording cannot be read | 2 | damaged.wav |",
        "| begins or ends outside its recording | 4 | good.wav |",
    ):
        assert line in out
        assert line in (tmp_path / "own" / "README.md").read_text()


@pytest.mark.skipif(sys.platform == "darwin", reason="all names of files are UTF-8 there")
def test_a_name_that_json_cannot_write_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("good.wav", os.fsdecode(b"caf\xe9.wav")):
        path = record(tmp_path / "made.wav").rename(tmp_path / name)
        path.with_suffix(".txt").write_text("a")
    assert said(make(tmp_path / "own", tmp_path)) == {"good": "a"}
    assert "| name that is not UTF-8 | 1 | caf\\udce9.wav |" in capsys.readouterr().out


def test_a_recording_is_heard_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is said of it, and however it is called; another one of its name is another."""
    for name in ("a.wav", "a.flac"):
        record(tmp_path / name)
    lines = ["path,text,start", "a.wav,a,", "a.wav,a,", "./a.wav,b,", "a.wav,b,0.0"]
    lines += ["a.flac,c,", "a.wav,d,0.5", "a.wav,d,0.5"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    cuts = make(tmp_path / "own", tmp_path / "t.csv")
    assert said(cuts) == {"a": "a", "a.flac": "c", "a@0.5": "d"}
    assert "| listed twice | 4 | a.wav |" in capsys.readouterr().out


def test_a_row_without_a_start_begins_where_its_recording_does(tmp_path: Path) -> None:
    record(tmp_path / "a.wav", seconds=1)
    lines = ["path,text,start,duration", "a.wav,one,,0.4", "a.wav,two,0.4,0.6"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    cuts = make(tmp_path / "own", tmp_path / "t.csv")
    assert [(cut.start, cut.duration) for cut in cuts] == [(0, 0.4), (0.4, 0.6)]


def test_the_licence_of_the_recordings_comes_along(tmp_path: Path) -> None:
    record(tmp_path / "recordings" / "a.wav").with_suffix(".txt").write_text("a")
    (tmp_path / "recordings" / "LICENSE.md").write_text("CC BY 4.0")
    make(tmp_path / "own", tmp_path / "recordings")
    assert source_of(str(tmp_path / "own" / "train.jsonl.gz")).licence.startswith("CC-BY-4.0")


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """A table of as many utterances as are asked for, said by some speakers."""

    def write(name: str, count: int, speakers: int) -> Path:
        record(tmp_path / "a.wav", seconds=0.05 * count)
        lines = ["path,text,speaker,start,duration"]
        lines += [f"a.wav,text {n},{n % speakers},{0.05 * n},0.05" for n in range(count)]
        path = tmp_path / name
        path.write_text("\n".join(lines))
        return path

    return write


def speakers_of(path: Path) -> set[str]:
    return {cut.supervisions[0].speaker for cut in read_cuts(path)}


def test_speakers_of_dev_and_test_are_heard_nowhere_else(
    tmp_path: Path, table: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["corpus", "own", str(tmp_path / "own"), str(table("t.csv", 240, 12))]) == 0
    heard = [
        speakers_of(tmp_path / "own" / f"{name}.jsonl.gz") for name in ("train", "dev", "test")
    ]
    assert [len(each) for each in heard] == [8, 2, 2]  # of 20 utterances each
    assert len(set.union(*heard)) == 12
    assert "No other split has the speakers of dev or test." in capsys.readouterr().out


def test_dev_and_test_may_be_tables_of_their_own(
    tmp_path: Path, table: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--dev", str(table("dev.csv", 7, 1)), "--test", "5"]
    assert main(["corpus", "own", str(tmp_path / "own"), str(table("t.csv", 30, 3)), *words]) == 0
    sizes = [
        len(list(read_cuts(tmp_path / "own" / f"{n}.jsonl.gz"))) for n in ("train", "dev", "test")
    ]
    assert sizes == [18, 7, 5]  # of 30, seven are those of dev
    assert "Train has none of the texts of test." in capsys.readouterr().out  # dev may have


def test_what_tests_is_not_learnt(
    tmp_path: Path, table: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--dev", str(table("dev.csv", 7, 1)), "--test", str(table("test.csv", 5, 1))]
    assert main(["corpus", "own", str(tmp_path / "own"), str(table("t.csv", 30, 3)), *words]) == 0
    texts = [
        {text_of(cut, "text") for cut in read_cuts(tmp_path / "own" / f"{name}.jsonl.gz")}
        for name in ("train", "dev", "test")
    ]
    assert [len(each) for each in texts] == [23, 2, 5]
    assert "| in dev or test too | 12 | a.wav |" in capsys.readouterr().out


def test_no_part_of_what_tests_is_learnt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in range(3):
        record(tmp_path / f"{n}.wav", seconds=2)
    (tmp_path / "same.wav").symlink_to(tmp_path / "1.wav")
    head = "path,text,start,duration"
    test = ["0.wav,all of it,,", "1.wav,the middle,0.5,0.5", "1.wav,the end,1.5,0.5"]
    train = ["0.wav,begins,0.1,0.4", "0.wav,ends,1.5,0.4"]  # heard
    train += ["1.wav,all of it,,", "1.wav,over the edge,0.25,0.5", "same.wav,within,0.6,0.2"]
    train += ["same.wav,begins before,1.4,0.6"]
    train += ["1.wav,before,0,0.51", "1.wav,between,0.99,0.5", "2.wav,another,,"]  # not heard
    for name, lines in (("train", train), ("test", test)):
        (tmp_path / f"{name}.csv").write_text("\n".join([head, *lines]))
    tables = (str(tmp_path / f"{name}.csv") for name in ("train", "test"))
    out = str(tmp_path / "own")
    assert main(["corpus", "own", out, next(tables), "--dev", "0", "--test", next(tables)]) == 0
    kept = said(list(read_cuts(tmp_path / "own" / "train.jsonl.gz")))
    assert list(kept.values()) == ["before", "between", "another"]
    assert "| in dev or test too | 6 | 0.wav |" in capsys.readouterr().out


@given(
    heard=st.lists(st.tuples(st.integers(0, 40), st.none() | st.integers(1, 9)), max_size=9),
    start=st.integers(0, 40),
    duration=st.none() | st.integers(1, 9),
)
def test_what_is_heard_by_brute_force(
    heard: list[tuple[int, int | None]], start: int, duration: int | None
) -> None:
    def listed(start: int, duration: int | None) -> Listed:
        return Listed("a", Path("a"), "", start=float(start), duration=duration and float(duration))

    def seconds(start: int, duration: int | None) -> set[int]:
        return set(range(start, 99 if duration is None else start + duration))

    parts = Heard()
    for one in heard[:4], heard[4:]:
        parts.take(listed(*part) for part in one)
    expected = any(seconds(start, duration) & seconds(*part) for part in heard)
    assert parts.overlaps(listed(start, duration)) == expected


def test_made_again_it_is_there_until_a_recording_comes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "recordings"
    record(folder / "a.wav").with_suffix(".txt").write_text("a")
    words = ["corpus", "own", str(tmp_path / "own"), str(folder), "--dev", "0", "--test", "0"]
    assert main(words) == 0
    assert main(words) == 0
    assert "is already there" in capsys.readouterr().out
    record(folder / "b.wav").with_suffix(".txt").write_text("b")
    assert main(words) == 2
    assert "other arguments or recordings" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert len(list(read_cuts(tmp_path / "own" / "train.jsonl.gz"))) == 2


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kaldi").mkdir()
    (tmp_path / "kaldi" / "wav.scp").write_text("a a.wav")
    (tmp_path / "empty").mkdir()
    (tmp_path / "silent").mkdir()
    record(tmp_path / "silent" / "a.wav")
    files = {
        "t.txt": "a.wav",
        "names.csv": "clip,text\na.wav,a",
        "latin.csv": b"path,text\na.wav,\xe9",
        "number.csv": "path,text,start\na.wav,a,soon",
        "empty.csv": "path,text\n,a",
        "head.csv": "path,text\n",
        "lost.csv": "path,text\na.wav,a\nb.wav,b",
        "list.jsonl": "[1, 2]",
        "broken.jsonl": '{"path": ',
        "half.jsonl": '{"path": "a.wav", "text": "\\ud800"}',
    }
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
    for source, message in (
        ("nowhere", "nowhere: no such file or folder"),
        ("t.txt", "t.txt: expected a folder of recordings, or a table named .tsv, .csv"),
        ("kaldi", "is a data folder of Kaldi; `lhotse kaldi import`"),
        ("empty", "empty: holds no recordings"),
        ("silent", "silent: nothing of it can be used: no text: a.wav"),
        ("names.csv", "has no column 'path', but clip, text; name it: --column path=NAME"),
        ("latin.csv", "latin.csv: is not UTF-8"),
        ("number.csv", "number.csv, line 2: start is 'soon'; expected seconds"),
        ("empty.csv", "empty.csv, line 2: has no path"),
        ("head.csv", "head.csv: holds no recordings"),
        ("lost.csv", "recording missing: a.wav and 1 more; --audio names the folder"),
        ("list.jsonl", "list.jsonl, line 1: expected a JSON object a line"),
        ("broken.jsonl", "broken.jsonl, line 1: is no JSON"),
        ("half.jsonl", "half.jsonl, line 1: text holds half of a character"),
    ):
        assert main(["corpus", "own", str(tmp_path / "own"), str(tmp_path / source)]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    for words, message in (
        (["--column", "txt=a"], "nothing is known of 'txt'; did you mean 'text'?"),
        (["--column", "text=said"], "has no column 'said'; it has path, text"),
        (["--dev", "-5"], "dev: -5 utterances; expected 0 or more"),
    ):
        words = ["corpus", "own", str(tmp_path / "own"), str(tmp_path / "lost.csv"), *words]
        assert main(words) == 2
        assert message in capsys.readouterr().err
    assert not [path for path in tmp_path.iterdir() if "own" in path.name]


SOUND = Recording("a", sources=[], sampling_rate=RATE, num_samples=RATE, duration=1.0)


def utterance(number: int, text: str, speaker: str | None) -> Usable:
    return Usable(str(number), SOUND, text, speaker, None, 0.0, 1.0, {})


@given(
    st.lists(st.tuples(st.text("abA .", max_size=3), st.sampled_from([*"0123456789abc", None]))),
    st.none() | st.integers(0, 9),
    st.none() | st.integers(0, 9),
)
def test_splits_share_nothing_and_lose_nothing(
    given: list[tuple[str, str | None]], dev: int | None, test: int | None
) -> None:
    utterances = [utterance(n, text, speaker) for n, (text, speaker) in enumerate(given)]
    speakers = by_speaker(utterances)

    def key(each: Usable) -> tuple[str, str]:
        by = each.speaker if speakers else None
        return ("speaker", by) if by else ("text", normalise(words_of(each.text) or each.text))

    groups = set(map(key, utterances))
    usual = len(utterances) // 10
    wanted = [usual if number is None else number for number in (dev, test)]
    try:
        splits = split(utterances, dev, test)
    except InputError:  # only where there is too little
        assert len(groups) <= 2 or 4 * sum(wanted) >= len(utterances)
        return
    assert sorted(u.name for group in splits.values() for u in group) == sorted(
        u.name for u in utterances
    )
    assert splits["train"]
    for name, number in zip(("dev", "test"), wanted, strict=True):
        assert bool(splits[name]) == bool(number)
    keys = [set(map(key, group)) for group in splits.values()]
    assert sum(map(len, keys)) == len(set.union(*keys))
