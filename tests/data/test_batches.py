import dataclasses
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from lhotse import CutSet

from foldformer.data.audio import load_audio
from foldformer.data.batches import Batch, eval_loader, texts_of
from foldformer.data.features import PADDING, fbank
from foldformer.data.tokens import Tokens, TokensSpec, normalise
from foldformer.errors import InputError

IDS = {f"u{i}" for i in range(12)}


@pytest.fixture(scope="module")
def tokens(manifest: Path) -> Tokens:
    return TokensSpec().build(
        [*texts_of(str(manifest)), *texts_of(str(manifest), "translation_ru")]
    )


def rows(batches: Iterable[Batch]) -> dict[str, torch.Tensor]:
    """The features of each utterance without its padding."""
    return {
        name: features[:length]
        for batch in batches
        for name, features, length in zip(
            batch.ids, batch.features, batch.feature_lengths, strict=True
        )
    }


def check_batch(batch: Batch, tokens: Tokens) -> None:
    size, frames, mels = batch.features.shape
    assert mels == 80
    assert frames == batch.feature_lengths.max()
    assert batch.targets.shape == (size, batch.target_lengths.max())
    assert batch.features.dtype == torch.float32
    for lengths in (batch.feature_lengths, batch.targets, batch.target_lengths):
        assert lengths.dtype == torch.int64
    assert len(batch.ids) == len(batch.texts) == len(batch.languages) == size
    for i in range(size):
        assert (batch.features[i, batch.feature_lengths[i] :] == PADDING).all()
        target = batch.targets[i, : batch.target_lengths[i]]
        assert tokens.decode(target.tolist()) == normalise(batch.texts[i])
        assert (batch.targets[i, batch.target_lengths[i] :] == 0).all()


def test_evaluation_gives_every_utterance_as_it_is(manifest: Path, tokens: Tokens) -> None:
    batches = list(eval_loader(str(manifest), tokens, max_duration=8))
    for batch in batches:
        check_batch(batch, tokens)
        assert set(batch.languages) == {"en"}
    order = [name for batch in batches for name in batch.ids]
    assert order == [f"u{i}" for i in reversed(range(12))]  # the longest first
    assert len(batches) > 2
    for name, features in rows(batches).items():
        expected = fbank(load_audio(manifest.parent / "audio" / f"{name}.flac"))
        np.testing.assert_allclose(features, expected, atol=1e-3)


def test_evaluation_reads_the_field_asked_for(manifest: Path, tokens: Tokens) -> None:
    (batch,) = eval_loader(str(manifest), tokens, text="translation_ru")
    assert batch.texts[-1] == "один"
    check_batch(batch, tokens)


def test_evaluation_takes_an_utterance_longer_than_a_batch(manifest: Path, tokens: Tokens) -> None:
    batches = list(eval_loader([str(manifest)], tokens, max_duration=1.0))
    assert rows(batches).keys() == IDS
    assert max(int(b.feature_lengths.sum()) for b in batches) <= 325  # the longest one alone


def test_processes_can_share_an_evaluation(manifest: Path, tokens: Tokens) -> None:
    whole = list(eval_loader(str(manifest), tokens, max_duration=4))
    assert [batch.position for batch in whole] == [(0, n + 1) for n in range(len(whole))]
    for world_size in (2, 3, len(whole) + 2):
        shares = [
            list(eval_loader(str(manifest), tokens, "text", 4, rank, world_size))
            for rank in range(world_size)
        ]
        found = {batch.position[1]: batch.ids for share in shares for batch in share}
        assert found == {n: batch.ids for n, batch in enumerate(whole, start=1)}
        assert all(shares)
        if world_size < len(whole):
            assert sum(map(len, shares)) == len(whole)


def test_a_silent_utterance_has_no_targets(manifest: Path, tmp_path: Path, tokens: Tokens) -> None:
    shutil.copytree(manifest.parent / "audio", tmp_path / "audio")
    cuts = list(CutSet.from_file(manifest))[:1]
    cuts[0].supervisions[0].text = ""
    CutSet(cuts).to_file(tmp_path / "silent.jsonl")
    (batch,) = eval_loader(str(tmp_path / "silent.jsonl"), tokens)
    assert batch.targets.shape == (1, 0)
    assert batch.target_lengths.tolist() == [0]


def test_a_batch_moves_to_a_device(manifest: Path, tokens: Tokens) -> None:
    batch = next(iter(eval_loader(str(manifest), tokens)))
    moved = batch.to("meta")
    for field in dataclasses.fields(Batch):
        before, after = getattr(batch, field.name), getattr(moved, field.name)
        if isinstance(before, torch.Tensor):
            assert after.device.type == "meta"
            assert after.shape == before.shape
        else:
            assert after == before


def test_a_wrong_field_is_found_before_the_first_batch(manifest: Path, tokens: Tokens) -> None:
    with pytest.raises(InputError, match=r"cut 'u0': .*did you mean 'translation_ru'"):
        eval_loader(str(manifest), tokens, text="translation_rus")
