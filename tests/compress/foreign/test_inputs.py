from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from lhotse import AudioSource, CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.utils import fastcopy

from foldformer.compress.foreign import recordings, sentences
from foldformer.compress.foreign.inputs import Windows, encoded, windows_of
from foldformer.errors import InputError


class Tokenizer:
    """A token for each letter."""

    model_max_length = 4

    def __call__(self, text: Any, **settings: Any) -> Any:
        if isinstance(text, str):
            return type("Encoded", (), {"input_ids": [ord(letter) for letter in text] + [0]})
        ids = torch.zeros(len(text), settings["max_length"], dtype=torch.int64)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


class Padding(Tokenizer):
    """Three tokens, and one with padding after it."""

    def __call__(self, text: Any, **settings: Any) -> Any:
        return {
            "input_ids": torch.tensor([[4, 5, 6], [7, 0, 0]]),
            "attention_mask": torch.tensor([[1, 1, 1], [1, 0, 0]]),
        }


class Whispers(Tokenizer):
    """The same, with three tokens before a text: a language and two more."""

    def __call__(self, text: str, **settings: Any) -> Any:
        found = super().__call__(text)
        found.input_ids[:0] = [1, 2, 3]
        return found


class Extractor:
    """Says how many samples it got."""

    def __call__(self, samples: Any, sampling_rate: int, return_tensors: str) -> Any:
        assert (sampling_rate, return_tensors) == (16000, "pt")
        return type("Features", (), {"input_features": torch.tensor([len(samples)])})


def test_sentences_are_the_lines_that_are_not_empty(tmp_path: Path) -> None:
    path = tmp_path / "said.txt"
    path.write_text("one\n\ntwo\nthree\n \n")
    batches = list(sentences(path, Tokenizer(), batch=2))
    assert [batch["input_ids"].shape for batch in batches] == [(2, 4), (1, 4)]
    assert all("attention_mask" in batch for batch in batches)


