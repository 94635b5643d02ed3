import dataclasses
import logging
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lhotse import CutSet

from foldformer.data.augmentation import AugmentationSpec
from foldformer.data.batches import Batch, eval_loader, texts_of
from foldformer.data.cuts import read_cuts
from foldformer.data.selection import Survey, survey
from foldformer.data.tokens import Tokens, TokensSpec
from foldformer.data.training import DataSpec, Place, Planned, TrainLoader, selection_of
from foldformer.errors import InputError, SpecError
from foldformer.spec import from_dict, to_dict

IDS = {f"u{i}" for i in range(12)}


@pytest.fixture(scope="module")
def tokens(manifest: Path) -> Tokens:
    return TokensSpec().build(
        [*texts_of(str(manifest)), *texts_of(str(manifest), "translation_ru")]
    )


def spec_of(*manifests: Path, **settings: object) -> DataSpec:
    paths = tuple(map(str, manifests))
    base = {"train": paths, "valid": paths, "max_duration": 8.0, "max_utterance": 8.0}
    return DataSpec(**(base | settings))


def rows(batches: Iterable[Batch]) -> dict[str, torch.Tensor]:
    """The features of each utterance without its padding."""
    return {
        name: features[:length]
        for batch in batches
        for name, features, length in zip(
            batch.ids, batch.features, batch.feature_lengths, strict=True
        )
    }


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], atol: float = 1e-5) -> None:
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=atol)


def epoch_of(number: int, spec: DataSpec, tokens: Tokens, seed: int = 1) -> list[Batch]:
    return list(TrainLoader(spec, tokens, seed).epoch(number))


def test_training_gives_every_utterance_once_in_batches_of_like_length(
    longer_manifest: Path, tokens: Tokens
) -> None:
    batches = epoch_of(0, spec_of(longer_manifest, augmentation=None), tokens)
    assert sorted(name for batch in batches for name in batch.ids) == sorted(
        f"u{i}" for i in range(30)
    )
    for batch in batches:
        assert batch.feature_lengths.sum() <= 800
    held = sum(batch.features.shape[0] * batch.features.shape[1] for batch in batches)
    assert held < 1.25 * sum(int(batch.feature_lengths.sum()) for batch in batches)
    assert_same(rows(batches), rows(eval_loader(str(longer_manifest), tokens)), atol=0.01)


def test_the_seed_and_the_epoch_decide_everything(manifest: Path, tokens: Tokens) -> None:
    spec = spec_of(manifest)
    first, again = epoch_of(1, spec, tokens), epoch_of(1, spec, tokens)
    assert [batch.ids for batch in first] == [batch.ids for batch in again]
    assert_same(rows(first), rows(again))
    for other in (epoch_of(2, spec, tokens), epoch_of(1, spec, tokens, seed=2)):
        ours, theirs = rows(first), rows(other)
        same = [n for n in IDS if ours[n].shape == theirs[n].shape and ours[n].equal(theirs[n])]
        assert not same


def test_a_pattern_is_all_that_match_it(manifest: Path, tmp_path: Path, tokens: Tokens) -> None:
    cuts = list(read_cuts(manifest))
    for number, part in enumerate((cuts[:7], cuts[7:])):
        CutSet(part).to_file(tmp_path / f"train-{number}.jsonl.gz")
    CutSet(cuts[:1]).to_file(tmp_path / "other.jsonl.gz")
    spec = spec_of(tmp_path / "train-*.jsonl.gz")
    names = [name for batch in epoch_of(0, spec, tokens) for name in batch.ids]
    assert sorted(names) == sorted(IDS)
    ids = [name for batch in eval_loader(spec.valid, tokens) for name in batch.ids]
    assert sorted(ids) == sorted(IDS)
    with pytest.raises(InputError, match=r"none-\*\.jsonl\.gz: no manifest matches this pattern"):
        epoch_of(0, spec_of(tmp_path / "none-*.jsonl.gz"), tokens)


@pytest.mark.parametrize("ascending_epochs", [0, 1])
@pytest.mark.parametrize("done", [1, 3, 6])
def test_training_goes_on_at_the_batch_after_the_last(
    manifest: Path, tokens: Tokens, ascending_epochs: int, done: int
) -> None:
    spec = spec_of(manifest, ascending_epochs=ascending_epochs, max_duration=6.0, max_utterance=6.0)
    whole = list(islice(TrainLoader(spec, tokens, seed=3), 12))
    epochs = [batch.position[0] for batch in whole]
    assert epochs == sorted(epochs)
    assert epochs[0] == 0
    assert epochs[-1] >= 1
    resumed = TrainLoader(spec, tokens, seed=3)
    resumed.position = whole[done - 1].position
    rest = list(islice(resumed, 12 - done))
    for batch, expected in zip(rest, whole[done:], strict=True):
        assert batch.position == expected.position
        assert batch.ids == expected.ids
        assert batch.features.equal(expected.features)
        assert batch.targets.equal(expected.targets)


