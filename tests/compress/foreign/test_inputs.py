from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from lhotse import AudioSource, CutSet, MonoCut, Recording, SupervisionSegment

from foldformer.compress.foreign import recordings, sentences
from foldformer.compress.foreign.inputs import encoded, heard, windows_of
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
    with pytest.raises(InputError, match=r"said.txt: cannot be read as text \(.*No such file"):
        sentences(tmp_path / "said.txt", Tokenizer())
    (tmp_path / "said.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"said.txt: cannot be read as text"):
        sentences(tmp_path / "said.txt", Tokenizer())
    (tmp_path / "said.txt").write_text("\n")
    with pytest.raises(InputError, match=r"said.txt: is empty; expected one sentence a line"):
        sentences(tmp_path / "said.txt", Tokenizer())


def test_windows_hold_what_fits_into_30_seconds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What does not is left out: nobody could hear the whole of its text in a window."""
    cuts = []
    for name, seconds in (("a", 20), ("b", 9), ("c", 2), ("d", 31)):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(8000 * seconds), 8000)
        said = SupervisionSegment(name, name, 0, seconds, text=name)
        whole = Recording.from_file(path, recording_id=name)
        cuts.append(MonoCut(name, 0, seconds, 0, supervisions=[said], recording=whole))
    CutSet.from_cuts(cuts).to_file(tmp_path / "cuts.jsonl.gz")
    found = list(recordings(tmp_path / "cuts.jsonl.gz", Extractor(), Tokenizer()))
    assert [int(batch["input_features"]) for batch in found] == [29 * 16000, 2 * 16000]
    said = ["".join(map(chr, batch["decoder_input_ids"][0].tolist())) for batch in found]
    assert said == [" a b", " c"]
    assert "cuts.jsonl.gz: 1 utterances of more than 30 s are left out" in caplog.text
    assert len(list(recordings(tmp_path / "cuts.jsonl.gz", Extractor(), Tokenizer(), limit=1))) == 1


def test_labels_are_what_comes_next(tmp_path: Path) -> None:
    """Neither what a Whisper is told before the text nor padding is asked for."""
    soundfile.write(tmp_path / "a.wav", 0.1 * np.ones(16000), 16000)
    said = SupervisionSegment("a", "a", 0, 1, text="hi")
    whole = Recording.from_file(tmp_path / "a.wav", recording_id="a")
    CutSet.from_cuts([MonoCut("a", 0, 1, 0, supervisions=[said], recording=whole)]).to_file(
        tmp_path / "cuts.jsonl.gz"
    )
    windows = windows_of([tmp_path / "cuts.jsonl.gz"])
    (batch,) = heard(windows, Extractor(), Whispers(), labels=True)
    assert batch["decoder_input_ids"].tolist() == [[1, 2, 3, *map(ord, " hi")]]
    assert batch["labels"].tolist() == [[-100, -100, *map(ord, " hi"), 0]]

    (batch,) = encoded(["abc", "d"], Padding(), labels=True)
    assert batch["labels"].tolist() == [[4, 5, 6], [7, -100, -100]]


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