def test_text_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"said.txt: cannot be read: No such file"):
        sentences(tmp_path / "said.txt", Tokenizer())
    (tmp_path / "said.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"said.txt: is not text in UTF-8; expected one"):
        sentences(tmp_path / "said.txt", Tokenizer())
    (tmp_path / "said.txt").write_text("\n")
    with pytest.raises(InputError, match=r"said.txt: is empty; expected one sentence a line"):
        sentences(tmp_path / "said.txt", Tokenizer())


def written(path: Path, durations: Sequence[float]) -> Path:
    """A manifest of utterances, called by numbers, of which no recording is there."""
    cuts = []
    for number, seconds in enumerate(durations):
        source = AudioSource("file", [0], str(path.parent / f"{number}.wav"))
        whole = Recording(f"{number}", [source], 16000, round(16000 * seconds), seconds)
        said = SupervisionSegment(f"{number}", f"{number}", 0, seconds, text=chr(ord("a") + number))
        cuts.append(MonoCut(f"{number}", 0, seconds, 0, supervisions=[said], recording=whole))
    CutSet.from_cuts(cuts).to_file(path)
    return path


@given(
    durations=st.lists(st.integers(8000, 480000).map(lambda n: n / 16000), min_size=1, max_size=60)
)
def test_windows_are_full_or_hold_one_utterance(
    durations: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = written(tmp_path_factory.mktemp("cuts") / "cuts.jsonl.gz", durations)
    windows = [[cut.id for cut in window] for window in windows_of([path])]
    assert [name for window in windows for name in window] == [*map(str, range(len(durations)))]
    lengths = [sum(round(16000 * durations[int(name)]) for name in each) for each in windows]
    assert all(length <= 30 * 16000 for length in lengths)
    for window, length, following in zip(windows, lengths, windows[1:], strict=False):
        after = round(16000 * durations[int(following[0])])
        assert len(window) == 1 or length + after > 30 * 16000
    assert windows == [[cut.id for cut in window] for window in windows_of([path])]


def test_about_half_of_the_windows_hold_one_utterance(tmp_path: Path) -> None:
    path = written(tmp_path / "cuts.jsonl.gz", [4.0] * 400)
    sizes = [len(window) for window in windows_of([path])]
    assert set(sizes[:-1]) == {1, 7}
    assert 0.35 < sizes.count(1) / len(sizes) < 0.65


def test_what_no_window_holds_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody could hear the whole of its text in a window."""
    path = written(tmp_path / "cuts.jsonl.gz", [20, 31, 2])
    assert [cut.id for window in windows_of([path]) for cut in window] == ["0", "2"]
    assert "cuts.jsonl.gz: 1 utterances of more than 30 s are left out" in caplog.text


def test_a_window_is_heard_with_the_texts_of_its_utterances(tmp_path: Path) -> None:
    path = written(tmp_path / "cuts.jsonl.gz", [3.0] * 20)
    for number in range(20):
        soundfile.write(tmp_path / f"{number}.wav", 0.1 * np.ones(3 * 16000), 16000)
    windows = windows_of([path])
    found = list(recordings(path, Extractor(), Tokenizer()))
    for window, batch in zip(windows, found, strict=True):
        assert int(batch["input_features"]) == 3 * 16000 * len(window)
        text = " " + " ".join(cut.supervisions[0].text for cut in window)
        assert "".join(map(chr, batch["decoder_input_ids"][0].tolist())) == text


def test_the_text_may_be_in_another_field(tmp_path: Path) -> None:
    path = written(tmp_path / "cuts.jsonl.gz", [1.0])
    soundfile.write(tmp_path / "0.wav", 0.1 * np.ones(16000), 16000)
    cuts = [cut.map_supervisions(punctuated) for cut in CutSet.from_file(path)]
    CutSet.from_cuts(cuts).to_file(path)
    (batch,) = recordings(path, Extractor(), Tokenizer(), field="written")
    assert batch["decoder_input_ids"].tolist() == [[*map(ord, " A.")]]
    with pytest.raises(InputError, match="'ritten' of its supervision is missing; did you mean"):
        list(recordings(path, Extractor(), Tokenizer(), field="ritten"))


def punctuated(said: SupervisionSegment) -> SupervisionSegment:
    return fastcopy(said, custom={"written": said.text.upper() + "."})


def test_labels_are_what_comes_next(tmp_path: Path) -> None:
    """Neither what a Whisper is told before the text nor padding is asked for."""
    soundfile.write(tmp_path / "a.wav", 0.1 * np.ones(16000), 16000)
    said = SupervisionSegment("a", "a", 0, 1, text="hi")
    whole = Recording.from_file(tmp_path / "a.wav", recording_id="a")
    CutSet.from_cuts([MonoCut("a", 0, 1, 0, supervisions=[said], recording=whole)]).to_file(
        tmp_path / "cuts.jsonl.gz"
    )
    windows = windows_of([tmp_path / "cuts.jsonl.gz"])
    (batch,) = Windows(windows, Extractor(), Whispers(), labels=True)
    assert batch["decoder_input_ids"].tolist() == [[1, 2, 3, *map(ord, " hi")]]
    assert batch["labels"].tolist() == [[-100, -100, *map(ord, " hi"), 0]]

    (batch,) = encoded(["abc", "d"], Padding(), labels=True)
    assert batch["labels"].tolist() == [[4, 5, 6], [7, -100, -100]]


def test_windows_are_heard_when_they_are_asked_for(tmp_path: Path) -> None:
    """And known by their texts and names before; a recording that is missing is, too."""
    path = written(tmp_path / "cuts.jsonl.gz", [3.0] * 4)
    windows = [[cut] for window in windows_of([path]) for cut in window]
    with pytest.raises(InputError, match=r"recording .*0\.wav does not exist"):
        Windows(windows, Extractor(), Tokenizer())
    for number in range(4):
        (tmp_path / f"{number}.wav").write_bytes(b"no sound")
    found = Windows(windows, Extractor(), Tokenizer())
    assert len(found) == 4
    with pytest.raises(InputError, match=r"cut '1': its recording .* cannot be read"):
        found[1]
    soundfile.write(tmp_path / "2.wav", 0.1 * np.ones(3 * 16000), 16000)
    assert [int(batch["input_features"]) for batch in (found[2], found[-2], *found[2:3])] == [
        3 * 16000
    ] * 3
    others = (
        Windows(windows[::-1], Extractor(), Tokenizer()),
        Windows(windows, Extractor(), Whispers()),
        Windows(windows, Extractor(), Tokenizer(), labels=True),
        Windows(windows[:3], Extractor(), Tokenizer()),
    )
    assert found.digest() == Windows(windows, Extractor(), Tokenizer()).digest()
    assert len({found.digest(), *(each.digest() for each in others)}) == 5


def test_windows_are_from_all_over_the_manifests(tmp_path: Path) -> None:
    """As many as are asked for, together, and the recordings of no others are read."""
    paths = []
    for manifest, names in (("one", "abcdefgh"), ("two", "ij")):
        cuts = []
        for name in names:
            path = tmp_path / f"{name}.wav"
            if name in "afi":
                soundfile.write(path, 0.1 * np.ones(16000 * 20), 16000)
            said = SupervisionSegment(name, name, 0, 20, text=name)
            source = AudioSource("file", [0], str(path))
            whole = Recording(name, [source], 16000, 16000 * 20, 20)
            cuts.append(MonoCut(name, 0, 20, 0, supervisions=[said], recording=whole))
        paths.append(tmp_path / f"{manifest}.jsonl.gz")
        CutSet.from_cuts(cuts).to_file(paths[-1])
    found = recordings(paths, Extractor(), Tokenizer(), limit=2)
    said = ["".join(map(chr, batch["decoder_input_ids"][0].tolist())) for batch in found]
    assert said == [" a", " f"]
    found = recordings(paths[::-1], Extractor(), Tokenizer(), limit=1)
    assert ["".join(map(chr, b["decoder_input_ids"][0].tolist())) for b in found] == [" i"]
