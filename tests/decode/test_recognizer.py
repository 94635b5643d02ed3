"""Recordings of any length, and recognisers saved and loaded, also through the hub's mixin."""

import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from foldformer.cli.main import main
from foldformer.data.pieces import pieces
from foldformer.decode.recognizer import Recognizer
from foldformer.decode.transcript import Segment
from foldformer.errors import InputError, MissingExtraError, SpecError

Make = Callable[..., Recognizer]


def sound(seconds: float, rate: int = 16000) -> NDArray[np.float32]:
    """Noise whose loudness and colour change a few times a second."""
    rng = np.random.default_rng(0)
    count = int(seconds * rate)
    loudness = np.repeat(rng.uniform(0, 0.3, count // 1600 + 1), 1600)[:count]
    tone = np.sin(np.cumsum(np.repeat(rng.uniform(0.05, 2, count // 1600 + 1), 1600))[:count])
    return (loudness * (tone + 0.3 * rng.standard_normal(count))).astype(np.float32)


def wav(seconds: float, rate: int = 16000) -> io.BytesIO:
    file = io.BytesIO()
    soundfile.write(file, sound(seconds, rate), rate, format="WAV", subtype="FLOAT")
    file.seek(0)
    return file


@pytest.mark.parametrize("chunk", [None, 8])
def test_a_short_recording_is_one_segment(recognizer: Make, chunk: int | None) -> None:
    made = recognizer("ctc", 1)
    (segment,) = made.segments(wav(2), chunk)
    assert (segment.start, segment.end) == (0.0, 2.0)
    assert list(segment.transcripts) == made.alternatives(wav(2), chunk=chunk)
    assert segment.transcripts[0].text


@pytest.mark.parametrize("chunk", [None, 8])
@pytest.mark.parametrize("head", ["ctc", "transducer"])
def test_alternatives_differ(recognizer: Make, head: str, chunk: int | None) -> None:
    """Also where hypotheses of a stream differ in what comes after the end alone."""
    made = recognizer(head, 6, 5)
    (all_,) = made.hear([sound(1.7)], chunk)
    texts = [made.transcript(each).text for each in all_]
    if chunk is not None:
        assert len(set(texts)) < len(texts) == 6
    found = made.alternatives(sound(1.7), 16000, chunk)
    assert [each.text for each in found] == list(dict.fromkeys(texts))[:5]
    assert found[0] == recognizer(head, 6).transcribe(sound(1.7), 16000, chunk)


@pytest.mark.parametrize(("beam", "number"), [(1, 0), (2, 3), (4, -1)])
def test_alternatives_that_no_beam_holds(recognizer: Make, beam: int, number: int) -> None:
    with pytest.raises(SpecError, match=f"num_best: expected 1 to {beam}, .* got {number}"):
        recognizer("ctc", beam, number)


@pytest.mark.parametrize("head", ["ctc", "transducer"])
def test_a_long_recording_is_heard_in_parts(recognizer: Make, head: str) -> None:
    made = recognizer(head)
    found = list(made.segments(wav(10), longest=2))
    parts = list(pieces(wav(10), longest=2))
    assert len(found) == len(parts) > 4
    for segment, part in zip(found, parts, strict=True):
        (transcript,) = segment.transcripts
        alone = made.transcribe(part.samples, 16000)
        assert (transcript.text, transcript.score) == (alone.text, alone.score)
        assert transcript.times == pytest.approx([part.start + t for t in alone.times], abs=2e-3)
        assert segment.start <= min(transcript.times)
        assert max(transcript.times) < segment.end
    assert [segment.end for segment in found[:-1]] == [segment.start for segment in found[1:]]


def test_damage_in_a_later_part_is_named_with_its_place(recognizer: Make) -> None:
    samples = sound(5)
    samples[4 * 16000] = np.nan
    file = io.BytesIO()
    soundfile.write(file, samples, 16000, format="WAV", subtype="FLOAT")
    file.seek(0)
    heard: list[Segment] = []
    with pytest.raises(InputError, match=r"audio stream, from 3\.\d+ s: sample \d+ .* is nan"):
        heard.extend(recognizer("ctc").segments(file, longest=1))
    assert 3 < heard[-1].end <= 4


@pytest.mark.parametrize("head", ["ctc", "transducer"])
@pytest.mark.parametrize("beam", [1, 4])
def test_tokens_have_scores(recognizer: Make, head: str, beam: int) -> None:
    """A greedy score sums those of the tokens and of the blanks between them."""
    found = recognizer(head, beam).transcribe(wav(3))
    assert len(found.scores) == len(found.tokens) > 3
    assert max(found.scores) <= 0
    if beam == 1:
        assert found.score <= sum(found.scores) + 1e-3


def same(one: Recognizer, other: Recognizer) -> bool:
    weights, others = one.model.state_dict(), other.model.state_dict()
    return (
        weights.keys() == others.keys()
        and all(torch.equal(tensor, others[name]) for name, tensor in weights.items())
        and (one.tokens.symbols, one.config, one.card)
        == (other.tokens.symbols, other.config, other.card)
    )


def test_what_is_saved_comes_back(recognizer: Make, tmp_path: Path) -> None:
    made = recognizer()
    made.save(tmp_path / "model")
    assert same(Recognizer.load(tmp_path / "model"), made)
    made.card = "# A card\n"
    made.save(tmp_path / "other")
    assert (tmp_path / "other" / "README.md").read_text() == "# A card\n"
    assert same(Recognizer.load(tmp_path / "other"), made)
    made.save(tmp_path / "other")  # the same place again


@pytest.mark.parametrize("name", ["README.md", "config.yaml", "model.safetensors", "training/a"])
def test_what_is_no_saved_model_is_not_written_over(
    recognizer: Make, tmp_path: Path, name: str
) -> None:
    made = recognizer()
    made.card = "# A card\n"
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("of somebody else")
    with pytest.raises(InputError, match="name another"):
        made.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name.split("/")[0]]
    assert (tmp_path / name).read_text() == "of somebody else"


def test_what_nobody_can_hear(recognizer: Make, tmp_path: Path) -> None:
    made, samples = recognizer(), sound(1)
    for given in (torch.from_numpy(samples), samples.tolist()):
        with pytest.raises(InputError, match="audio: expected a path, an open file or samples in"):
            made.transcribe(given, 16000)
    for chunk in (0, -1):
        with pytest.raises(SpecError, match=f"chunk: expected 1 encoder frame .* got {chunk}"):
            made.transcribe(samples, 16000, chunk)
        with pytest.raises(SpecError, match=f"chunk: expected 1 encoder frame .* got {chunk}"):
            next(made.segments(wav(1), chunk))


def test_through_the_mixin_and_back(
    recognizer: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = recognizer()
    made.card = "# A card\n"
    with caplog.at_level(logging.WARNING):
        made.save_pretrained(tmp_path / "model")
        loaded = Recognizer.from_pretrained(tmp_path / "model", head="transducer", beam=2)
        from foldformer.decode.hub import HubModel

        mixed = HubModel.from_pretrained(str(tmp_path / "model")).recognizer
    assert caplog.records == []
    assert same(loaded, made)
    assert same(mixed, made)
    assert loaded.transcribe(wav(1)).tokens == recognizer("transducer", 2).transcribe(wav(1)).tokens
    assert main(["describe", str(tmp_path / "model")]) == 0
    names = {path.name for path in (tmp_path / "model").iterdir()}
    files = {"config.yaml", "model.safetensors", "tokens.txt", "README.md", "config.json"}
    assert names == files


def test_a_repository_in_the_cache(recognizer: Make, tmp_path: Path) -> None:
    """As a download leaves it, without a network: refs, and a snapshot of a revision."""
    repository, revision = tmp_path / "models--someone--digits", "0" * 40
    recognizer().save_pretrained(repository / "snapshots" / revision)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    options: dict[str, Any] = {"cache_dir": tmp_path, "local_files_only": True}
    loaded = Recognizer.from_pretrained("someone/digits", head="ctc", **options)
    assert loaded.transcribe(wav(2)).tokens == recognizer("ctc").transcribe(wav(2)).tokens
    assert "library_name: foldformer" in str(loaded.card)


@pytest.mark.parametrize("name", ["someone/nothing", "runs/no/model", "no such/name"])
def test_a_repository_that_cannot_be_had(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: no such folder, and no such repo") as error:
        Recognizer.from_pretrained(name, cache_dir=tmp_path, local_files_only=True)
    assert "\n" not in str(error.value)


def test_uploading(recognizer: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would go over the network is the model folder."""
    sent: dict[str, Any] = {}

    def create(self: object, repo_id: str, **options: Any) -> Any:
        return huggingface_hub.RepoUrl(f"https://huggingface.co/{repo_id}")

    def upload(self: object, folder_path: Path, **options: Any) -> str:
        sent.update(options, model=Recognizer.load(folder_path))
        return "https://huggingface.co/someone/digits/commit/1"

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload)
    made = recognizer()
    address = made.push_to_hub("someone/digits", commit_message="digits")
    assert address == "https://huggingface.co/someone/digits/commit/1"
    assert (sent["repo_id"], sent["commit_message"]) == ("someone/digits", "digits")
    assert torch.equal(
        sent["model"].model.head("ctc").output.weight, made.model.head("ctc").output.weight
    )


def test_without_huggingface_hub(recognizer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.delitem(sys.modules, "foldformer.decode.hub", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'foldformer\[hub\]'"):
        recognizer().push_to_hub("someone/digits")
