"""The data of a training run: which utterances, in which order, from which place on."""

import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, compress, count, islice

from lhotse import CutSet
from lhotse.cut import Cut
from lhotse.dataset import DynamicBucketingSampler, SimpleCutSampler
from torch.utils.data import DataLoader

from foldformer.data.ahead import ahead
from foldformer.data.augmentation import AugmentationSpec, sounds_of
from foldformer.data.batches import (
    ALL_BATCHES,
    Batch,
    Place,
    Planned,
    Utterances,
    manifests_of,
)
from foldformer.data.bulk_features import bulk_fbank
from foldformer.data.cuts import load_cuts
from foldformer.data.feature_cache import FeatureCache
from foldformer.data.selection import Selection, Survey, selection, survey
from foldformer.data.tokens import Tokens
from foldformer.errors import InputError, SpecError
from foldformer.spec import Spec

_MOST_WORKERS = 1024  # more processes than any machine should have to start by a slip


@dataclass(frozen=True, kw_only=True)
class DataSpec(Spec):
    """Which recordings a model is trained on, and how they are put together."""

    train: str | tuple[str, ...]
    """Lhotse manifest of cuts, or folder in Lhotse's Shar format; or several, or a pattern like
    `data/train-*.jsonl.gz`, mixed in proportion to their size. What cannot be learnt is left out
    and named: `foldformer train CONFIG --check` lists it."""

    valid: str | tuple[str, ...]
    """The same, to measure the progress of training on; nothing longer than `max_duration`."""

    text: str = "text"
    """Field of the supervisions to learn: `text`, or a custom one such as a translation."""

    max_duration: float = 200.0
    """Seconds of audio in a batch, at most, counted before a change of speed."""

    num_buckets: int = 20
    """Classes of duration that batches are taken from, at most: more of them mean less padding
    and less chance. Each class holds four full batches or more, so little data have fewer."""

    ascending_epochs: int = 0
    """Epochs at the beginning in which utterances come with rising duration (SortaGrad,
    arXiv:1512.02595): CTC learns the short ones first and so leaves its initial plateau sooner."""

    min_utterance: float = 0.2
    """Seconds; shorter utterances are left out of training."""

    max_utterance: float = 30.0
    """Seconds; longer utterances are left out of training."""

    num_workers: int = 0
    """Processes that prepare batches; with 0 a thread of the training process prepares the next one
    during a step, which keeps up with training on a CPU. A GPU may want several."""

    cache_gb: float = 2.0
    """Memory for features without noise, in GiB, so that they need not be computed in every epoch:
    an hour takes 0.11, at each speed. Worker processes share it, and each keeps its own."""

    augmentation: AugmentationSpec | None = field(default_factory=AugmentationSpec)
    """What is done to utterances of training; nothing at all if null."""

    def __post_init__(self) -> None:
        for name in ("train", "valid"):
            if not getattr(self, name):
                raise SpecError(f"{name}: names no manifest; expected one or more")
        if not 0 <= self.min_utterance < self.max_utterance <= self.max_duration:
            raise SpecError(
                f"min_utterance {self.min_utterance}, max_utterance {self.max_utterance} and "
                f"max_duration {self.max_duration} must rise in this order"
            )
        if self.num_buckets < 2:
            raise SpecError(f"num_buckets: {self.num_buckets}; at least 2 are needed")
        for name in ("ascending_epochs", "num_workers", "cache_gb"):
            if getattr(self, name) < 0:
                raise SpecError(f"{name}: {getattr(self, name)}; must not be negative")
        if self.num_workers > _MOST_WORKERS:
            raise SpecError(
                f"num_workers: expected {_MOST_WORKERS} at most, got {self.num_workers}"
            )


class Used:
    """The cuts of a manifest that a survey found fit; each iteration reads them anew."""

    def __init__(self, found: Survey) -> None:
        self._found = found

    def __iter__(self) -> Iterator[Cut]:
        """The cuts in the order of the manifest."""
        return compress(load_cuts(self._found.path), self._found.used)


