"""The corpus of stamps, from a package of its layout, by the command."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet

from foldformer.cli.main import main
from foldformer.data.cuts import load_cuts, samples_of

SPLITS = {
    "train": {"animals/frog", "animals/horse", "animals/cow", "plants/apple", "town/house"},
    "dev": {"animals/fish"},
    "test": {"plants/trees", "town/bridge"},
}
"""As the hash of the English text has it, from now on and for ever."""


def cuts_of(folder: Path, split: str) -> CutSet:
    return load_cuts(folder / f"{split}.jsonl.gz").to_eager()


def unpacked(folder: Path, packages: dict[str, dict[str, bytes]]) -> Path:
    for files in packages.values():
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, debian: Path) -> Path:
    out = tmp_path_factory.mktemp("tuxpaint") / "x"
    words = ["--source", str(debian), "--languages", "ro,es,ru"]
    assert main(["corpus", "tuxpaint", str(out), *words]) == 0
    return out


def test_a_stamp_is_in_the_same_split_in_every_language(made: Path) -> None:
    for split, stamps in SPLITS.items():
        found = [cut.supervisions[0] for cut in cuts_of(made, split)]
        assert {(s.language, s.custom["stamp"]) for s in found} == {
            (language, stamp) for language in ("ro", "es", "ru") for stamp in stamps
        }


def test_texts_are_those_of_the_stamp_with_the_english_words(made: Path) -> None:
    (cut,) = [cut for cut in cuts_of(made, "train") if cut.id == "tuxpaint-ro-plants.apple"]
    (supervision,) = cut.supervisions
    assert (supervision.text, supervision.language) == ("Un măr roșu", "ro")
    assert supervision.custom == {
        "stamp": "plants/apple",
        "written": "Un măr roșu.",
        "translation_en": "A red apple",
    }


def test_channels_are_averaged(made: Path, tuxpaint_packages: dict[str, dict[str, bytes]]) -> None:
    (files,) = tuxpaint_packages.values()
    (cut,) = [cut for cut in cuts_of(made, "dev") if cut.supervisions[0].language == "es"]
    ogg = files["usr/share/tuxpaint/stamps/animals/fish_desc_es.ogg"]
    stereo, rate = soundfile.read(io.BytesIO(ogg), dtype="float32")
    assert (rate, cut.sampling_rate) == (44100, 44100)
    np.testing.assert_allclose(samples_of(cut), stereo.mean(axis=1), atol=0.5 / 32768)
    assert np.abs(stereo[:, 1]).max() < 0.01 < np.abs(stereo[:, 0]).max()  # one is silent


def test_the_readme_has_counts_licence_and_credits(made: Path) -> None:
    text = (made / "README.md").read_text(encoding="utf-8")
    assert "| ru | test | 2 | 2 |" in text
    assert "no test set of unseen voices" in text
    for name in ("GNU General Public\nLicense, version 2", "Pere Pujal", "Kyriaki\nSerafeim"):
        assert name in text
    (licence,) = (made / "licences").iterdir()
    assert licence.read_text() == "GPL-2+"


def test_what_is_dropped_is_counted_and_not_written(
    tmp_path: Path,
    tuxpaint_packages: dict[str, dict[str, bytes]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = unpacked(tmp_path / "source", tuxpaint_packages)
    stamps = source / "usr/share/tuxpaint/stamps"
    (stamps / "animals/cow_desc_ro.ogg").write_bytes(
        (stamps / "animals/frog_desc_ro.ogg").read_bytes()
    )
    (stamps / "town/house_desc_ro.ogg").write_bytes(b"no sound")
    (stamps / "animals/horse.txt").unlink()
    words = ["--source", str(source), "--languages", "ro"]
    assert main(["corpus", "tuxpaint", str(tmp_path / "x"), *words]) == 0
    out = capsys.readouterr().out
    assert "| no text | 1 |" in out
    assert "| same recording as another | 1 |" in out
    assert "| recording cannot be read | 1 |" in out
    left = {cut.supervisions[0].custom["stamp"] for cut in cuts_of(tmp_path / "x", "train")}
    assert left == {"plants/apple", "animals/cow"} or left == {"plants/apple", "animals/frog"}


def test_a_recording_damaged_in_its_middle_is_one_line(
    tmp_path: Path,
    tuxpaint_packages: dict[str, dict[str, bytes]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = unpacked(tmp_path / "source", tuxpaint_packages)
    path = source / "usr/share/tuxpaint/stamps/animals/frog_desc_ro.ogg"
    sound = io.BytesIO()
    samples = 0.1 * np.random.default_rng(0).standard_normal(20000)
    soundfile.write(sound, samples, 22050, format="FLAC")
    data = sound.getvalue()
    path.write_bytes(data[:9000] + bytes(len(data) - 9000))
    words = ["--source", str(source), "--languages", "ro"]
    assert main(["corpus", "tuxpaint", str(tmp_path / "x"), *words]) == 2
    error = capsys.readouterr().err
    assert "frog_desc_ro.ogg: is damaged" in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
