"""Cuts to batches: what the training and the evaluation of a model iterate over."""

import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from glob import glob
from pathlib import Path

import numpy as np
import torch
from lhotse import CutSet
from lhotse.cut import Cut
from lhotse.dataset import SimpleCutSampler
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from foldformer.data.audio import SHORTEST
from foldformer.data.augmentation import (
    AugmentationSpec,
    Sounds,
    features_of,
    generator,
)
from foldformer.data.cuts import check_cut, language_of, read_cuts, text_of
from foldformer.data.feature_cache import FeatureCache
from foldformer.data.features import FRAME_SHIFT, PADDING, Features
from foldformer.data.flaws import counted, flaw_of
from foldformer.data.tokens import Tokens
from foldformer.errors import InputError

log = logging.getLogger(__name__)

ALL_BATCHES = {"rank": 0, "world_size": 1}
"""For samplers of Lhotse: left alone, they take a rank from the environment, and so a share."""


@dataclass(frozen=True)
class Batch:
    """Utterances of similar length, padded to the longest."""

    features: Tensor
    """Log-mel features (B, T, 80), float32; `PADDING` after the end of an utterance."""

    feature_lengths: Tensor
    """Frames of each utterance (B,), int64."""

    targets: Tensor
    """Token ids (B, U), int64; 0, the blank, after the end of a text."""

    target_lengths: Tensor
    """Tokens of each text (B,), int64."""

    ids: list[str]
    """Ids of the cuts."""

    texts: list[str]
    """Texts of the utterances, as the manifest gives them."""

    languages: list[str]
    """Language of each utterance, empty where the manifest gives none."""

    position: tuple[int, int] = (0, 0)
    """Epoch of training, and how many of its batches are done with this one and those that other
    processes have of the same step. In an evaluation, which has no epochs: its number, from 1."""

    step_tokens: int = 0
    """Tokens of all batches of the optimiser step that this one belongs to, in training: those of
    every process."""

    @property
    def audio_seconds(self) -> float:
        """Seconds of speech, padding left out."""
        return float(self.feature_lengths.sum()) * FRAME_SHIFT

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The same batch with its tensors on `device`."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, value in values.items():
            if isinstance(value, Tensor):
                values[name] = value.to(device, non_blocking=non_blocking)
        return Batch(**values)


@dataclass(frozen=True)
class Utterances(Dataset[Batch]):
    """Lhotse's map-style dataset: a CutSet, as a sampler gives it, to a `Batch`."""

    tokens: Tokens
    """What texts are cut into."""

    text: str = "text"
    """Field of the supervisions to learn."""

    augmentation: AugmentationSpec | None = None
    """What is done to the utterances; nothing at all if None."""

    sounds: Sounds | None = None
    """Recordings that the augmentation takes from manifests."""

    cache: FeatureCache | None = None
    """Keeps features from one epoch to the next."""

    seed: int = 0
    """Of the augmentation, as `generator` takes it."""

    epoch: int = 0
    """Of the augmentation too."""

    def __getitem__(self, cuts: CutSet) -> Batch:
        """The batch of these cuts, in their order."""
        features = [self._features(cut) for cut in cuts]
        texts = [text_of(cut, self.text) for cut in cuts]
        targets = [self.tokens.encode(text) for text in texts]
        lengths = [len(frames) for frames in features]
        padded = np.full((len(features), max(lengths), features[0].shape[1]), PADDING, np.float32)
        for row, frames in zip(padded, features, strict=True):
            row[: len(frames)] = frames
        ids = np.zeros((len(targets), max(map(len, targets))), np.int64)
        for line, target in zip(ids, targets, strict=True):
            line[: len(target)] = target
        return Batch(
            features=torch.from_numpy(padded),
            feature_lengths=torch.tensor(lengths),
            targets=torch.from_numpy(ids),
            target_lengths=torch.tensor([len(target) for target in targets]),
            ids=[cut.id for cut in cuts],
            texts=texts,
            languages=[language_of(cut) for cut in cuts],
        )

    def _features(self, cut: Cut) -> Features:
        rng = generator(self.seed, self.epoch, cut.id)
        return features_of(cut, self.augmentation, rng, self.sounds, self.cache)


@dataclass(frozen=True)
class Place:
    """A batch to be made."""

    position: tuple[int, int]
    """The `position` of the batch."""

    cuts: CutSet
    """The utterances."""

    epoch: int = 0
    """Of the augmentation."""


