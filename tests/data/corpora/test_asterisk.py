"""The corpus of prompts, from packages of its layout, by the command."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet

from foldformer.cli.main import main
from foldformer.data.cuts import load_cuts, samples_of

LANGUAGES = ("en", "es", "fr", "it", "ru")
SPLITS = {
    "train": {"vm-goodbye", "hold", "password", "digits/day-1", "digits/day-2"},
    "dev": {"digits/day-5", "digits/mon-2"},
    "test": {"auth-thankyou", "try-again"},
}
"""As the hash of the English text has it, from now on and for ever."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, debian: Path) -> Path:
    out = tmp_path_factory.mktemp("asterisk") / "data" / "asterisk"
    assert main(["corpus", "asterisk", str(out), "--source", str(debian)]) == 0
    return out


def cuts_of(folder: Path, split: str) -> CutSet:
    return load_cuts(folder / f"{split}.jsonl.gz").to_eager()


def supervisions(folder: Path, split: str) -> list:
    return [cut.supervisions[0] for cut in cuts_of(folder, split)]


def test_a_prompt_is_in_the_same_split_in_every_language(made: Path) -> None:
    for split, prompts in SPLITS.items():
        found = {(s.language, s.custom["prompt"]) for s in supervisions(made, split)}
        assert found == {(language, prompt) for language in LANGUAGES for prompt in prompts}


def test_texts_and_translations_are_those_of_the_packages(made: Path) -> None:
    (cut,) = [cut for cut in cuts_of(made, "train") if cut.id.endswith("it-carlo-flora-vm-goodbye")]
    (supervision,) = cut.supervisions
    assert supervision.text == "Arrivederci"
    assert supervision.language == "it"
    assert supervision.speaker == "carlo-flora"
    assert supervision.custom == {
        "prompt": "vm-goodbye",
        "written": "Arrivederci.",
        "translation_en": "Goodbye",
        "translation_es": "Adiós",
        "translation_fr": "Au revoir",
        "translation_ru": "До свидания",
    }


def test_recordings_are_those_of_the_packages_bit_for_bit(
    made: Path, asterisk_packages: dict[str, dict[str, bytes]]
) -> None:
    sounds = asterisk_packages["asterisk-core-sounds-ru-wav"]
    met = 0
    for split in SPLITS:
        for cut in cuts_of(made, split):
            if cut.supervisions[0].language == "ru":
                prompt = cut.supervisions[0].custom["prompt"]
                wav = sounds[f"usr/share/asterisk/sounds/ru_RU_f_IvrvoiceRU/{prompt}.wav"]
                expected, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
                assert (rate, cut.sampling_rate) == (8000, 8000)
                np.testing.assert_array_equal(samples_of(cut), expected)
                met += 1
    assert met == 9


def test_the_unseen_voice_is_heard_nowhere_else_and_says_the_test(made: Path) -> None:
    heard = {s.speaker for split in SPLITS for s in supervisions(made, split)}
    assert len(heard) == 4  # English and Spanish are one speaker's
    unseen = supervisions(made, "test-unseen")
    assert {s.speaker for s in unseen} == {"paola-dal-zot"}
    assert not {s.speaker for s in unseen} & heard
    assert {s.custom["prompt"] for s in unseen} == SPLITS["test"]


def test_the_readme_has_counts_reasons_licences_and_credits(made: Path, debian: Path) -> None:
    text = (made / "README.md").read_text(encoding="utf-8")
    for split in (*SPLITS, "test-unseen"):
        cuts = [cut for cut in cuts_of(made, split) if cut.supervisions[0].language == "it"]
        minutes = sum(cut.duration for cut in cuts) / 60
        assert re.search(rf"\| it \| {split} \| {len(cuts)} \| \d+ \| {minutes:.1f} \|", text)
    for row in (
        "| left out | en | es | fr | it | ru | it* |",
        "| no text | 1 | 1 | 1 | 1 | 1 | 1 |",
        "| no speech: a sound or silence | 1 | 1 | 1 | 1 | 1 | 1 |",
        "| text with remarks in brackets | 1 | 1 | 1 | 1 | 1 | 1 |",
        "| prompt of train or dev | 0 | 0 | 0 | 0 | 0 | 7 |",
    ):
        assert row in text
    for name in ("Allison Smith", "June Wallack", "Carlo Flora", "Maxim Topal", "Paola Dal Zot"):
        assert name in text
    assert "Attribution-ShareAlike 3.0" in text
    packages = {path.name.split("_")[0] for path in debian.glob("asterisk-*.deb")}
    assert {path.stem for path in (made / "licences").iterdir()} == packages
    menardi = made / "licences" / "asterisk-prompt-it-menardi-wav.txt"
    assert menardi.read_text() == "asterisk-prompt-it-menardi-wav"


def test_the_corpus_may_be_moved(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "moved").symlink_to(made)
    monkeypatch.chdir(tmp_path)
    assert len(samples_of(next(iter(load_cuts("moved/test-unseen.jsonl.gz"))))) > 2000


def test_only_what_can_be_translated(
    tmp_path: Path, debian: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x"
    words = ["--source", str(debian), "--languages", "it,es", "--into", "en"]
    assert main(["corpus", "asterisk", str(out), *words]) == 0
    for split, prompts in SPLITS.items():
        found = supervisions(out, split)
        assert {(s.language, s.custom["prompt"]) for s in found} == {
            (language, prompt) for language in ("it", "es") for prompt in prompts
        }
        assert all(s.custom["translation_en"] for s in found)
    capsys.readouterr()
    assert main(["corpus", "asterisk", str(out), *words]) == 0
    assert "is already there, made with the same arguments" in capsys.readouterr().out
    assert main(["corpus", "asterisk", str(out), *words[:-2]]) == 2
    assert "was made with other arguments (see its asterisk.yaml)" in capsys.readouterr().err
    assert main(["corpus", "asterisk", str(out), *words[:-2], "--overwrite"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--languages", "en,de"], "languages: unknown 'de'; one of en, es, fr, it, ru"),
        (["--languages", "en,en"], "one is named twice"),
        (["--languages", ","], "languages: none given"),
        (["--into", "xx"], "into: unknown 'xx'"),
        (["--into", "it"], "into: it is among the spoken languages"),
    ],
)
def test_bad_arguments_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["corpus", "asterisk", str(tmp_path / "x"), *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