class TrainLoader:
    """Batches of training, epoch after epoch without end, from any place on.

    The utterances of an epoch are shuffled within classes of duration, or come with rising
    duration, and are augmented; all of it depends on the seed, the number of the epoch and the
    manifests alone.

    Several processes take turns: of every `world_size` batches in this order each gets one, over
    the ends of epochs too. So they have equally many batches, every utterance is heard once in an
    epoch whatever their number, and a run can go on with another number of them. (The samplers of
    Lhotse can share batches by themselves, but at the end of an epoch they split up what is left,
    or repeat some of it, in a way that depends on the number of processes.)

    Attributes:
        position: the epoch, and how many of its batches are done, where iteration begins. To
            resume, set it to the `position` of the last batch that was trained on; it counts the
            batches of all processes.

    Args:
        spec: manifests and sizes.
        tokens: what texts are cut into.
        seed: of order and augmentation.
        rank: which of the batches of a turn this process gets, from 0.
        world_size: number of processes.
        surveys: of the manifests, if they were made already.

    Raises:
        InputError: a manifest is missing, foreign or empty, an utterance in it has no text, or
            too few of them can be used.
    """

    def __init__(
        self,
        spec: DataSpec,
        tokens: Tokens,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        surveys: Sequence[Survey] | None = None,
    ) -> None:
        if surveys is None:
            choice = selection_of(spec, tokens)
            surveys = [survey(path, choice) for path in manifests_of(spec.train)]
        kept = [found.num_used for found in surveys]
        self._sets = [CutSet(Used(found)) for found in surveys]
        self._bucketed = DynamicBucketingSampler(
            CutSet.mux(*self._sets, weights=kept, seed=seed) if len(kept) > 1 else self._sets[0],
            max_duration=spec.max_duration,
            num_buckets=_num_buckets(spec, sum(found.seconds for found in surveys)),
            duration_bins=[spec.max_utterance] if sum(kept) == 1 else None,
            shuffle=True,
            seed=seed,
            **ALL_BATCHES,
        )
        self._rank, self._world_size = rank, world_size
        self._spec = spec
        self._dataset = Planned(
            Utterances(
                tokens,
                spec.text,
                spec.augmentation,
                sounds_of(spec.augmentation),
                FeatureCache(round(spec.cache_gb * 2**30 / max(spec.num_workers, 1)), bulk_fbank),
                seed,
            )
        )
        self.position = (0, 0)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of this process from `position` on."""
        return self._batches(self.share())

    def epoch(self, number: int, done: int = 0) -> Iterator[Batch]:
        """All batches of one epoch, without the first `done`, whose audio is not even read."""
        return self._batches(self.plan(number, done))

    def plan(self, number: int, done: int = 0) -> Iterator[Place]:
        """Which utterances make up the batches of an epoch, without the first `done`."""
        rising = number < self._spec.ascending_epochs
        sampler = self._ascending() if rising else self._bucketed
        sampler.set_epoch(number)
        for place, cuts in enumerate(islice(sampler, done, None), start=done + 1):
            yield Place((number, place), cuts, number)

    def share(self) -> Iterator[Place]:
        """Which utterances make up the batches of this process from `position` on.

        Each has the position of the last batch of its turn, where another turn begins.
        """
        epoch, done = self.position
        rest = chain.from_iterable(self.plan(number) for number in count(epoch + 1))
        plan = chain(self.plan(epoch, done), rest)
        while turn := list(islice(plan, self._world_size)):
            yield replace(turn[self._rank], position=turn[-1].position)

    def _batches(self, plan: Iterable[Place]) -> Iterator[Batch]:
        """The batches of a plan, each made in advance; its thread and processes live as long."""
        loader = DataLoader(
            self._dataset,
            sampler=plan,
            batch_size=None,
            num_workers=self._spec.num_workers,
            worker_init_fn=_leave_signals,
        )
        try:
            yield from ahead(iter(loader))
        except RuntimeError as error:
            raise worker_error(error) from error

    def _ascending(self) -> SimpleCutSampler:
        cuts = sorted(chain(*self._sets), key=lambda cut: (cut.duration, cut.id))
        return SimpleCutSampler(
            CutSet(cuts), max_duration=self._spec.max_duration, shuffle=False, **ALL_BATCHES
        )


def selection_of(spec: DataSpec, tokens: Tokens) -> Selection:
    """Which utterances a training with this configuration uses."""
    speeds = spec.augmentation.speed if spec.augmentation is not None else (1.0,)
    return selection(tokens, spec.text, spec.min_utterance, spec.max_utterance, speeds)


def worker_error(error: RuntimeError) -> Exception:
    """The error to raise for one that came up in training: a clear one if a worker process died.

    PyTorch finds a dead process within five seconds, wherever the training stands then.
    """
    reason = " ".join(str(error).split())
    if not reason.startswith("DataLoader worker"):
        return error
    return InputError(
        f"a process that prepares batches has ended by itself ({reason.split('. ')[0]}): often "
        "memory ran out; lower data.num_workers, data.max_duration or data.cache_gb"
    )


def _num_buckets(spec: DataSpec, seconds: float) -> int:
    return max(min(spec.num_buckets, int(seconds / spec.max_duration / 4)), 2)


def _leave_signals(worker: int) -> None:
    """Ctrl-C is for the process that trains, which needs the others until its step is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