@dataclass(frozen=True)
class Planned(Dataset[Batch]):
    """A batch for each place: what is heard of an utterance depends on the epoch."""

    utterances: Utterances

    def __getitem__(self, place: Place) -> Batch:
        """The batch at a place."""
        batch = replace(self.utterances, epoch=place.epoch)[place.cuts]
        return replace(batch, position=place.position)


@dataclass(frozen=True)
class Share:
    """The batches of an evaluation that a process gets: the sampler of its loader.

    It has no length: where Lightning knows that of a validation, it counts the batches of one twice
    that a run makes up for when it goes on.
    """

    places: list[Place]

    def __iter__(self) -> Iterator[Place]:
        """One batch after another."""
        return iter(self.places)


def eval_loader(
    manifests: str | Sequence[str],
    tokens: Tokens,
    text: str = "text",
    max_duration: float = 200.0,
    rank: int = 0,
    world_size: int = 1,
    longest: float = math.inf,
) -> DataLoader[Batch]:
    """Batches of every utterance once, longest first, nothing augmented, in a fixed order.

    An utterance that no model could hear is left out, and that is logged: one without duration,
    outside of its recording, or shorter than an encoder frame. An empty text is none such.

    Args:
        manifests: Lhotse manifests, see `manifests_of`.
        tokens: what texts are cut into.
        text: field of the supervisions.
        max_duration: seconds of audio in a batch.
        rank: which share of the batches this process gets: those with the numbers `rank` + 1,
            `rank` + 1 + `world_size`, ... A process for which none is left gets the first one
            again, so that nobody has nothing to do.
        world_size: number of processes.
        longest: seconds; a longer utterance is left out too.

    Raises:
        InputError: a manifest is missing, foreign or empty, or an utterance in it has no text.
    """
    found = heard_cuts(manifests, text, longest)
    sampler = SimpleCutSampler(
        CutSet(found),
        max_duration=max(max_duration, found[0].duration),
        shuffle=False,
        **ALL_BATCHES,
    )
    places = [Place((0, number), cuts) for number, cuts in enumerate(sampler, start=1)]
    share = Share(places[rank::world_size] or places[:1])
    return DataLoader(Planned(Utterances(tokens, text)), sampler=share, batch_size=None)


def heard_cuts(
    manifests: str | Sequence[str], text: str = "text", longest: float = math.inf
) -> list[Cut]:
    """The utterances of an evaluation, longest first; arguments and errors as of `eval_loader`."""
    found = [cut for path in manifests_of(manifests) for cut in _heard(path, text, longest)]
    return sorted(found, key=lambda cut: (-cut.duration, cut.id))


def unheard(cut: Cut, longest: float = math.inf) -> str:
    """Why an evaluation leaves a cut out, as the end of "it ..."; empty if it does not."""
    if reason := flaw_of(cut):
        return reason
    if cut.duration < SHORTEST:
        return f"lasts less than {SHORTEST:g} s"
    return f"lasts more than {longest:g} s" if cut.duration > longest else ""


def _heard(path: str, text: str, longest: float) -> list[Cut]:
    cuts = list(read_cuts(path))
    reasons = [unheard(cut, longest) for cut in cuts]
    for cut, reason in zip(cuts, reasons, strict=True):
        if reason:
            log.warning("%s: left out cut %r: it %s", path, cut.id, reason)
        else:
            check_cut(cut, text)
    heard = [cut for cut, reason in zip(cuts, reasons, strict=True) if not reason]
    if not heard:
        why = counted(Counter(reasons))
        raise InputError(f"{path}: none of its {len(cuts)} cuts can be used: {why}")
    return heard


def texts_of(manifests: str | Sequence[str], text: str = "text") -> Iterator[str]:
    """The texts of all cuts, to make tokens of or to score against."""
    for path in manifests_of(manifests):
        for cut in read_cuts(path):
            yield text_of(cut, text)


def manifests_of(manifests: str | Sequence[str]) -> tuple[str, ...]:
    """One manifest or several, as a tuple; a pattern like `train-*.jsonl.gz` is all that match it.

    Raises:
        InputError: nothing matches a pattern.
    """
    given = (manifests,) if isinstance(manifests, str) else tuple(manifests)
    return tuple(path for each in given for path in _matching(each))


def _matching(pattern: str) -> list[str]:
    if not set(pattern) & set("*?[") or Path(pattern).exists():
        return [pattern]
    found = sorted(glob(pattern, recursive=True))
    if not found:
        raise InputError(f"{pattern}: no manifest matches this pattern")
    return found
