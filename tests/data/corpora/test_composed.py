"""The corpus in its folder, by the Python function and by the command."""

import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from lhotse import CutSet

from foldformer.cli.main import main
from foldformer.data.corpora.composed import LANGUAGES, compose, transcript
from foldformer.data.cuts import load_cuts
from foldformer.errors import InputError, SpecError

SMALL = {"hours": 0.01, "dev": 5, "test": 8}
ARGUMENTS = ["--hours", "0.01", "--dev", "5", "--test", "8"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora") / "composed"
    return folder, compose(folder, **SMALL)


def cuts_of(folder: Path, split: str) -> CutSet:
    cuts = CutSet.from_file(folder / f"{split}.jsonl.gz")
    return cuts.with_recording_path_prefix(folder).to_eager()


def everything_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_has_what_was_asked_for(corpus):
    folder, sizes = corpus
    assert {path.name for path in folder.iterdir()} == {
        "audio",
        "train.jsonl.gz",
        "dev.jsonl.gz",
        "test.jsonl.gz",
        "README.md",
        "composed.yaml",
    }
    assert [size.language for size in sizes[::3]] == list(LANGUAGES)
    for split, number in (("dev", 5), ("test", 8)):
        cuts = cuts_of(folder, split)
        for language in LANGUAGES:
            ids = [cut.id for cut in cuts if cut.supervisions[0].language == language]
            assert ids == [f"composed-{language}-{split}-{index:06d}" for index in range(number)]
    seconds = defaultdict(float)
    for cut in cuts_of(folder, "train"):
        seconds[cut.supervisions[0].language] += cut.duration
    assert set(seconds) == set(LANGUAGES)
    assert all(36 <= total < 36 + 15 for total in seconds.values())
    for size in sizes:
        if size.split == "train":
            assert size.minutes * 60 == pytest.approx(seconds[size.language])
            assert size.transcripts == size.utterances


def test_cuts_are_valid_and_their_audio_is_whole(corpus):
    folder, _ = corpus
    for split in ("train", "dev", "test"):
        for cut in cuts_of(folder, split):
            assert cut.sampling_rate == 8000
            samples = cut.load_audio()
            assert samples.shape == (1, round(cut.duration * 8000))
            assert np.isfinite(samples).all()
            assert 0.05 < np.abs(samples).max() < 0.98
            (supervision,) = cut.supervisions
            assert supervision.duration == cut.duration
            words = supervision.alignment["word"]
            assert " ".join(word.symbol for word in words) == supervision.text
            assert 0.1 <= words[0].start < words[-1].end <= cut.duration - 0.1


def test_translations_are_what_the_other_language_says_itself(corpus):
    folder, _ = corpus
    own_texts = {}
    for cut in cuts_of(folder, "test"):
        supervision = cut.supervisions[0]
        own_texts[supervision.language, supervision.custom["meaning"]] = supervision.text
    met = 0
    for cut in cuts_of(folder, "test"):
        custom = cut.supervisions[0].custom
        for language in LANGUAGES:
            said = transcript(custom["meaning"], language)
            assert custom.get(f"translation_{language}") == said
            met += own_texts.get((language, custom["meaning"]), object()) == said
    assert met > 3 * 8 * 2  # most test meanings are spoken in several languages


def test_splits_share_no_meaning_and_no_text(corpus):
    folder, _ = corpus
    seen = {}
    for split in ("train", "dev", "test"):
        for cut in cuts_of(folder, split):
            custom = cut.supervisions[0].custom
            texts = [(name, text) for name, text in custom.items()]
            for item in texts:
                assert seen.setdefault(item, split) == split


def test_another_process_writes_the_same_bytes(corpus, tmp_path):
    folder, _ = corpus
    command = [sys.executable, "-m", "foldformer.cli.main", "corpus", "composed"]
    outcome = subprocess.run(
        [*command, str(tmp_path / "a" / "again"), *ARGUMENTS],
        env=os.environ | {"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert "| ru | test | 8 |" in outcome.stdout
    first, second = everything_in(folder), everything_in(tmp_path / "a" / "again")
    assert first == second
    assert len(first) > 100


def test_works_after_it_was_moved_and_from_any_folder(corpus, tmp_path, monkeypatch):
    folder, _ = corpus
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    monkeypatch.chdir(tmp_path)
    cut = next(iter(load_cuts(Path("moved") / "test.jsonl.gz")))
    assert (tmp_path / cut.recording.sources[0].source).is_relative_to(moved)
    assert cut.load_audio().shape == (1, cut.num_samples)
    monkeypatch.chdir(moved)
    assert CutSet.from_file("test.jsonl.gz")[0].load_audio().shape == (1, cut.num_samples)


def test_another_seed_gives_other_utterances(corpus, tmp_path):
    compose(tmp_path / "x", languages=["en"], seed=1, **SMALL)
    other = {cut.supervisions[0].text for cut in cuts_of(tmp_path / "x", "train")}
    first = {cut.supervisions[0].text for cut in cuts_of(corpus[0], "train")}
    assert not other & first


def test_the_second_time_says_that_it_is_there(corpus, capsys):
    folder, _ = corpus
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert main(["corpus", "composed", str(folder), *ARGUMENTS]) == 0
    assert "already there" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_the_readme_calls_it_composed_and_credits_the_speakers(corpus):
    folder, sizes = corpus
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# Composed speech")
    assert "--seed 0" in text
    assert f"| en | train | {sizes[0].utterances} |" in text
    for name in ("Allison Smith", "June Wallack", "Carlo Flora", "ivrvoice", "by-sa/3.0"):
        assert name in text


def test_replaces_a_corpus_only_when_told_to(tmp_path):
    out = tmp_path / "x"
    compose(out, languages=["it"], kinds=["digits"], **SMALL)
    before = everything_in(out)
    with pytest.raises(InputError, match=r"other arguments.*--overwrite"):
        compose(out, languages=["it"], kinds=["letters"], **SMALL)
    assert everything_in(out) == before
    compose(out, languages=["it"], kinds=["letters"], overwrite=True, **SMALL)
    texts = [cut.supervisions[0].custom["meaning"] for cut in cuts_of(out, "train")]
    assert all(text.startswith(("letters", "phonetic")) for text in texts)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_an_interrupted_run_leaves_nothing(tmp_path):
    class Stop(Exception):
        pass

    def stop(line):
        raise Stop

    with pytest.raises(Stop):
        compose(tmp_path / "x", languages=["en"], hours=1, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_overwrite_leaves_the_old_corpus(tmp_path):
    def stop(line):
        raise KeyboardInterrupt

    out = tmp_path / "x"
    compose(out, languages=["en"], **SMALL)
    before = everything_in(out)
    with pytest.raises(KeyboardInterrupt):
        compose(out, languages=["en"], hours=1, overwrite=True, progress=stop)
    assert everything_in(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--languages", "en,de"], "languages: unknown 'de'; one of en, es, fr, it, ru"),
        (["--languages", "en,en"], "named twice"),
        (["--languages", ","], "languages: none given"),
        (["--kinds", "number"], "kinds: unknown 'number'; did you mean 'numbers'?"),
        (["--hours", "0"], "hours: 0 hours; expected more than 0"),
        (["--hours", "nan"], "hours: nan hours"),
        (["--hours", "-2"], "hours: -2 hours"),
        (["--test", "0"], "test: 0 utterances"),
        (["--dev", "-1"], "dev: -1 utterances"),
    ],
)
def test_bad_arguments_are_one_line_and_code_2(arguments, message, tmp_path, capsys):
    assert main(["corpus", "composed", str(tmp_path / "x"), *arguments]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_line_and_code_2(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    for place in ("file", "file/x", "full"):
        argv = ["corpus", "composed", str(tmp_path / place), "--overwrite", *ARGUMENTS]
        assert main(argv) == 2
        output = capsys.readouterr()
        assert str(tmp_path / place) in output.err
        assert output.err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "file", "full"]


def test_a_full_disk_is_an_input_error_and_leaves_nothing(tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left on device"):
        compose(tmp_path / "x", **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_language_that_can_say_nothing_asked_for_is_an_error(tmp_path):
    with pytest.raises(SpecError, match="recordings of ru lack words for all of the kinds dates"):
        compose(tmp_path / "x", languages=["ru"], kinds=["dates"], **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_more_utterances_to_develop_on_than_there_are_is_an_error(tmp_path):
    with pytest.raises(SpecError, match=r"dev: fr has only \d+ different dev utterances"):
        compose(tmp_path / "x", languages=["fr"], kinds=["times"], hours=0.01, dev=3000, test=1)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_language_has_no_transcript():
    with pytest.raises(SpecError, match="unknown language 'xx'"):
        transcript("number:1", "xx")