def test_after_the_last_batch_of_an_epoch_comes_the_next_epoch(
    manifest: Path, tokens: Tokens
) -> None:
    last = epoch_of(0, spec_of(manifest), tokens)[-1]
    loader = TrainLoader(spec_of(manifest), tokens, seed=1)
    loader.position = last.position
    first = next(iter(loader))
    assert first.position == (1, 1)
    assert first.ids == epoch_of(1, spec_of(manifest), tokens)[0].ids


def test_the_first_epochs_may_have_rising_durations(
    manifest: Path, manifest_16k: Path, tokens: Tokens
) -> None:
    spec = spec_of(manifest, manifest_16k, ascending_epochs=2, augmentation=None, max_duration=9.0)
    for number, rises in ((0, True), (1, True), (2, False)):
        batches = epoch_of(number, spec, tokens)
        lengths = [int(n) for batch in batches for n in batch.feature_lengths]
        assert (lengths == sorted(lengths)) is rises
        assert {name for batch in batches for name in batch.ids} >= IDS
        assert len(lengths) >= 16
        assert max(int(batch.feature_lengths.sum()) for batch in batches) <= 900


def test_rising_durations_are_augmented_anew_in_each_epoch(manifest: Path, tokens: Tokens) -> None:
    spec = spec_of(manifest, ascending_epochs=2)
    first, second = (epoch_of(n, spec, tokens) for n in (0, 1))
    assert [batch.ids for batch in first] == [batch.ids for batch in second]
    ours, theirs = rows(first), rows(second)
    assert not any(torch.equal(ours[name], theirs[name]) for name in IDS)


def test_global_random_numbers_are_neither_used_nor_spent(manifest: Path, tokens: Tokens) -> None:
    first = rows(epoch_of(1, spec_of(manifest), tokens))
    torch.manual_seed(123)
    np.random.seed(123)  # noqa: NPY002 - the state that others may share is what is looked at
    assert_same(rows(epoch_of(1, spec_of(manifest), tokens)), first)


