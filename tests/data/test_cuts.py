import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, Recording, RecordingSet
from lhotse.cut import Cut

from foldformer.data.audio import load_audio, resample
from foldformer.data.cuts import (
    blocks_of,
    check_cut,
    language_of,
    load_cuts,
    read_cuts,
    samples_of,
    text_of,
)
from foldformer.errors import InputError


def first(manifest: Path) -> Cut:
    return next(read_cuts(manifest))


def test_cuts_are_read_one_by_one_and_in_order(manifest: Path) -> None:
    cuts = load_cuts(manifest)
    assert cuts.is_lazy
    assert [cut.id for cut in cuts] == [f"u{i}" for i in range(12)]
    assert [cut.id for cut in cuts] == [cut.id for cut in read_cuts(str(manifest))]


def test_a_corpus_can_be_moved(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(manifest.parent, tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    cut = first(Path("elsewhere/cuts.jsonl.gz"))
    assert cut.recording.sources[0].source == "elsewhere/audio/u0.flac"
    np.testing.assert_array_equal(samples_of(cut), samples_of(first(manifest)))


def test_a_path_from_the_current_folder_goes_first(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(manifest.parent)
    assert first(manifest).recording.sources[0].source == "audio/u0.flac"


def test_samples_are_those_of_the_recording(manifest: Path) -> None:
    expected = load_audio(manifest.parent / "audio" / "u0.flac", 8000)
    np.testing.assert_allclose(samples_of(first(manifest)), expected, atol=1e-6)


def test_mixed_and_concatenated_cuts_are_found_and_read(manifest: Path, tmp_path: Path) -> None:
    one, two = list(CutSet.from_file(manifest))[:2]  # their paths lead nowhere
    corpus = tmp_path / "corpus"
    shutil.copytree(manifest.parent / "audio", corpus / "audio")
    CutSet([one.append(two), one.mix(two), one.pad(duration=1.0)]).to_file(corpus / "c.jsonl")
    joined, mixed, padded = read_cuts(corpus / "c.jsonl")
    a, b = (samples_of(cut) for cut in list(read_cuts(manifest))[:2])
    np.testing.assert_allclose(samples_of(joined), np.concatenate([a, b]), atol=1e-6)
    np.testing.assert_allclose(samples_of(mixed)[: len(a)], a + b[: len(a)], atol=1e-6)
    np.testing.assert_allclose(samples_of(padded)[: len(a)], a, atol=1e-6)
    for cut in (joined, mixed, padded):
        check_cut(cut, "text")
    assert text_of(joined, "text") == "one two"


@pytest.mark.parametrize(("suffix", "blocks"), [("flac", 2), ("wav", 2), ("ogg", 1)])
def test_a_long_cut_comes_in_blocks(tmp_path: Path, suffix: str, blocks: int) -> None:
    """Every sample once, wherever the cut begins and ends."""
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.random.default_rng(0).standard_normal((8000 * 141, 2)) / 10, 8000)
    cut = Recording.from_file(path).to_cut().truncate(offset=0.33337, duration=139.987654)
    found = list(blocks_of(cut))
    assert len(found) == blocks
    np.testing.assert_array_equal(np.concatenate(found), samples_of(cut))
    assert len(list(blocks_of(cut.perturb_speed(1.1)))) == 1


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = np.full(8000, 0.5), np.full(8000, -0.1)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 8000, subtype="FLOAT")
    recording = Recording.from_file(tmp_path / "a.wav")
    np.testing.assert_allclose(samples_of(recording.to_cut()), 0.2, atol=1e-6)


def test_texts_come_from_the_field_in_order_of_time(manifest: Path) -> None:
    cut = list(read_cuts(manifest))[3]
    assert text_of(cut, "text") == "four five"
    assert text_of(cut, "translation_ru") == "четыре пять"
    assert language_of(cut) == "en"
    late, early = cut.supervisions[0], first(manifest).supervisions[0]
    late.start, late.language = 0.2, None
    cut.supervisions = [late, early]
    assert text_of(cut, "text") == "one four five"
    assert language_of(cut) == "en"


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("translation_rus", "'translation_rus' .* is missing; did you mean 'translation_ru'"),
        ("zzz", "is missing; one of text, translation_ru"),
        ("level", "'level' .* is 0, expected text"),
    ],
)
def test_a_missing_field_is_named_with_the_nearest(
    manifest: Path, field: str, message: str
) -> None:
    with pytest.raises(InputError, match=f"cut 'u0': .*{message}"):
        text_of(first(manifest), field)


