"""Cuts to batches: what the training and the evaluation of a model iterate over."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import partial

import numpy as np
import torch
from lhotse import CutSet
from lhotse.cut import Cut
from lhotse.dataset import DynamicBucketingSampler, SimpleCutSampler
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from foldformer.data.audio import SHORTEST
from foldformer.data.augmentation import AugmentationSpec, features_of, generator
from foldformer.data.cuts import check_cut, language_of, load_cuts, read_cuts, text_of
from foldformer.data.features import FRAME_SHIFT, PADDING, Features
from foldformer.data.tokens import Tokens
from foldformer.errors import InputError, SpecError
from foldformer.spec import Spec

log = logging.getLogger(__name__)

_EPOCH = "augmentation_epoch"  # the custom field of a cut that carries the epoch to a worker


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


@dataclass(frozen=True, kw_only=True)
class DataSpec(Spec):
    """Which recordings a model is trained on, and how they are put together."""

    train: str | tuple[str, ...]
    """Lhotse manifest of cuts, or several, mixed in proportion to their size."""

    valid: str | tuple[str, ...]
    """Lhotse manifest(s) of cuts to measure the progress of training on."""

    text: str = "text"
    """Field of the supervisions to learn: `text`, or a custom one such as a translation."""

    max_duration: float = 200.0
    """Seconds of audio in a batch, at most, counted before a change of speed."""

    num_buckets: int = 20
    """Classes of duration that batches are taken from, at most: more of them mean less padding
    and less chance. Each class holds four full batches or more, so little data have fewer."""

    min_utterance: float = 0.2
    """Seconds; shorter utterances are left out of training."""

    max_utterance: float = 30.0
    """Seconds; longer utterances are left out of training."""

    num_workers: int = 0
    """Processes that prepare batches; 0 prepares them in the training process itself."""

    augmentation: AugmentationSpec | None = field(default_factory=AugmentationSpec)
    """What is done to utterances of training; nothing at all if null."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_utterance < self.max_utterance <= self.max_duration:
            raise SpecError(
                f"min_utterance {self.min_utterance}, max_utterance {self.max_utterance} and "
                f"max_duration {self.max_duration} must rise in this order"
            )
        if self.num_buckets < 2:
            raise SpecError(f"num_buckets: {self.num_buckets}; at least 2 are needed")
        if self.num_workers < 0:
            raise SpecError(f"num_workers: {self.num_workers}; must not be negative")


class Utterances(Dataset[Batch]):
    """Lhotse's map-style dataset: a CutSet, as a sampler gives it, to a `Batch`."""

    def __init__(
        self,
        tokens: Tokens,
        text: str = "text",
        augmentation: AugmentationSpec | None = None,
        seed: int = 0,
    ) -> None:
        self._tokens = tokens
        self._text = text
        self._augmentation = augmentation
        self._seed = seed
        manifest = augmentation.noise if augmentation is not None else None
        self._noises = list(read_cuts(manifest)) if manifest is not None else []

    def __getitem__(self, cuts: CutSet) -> Batch:
        """The batch of these cuts, in their order."""
        features = [self._features(cut) for cut in cuts]
        texts = [text_of(cut, self._text) for cut in cuts]
        targets = [self._tokens.encode(text) for text in texts]
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
        epoch = (cut.custom or {}).get(_EPOCH, 0)
        rng = generator(self._seed, epoch, cut.id)
        return features_of(cut, self._augmentation, rng, self._noises)