def test_an_utterance_sounds_the_same_in_any_batch_and_process(
    manifest: Path, tokens: Tokens
) -> None:
    alone = rows(epoch_of(3, spec_of(manifest), tokens))
    assert_same(rows(epoch_of(3, spec_of(manifest, num_buckets=2), tokens)), alone)
    num_batches = len(epoch_of(3, spec_of(manifest), tokens))
    heard: dict[str, torch.Tensor] = {}
    for rank in range(2):
        loader = TrainLoader(spec_of(manifest), tokens, 1, rank, world_size=2)
        loader.position = (3, 0)
        heard |= rows(islice(loader, -(-(num_batches - rank) // 2)))
    assert_same(heard, alone)


@pytest.fixture(scope="module")
def longer_survey(longer_manifest: Path) -> Survey:
    """Of 30 utterances."""
    tokens = TokensSpec().build(texts_of(str(longer_manifest)))
    return survey(str(longer_manifest), selection_of(spec_of(longer_manifest), tokens))


@settings(max_examples=12)
@given(
    max_duration=st.floats(8.0, 40.0),
    ascending_epochs=st.integers(0, 1),
    phases=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), min_size=1, max_size=3),
    seed=st.integers(0, 3),
)
def test_processes_take_turns_and_nothing_is_lost(
    longer_survey: Survey,
    tokens: Tokens,
    max_duration: float,
    ascending_epochs: int,
    phases: list[tuple[int, int]],
    seed: int,
) -> None:
    """Any number of processes, and another one after each resumption, for some steps each."""
    spec = spec_of(
        Path(longer_survey.path), max_duration=max_duration, ascending_epochs=ascending_epochs
    )

    def loader_of(rank: int, world_size: int) -> TrainLoader:
        return TrainLoader(spec, tokens, seed, rank, world_size, [longer_survey])

    position, heard = (0, 0), []
    for world_size, steps in phases:
        shares = []
        for rank in range(world_size):
            loader = loader_of(rank, world_size)
            loader.position = position
            shares.append(list(islice(loader.share(), steps)))
        for turn in zip(*shares, strict=True):
            (position,) = {place.position for place in turn}
            heard += [(place.epoch, [cut.id for cut in place.cuts]) for place in turn]
    alone = list(islice(loader_of(0, 1).share(), len(heard)))
    assert heard == [(place.epoch, [cut.id for cut in place.cuts]) for place in alone]
    assert position == alone[-1].position
    for epoch in range(heard[-1][0]):  # those that are complete
        ids = [name for number, names in heard if number == epoch for name in names]
        assert sorted(ids) == sorted(f"u{i}" for i in range(30))


forked = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # by PyTorch


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As in a worker: the last bits of a resampling depend on it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@forked
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("position", [(0, 0), (0, 2), (1, 3)])
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # where there is one core
def test_workers_prepare_the_same_batches_from_any_place_on(
    manifest: Path, tokens: Tokens, num_workers: int, position: tuple[int, int]
) -> None:
    """Over the ends of epochs, with what the workers keep from one to the next."""
    heard = []
    for workers in (0, num_workers):
        spec = spec_of(manifest, num_workers=workers, ascending_epochs=1)
        loader = TrainLoader(spec, tokens, seed=1)
        loader.position = position
        heard.append(list(islice(loader, 12)))
    assert heard[0][-1].position[0] >= position[0] + 2
    for inline, worker in zip(*heard, strict=True):
        assert worker.position == inline.position
        assert worker.ids == inline.ids
        assert worker.features.equal(inline.features)
        assert worker.targets.equal(inline.targets)


@pytest.fixture
def forks() -> Iterator[None]:
    """Workers have what a test has patched, also where they are no forks by themselves."""
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("fork", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


@forked
@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("end", [lambda: os._exit(1), lambda: os.kill(os.getpid(), signal.SIGKILL)])
def test_a_worker_that_dies_is_an_error_and_no_wait(
    manifest: Path, tokens: Tokens, end: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = Planned.__getitem__

    def prepare_one(self: Planned, place: Place) -> Batch:
        if place.position == (0, 2):
            end()
        return prepare(self, place)

    monkeypatch.setattr(Planned, "__getitem__", prepare_one)
    loader = TrainLoader(spec_of(manifest, num_workers=1), tokens, seed=0)
    with pytest.raises(InputError, match="a process that prepares batches has ended by itself"):
        list(islice(loader, 20))


def test_without_workers_the_next_batch_is_made_during_a_step(
    manifest: Path, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = Planned.__getitem__
    made = {number: threading.Event() for number in (1, 2)}
    by: set[str] = set()

    def prepare_one(self: Planned, place: Place) -> Batch:
        batch = prepare(self, place)
        by.add(threading.current_thread().name)
        if place.position[1] in made:
            made[place.position[1]].set()
        return batch

    monkeypatch.setattr(Planned, "__getitem__", prepare_one)
    batches = iter(TrainLoader(spec_of(manifest), tokens, seed=0))
    assert next(batches).position == (0, 1)
    assert made[2].wait(30)
    assert by == {"ahead"}


def test_speeds_of_an_epoch_differ_between_utterances(manifest: Path, tokens: Tokens) -> None:
    augmentation = AugmentationSpec(speed=(0.8, 1.25))
    found = rows(epoch_of(0, spec_of(manifest, augmentation=augmentation), tokens))
    plain = rows(eval_loader(str(manifest), tokens))
    ratios = {round(len(plain[name]) / len(found[name]), 1) for name in IDS}
    assert ratios == {0.8, 1.2} or ratios == {0.8, 1.2, 1.3}  # 1.25 rounds either way


def test_noise_is_taken_from_a_manifest(manifest: Path, manifest_16k: Path, tokens: Tokens) -> None:
    def noisy(noise: str | None) -> dict[str, torch.Tensor]:
        augmentation = AugmentationSpec(noise_probability=1.0, noise=noise)
        return rows(epoch_of(0, spec_of(manifest, augmentation=augmentation), tokens))

    recorded, generated = noisy(str(manifest_16k)), noisy(None)
    assert all(not torch.allclose(recorded[name], generated[name]) for name in IDS)
    with pytest.raises(InputError, match=r"none\.jsonl: no such file"):
        noisy("none.jsonl")


def test_several_manifests_are_mixed(manifest: Path, manifest_16k: Path, tokens: Tokens) -> None:
    batches = epoch_of(0, spec_of(manifest, manifest_16k), tokens)
    names = [name for batch in batches for name in batch.ids]
    assert sorted(names) == sorted([*IDS, "u0", "u1", "u2", "u3"])
    assert len(list(texts_of([str(manifest), str(manifest_16k)]))) == 16


def test_a_corpus_may_be_a_single_utterance(manifest: Path, tmp_path: Path, tokens: Tokens) -> None:
    shutil.copytree(manifest.parent / "audio", tmp_path / "audio")
    CutSet(list(CutSet.from_file(manifest))[5:6]).to_file(tmp_path / "one.jsonl")
    (batch,) = epoch_of(0, spec_of(tmp_path / "one.jsonl"), tokens)
    assert batch.ids == ["u5"]


def test_utterances_left_out_are_reported(
    manifest: Path, tokens: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    spec = spec_of(manifest, min_utterance=0.6, max_utterance=3.0)
    with caplog.at_level(logging.WARNING):
        names = rows(epoch_of(0, spec, tokens)).keys()
    assert names == {f"u{i}" for i in range(1, 11)}  # u0 lasts 0.5 s, u11 3.25 s
    assert "left out 1 of 12 cuts: each lasts less than 0.6 s: u0" in caplog.text
    assert "left out 1 of 12 cuts: each lasts more than 3 s: u11" in caplog.text


def test_texts_that_ctc_cannot_write_are_left_out(
    manifest: Path, tmp_path: Path, tokens: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(manifest.parent / "audio", tmp_path / "audio")
    cuts = list(read_cuts(manifest))[:5]
    # 0.5, 0.75, ..., 1.5 s: 10, 15, ..., 30 frames at the highest speed. Equal letters want a
    # blank between them: ten letters o take 19 frames, eleven take 21, twelve 23.
    texts = ["ten one te", "ten one ten", "o" * 10, "o" * 12, "o"]
    for cut, text in zip(cuts, texts, strict=True):
        cut.supervisions[0].text = text
    CutSet(cuts).to_file(tmp_path / "cuts.jsonl")
    augmentation = AugmentationSpec(speed=(0.8, 1.25))
    with caplog.at_level(logging.WARNING):
        batches = epoch_of(0, spec_of(tmp_path / "cuts.jsonl", augmentation=augmentation), tokens)
    assert rows(batches).keys() == {"u0", "u1", "u2", "u3", "u4"}
    for batch in batches:
        losses = torch.nn.functional.ctc_loss(
            torch.zeros(int(batch.feature_lengths.max()) // 4, len(batch.ids), 40).log_softmax(-1),
            batch.targets,
            batch.feature_lengths // 4,
            batch.target_lengths,
            reduction="none",
        )
        assert losses.isfinite().all()
    assert not caplog.records
    cuts[1].supervisions[0].text, cuts[2].supervisions[0].text = "ten one ten nine", "o" * 11
    CutSet(cuts).to_file(tmp_path / "more.jsonl")
    with caplog.at_level(logging.WARNING):
        spec = spec_of(tmp_path / "more.jsonl", augmentation=augmentation)
        for epoch_spec in (spec, dataclasses.replace(spec, ascending_epochs=1)):
            assert rows(epoch_of(0, epoch_spec, tokens)).keys() == {"u0", "u3", "u4"}
    assert "left out 2 of 5 cuts: each has more tokens" in caplog.text
    assert "highest speed: u1, u2" in caplog.text


def test_mistakes_are_found_before_the_first_batch(manifest: Path, tokens: Tokens) -> None:
    with pytest.raises(InputError, match=r"cut 'u0': .*did you mean 'translation_ru'"):
        TrainLoader(spec_of(manifest, text="translation_rus"), tokens, seed=0)
    with pytest.raises(
        InputError, match=r"none of its 12 cuts can be used: 12 because .* less than 5 s"
    ):
        TrainLoader(spec_of(manifest, min_utterance=5.0, max_utterance=6.0), tokens, seed=0)
    with pytest.raises(InputError, match="no such file"):
        TrainLoader(spec_of(manifest, Path("missing.jsonl")), tokens, seed=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"min_utterance": 9.0}, "must rise"),
        ({"max_utterance": 9.0}, "must rise"),
        ({"num_buckets": 1}, "num_buckets: 1"),
        ({"num_workers": -1}, "num_workers: -1"),
        ({"ascending_epochs": -1}, "ascending_epochs: -1"),
        ({"valid": ()}, "valid: names no manifest; expected one or more"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        spec_of(Path("a"), **wrong)


def test_the_spec_survives_yaml() -> None:
    data = {"train": "a.jsonl", "valid": ["b.jsonl", "c.jsonl"], "augmentation": {"speed": [1.0]}}
    spec = from_dict(DataSpec, data)
    assert spec.train == "a.jsonl"
    assert spec.valid == ("b.jsonl", "c.jsonl")
    assert spec.augmentation == AugmentationSpec(speed=(1.0,))
    assert from_dict(DataSpec, to_dict(spec)) == spec
    assert from_dict(DataSpec, data | {"augmentation": None}).augmentation is None