def test_a_cut_without_text_is_refused_but_silence_is_not(manifest: Path) -> None:
    cut = first(manifest)
    cut.supervisions[0].text, cut.supervisions[0].custom = None, None
    with pytest.raises(InputError, match=r"cut 'u0': .* it has no text at all"):
        check_cut(cut, "text")
    cut.supervisions[0].text = ""
    check_cut(cut, "text")
    cut.supervisions = []
    with pytest.raises(InputError, match="cut 'u0': has no supervision"):
        check_cut(cut, "text")


def test_a_missing_or_damaged_recording_is_named(manifest: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    shutil.copytree(manifest.parent, corpus)
    (corpus / "audio" / "u0.flac").write_bytes(b"no sound")
    (corpus / "audio" / "u1.flac").unlink()
    damaged, missing = list(read_cuts(corpus / "cuts.jsonl.gz"))[:2]
    check_cut(damaged, "text")
    with pytest.raises(InputError, match=r"cut 'u0': .*u0\.flac\) cannot be read"):
        samples_of(damaged)
    with pytest.raises(InputError, match=r"cut 'u1': its recording audio/u1\.flac does not exist"):
        check_cut(missing, "text")
    missing.recording = None
    for refuse in (samples_of, lambda cut: check_cut(cut, "text")):
        with pytest.raises(InputError, match="cut 'u1': has no recording"):
            refuse(missing)


def test_samples_that_no_features_can_be_made_of_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(8000, np.nan), 8000, subtype="FLOAT")
    cut = Recording.from_file(tmp_path / "a.wav").to_cut()
    with pytest.raises(InputError, match=r"cut 'a': sample 0 .* is nan"):
        samples_of(cut)


def test_other_files_than_manifests_of_cuts_are_explained(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "text.jsonl").write_text("no json\n")
    (tmp_path / "other.jsonl").write_text('{"a": 1}\n')
    (tmp_path / "cuts.yaml").write_text("- a\n")
    (tmp_path / "folder.jsonl").mkdir()
    RecordingSet([first(manifest).recording]).to_file(tmp_path / "recordings.jsonl")
    for name, message in {
        "missing.jsonl.gz": "no such file",
        "empty.jsonl": "is empty",
        "text.jsonl": "is not a Lhotse manifest",
        "other.jsonl": "is not a Lhotse manifest",
        "cuts.yaml": r"named \*\.jsonl",
        "folder.jsonl": "is a folder without cuts",
        "recordings.jsonl": "objects of type Recording; expected cuts: .*lhotse cut simple",
    }.items():
        with pytest.raises(InputError, match=message) as error:
            load_cuts(tmp_path / name)
        assert str(error.value).startswith(str(tmp_path / name))


def test_a_damaged_line_is_named_by_its_number(manifest: Path, tmp_path: Path) -> None:
    lines = gzip.decompress(manifest.read_bytes()).decode().splitlines()
    (tmp_path / "cut.jsonl").write_text("\n".join([*lines[:2], lines[2][:100]]))
    with pytest.raises(InputError, match=r"cut\.jsonl, line 3: is not a cut"):
        list(read_cuts(tmp_path / "cut.jsonl"))
    broken = json.loads(lines[1])
    del broken["start"]
    (tmp_path / "key.jsonl").write_text("\n".join([lines[0], json.dumps(broken)]))
    with pytest.raises(InputError, match=r"key\.jsonl, line 2: is not a cut"):
        list(read_cuts(tmp_path / "key.jsonl"))


def test_a_manifest_may_resample_its_recordings(manifest: Path, tmp_path: Path) -> None:
    CutSet([cut.resample(16000) for cut in read_cuts(manifest)]).to_file(tmp_path / "c.jsonl")
    for cut, original in zip(read_cuts(tmp_path / "c.jsonl"), read_cuts(manifest), strict=True):
        samples, expected = samples_of(cut), resample(samples_of(original), 8000, 16000)
        assert len(samples) == len(expected)
        error = samples[200:-200] - expected[200:-200]  # the filters differ at the ends
        assert np.mean(error**2) < 1e-3 * np.mean(expected**2)