def train_loader(
    spec: DataSpec,
    tokens: Tokens,
    seed: int,
    rank: int | None = None,
    world_size: int | None = None,
) -> DataLoader[Batch]:
    """Batches of training: shuffled within classes of duration, augmented, in epochs.

    `loader.sampler.set_epoch(n)` chooses the epoch (Lightning does); its order and augmentation
    depend on `seed`, `n` and the manifests alone. With several processes every one must make the
    loader after torch.distributed is set up, and Lightning must not replace the sampler
    (`use_distributed_sampler=False`).

    Args:
        spec: manifests and sizes.
        tokens: what texts are cut into.
        seed: of order and augmentation.
        rank: which share of the batches this process gets; by default as torch.distributed says.
        world_size: number of processes; by default as torch.distributed says.

    Raises:
        InputError: a manifest is missing, foreign or empty, or an utterance in it has no text.
    """
    manifests = manifests_of(spec.train)
    kept, seconds = zip(*(_checked(path, spec) for path in manifests), strict=True)
    sets = [load_cuts(path).filter(partial(_fits, spec=spec)) for path in manifests]
    cuts = sets[0] if len(sets) == 1 else CutSet.mux(*sets, weights=kept, seed=seed)
    sampler = DynamicBucketingSampler(
        cuts,
        max_duration=spec.max_duration,
        num_buckets=_num_buckets(spec, sum(seconds)),
        duration_bins=[spec.max_utterance] if sum(kept) == 1 else None,
        shuffle=True,
        drop_last=False,
        seed=seed,
        rank=rank,
        world_size=world_size,
    )

    def stamp(batch: CutSet) -> CutSet:
        for cut in batch:
            setattr(cut, _EPOCH, sampler.epoch)
        return batch

    sampler.map(stamp)
    dataset = Utterances(tokens, spec.text, spec.augmentation, seed)
    return DataLoader(dataset, sampler=sampler, batch_size=None, num_workers=spec.num_workers)


def eval_loader(
    manifests: str | Sequence[str],
    tokens: Tokens,
    text: str = "text",
    max_duration: float = 200.0,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader[Batch]:
    """Batches of every utterance once, longest first, nothing augmented, in a fixed order.

    Raises:
        InputError: see `train_loader`.
    """
    found = [cut for path in manifests_of(manifests) for cut in read_cuts(path)]
    for cut in found:
        check_cut(cut, text)
    found.sort(key=lambda cut: (-cut.duration, cut.id))
    sampler = SimpleCutSampler(
        CutSet(found),
        max_duration=max(max_duration, found[0].duration),
        shuffle=False,
        rank=rank,
        world_size=world_size,
    )
    return DataLoader(Utterances(tokens, text), sampler=sampler, batch_size=None)


def texts_of(manifests: str | Sequence[str], text: str = "text") -> Iterator[str]:
    """The texts of all cuts, to make tokens of or to score against."""
    for path in manifests_of(manifests):
        for cut in read_cuts(path):
            yield text_of(cut, text)


def manifests_of(manifests: str | Sequence[str]) -> tuple[str, ...]:
    """One manifest or several, as a tuple."""
    return (manifests,) if isinstance(manifests, str) else tuple(manifests)


def _fits(cut: Cut, spec: DataSpec) -> bool:
    return bool(max(spec.min_utterance, SHORTEST) <= cut.duration <= spec.max_utterance)


def _num_buckets(spec: DataSpec, seconds: float) -> int:
    return max(min(spec.num_buckets, int(seconds / spec.max_duration / 4)), 2)


def _checked(path: str, spec: DataSpec) -> tuple[int, float]:
    """Number and seconds of the cuts that training will use, after a look at every one of them."""
    kept, left_out, seconds = 0, 0, 0.0
    for cut in read_cuts(path):
        if _fits(cut, spec):
            check_cut(cut, spec.text)
            kept, seconds = kept + 1, seconds + cut.duration
        else:
            left_out += 1
    if not kept:
        raise InputError(
            f"{path}: none of its {left_out} cuts lasts from {spec.min_utterance} to "
            f"{spec.max_utterance} s; cut long recordings at their supervisions "
            f"(`lhotse cut trim-to-supervisions`), or change min_utterance and max_utterance"
        )
    if left_out:
        log.warning(
            "%s: %d of %d cuts are left out, shorter than %g s or longer than %g s",
            path,
            left_out,
            kept + left_out,
            spec.min_utterance,
            spec.max_utterance,
        )
    return kept, seconds
