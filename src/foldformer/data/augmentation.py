"""Augmentation of one utterance: speed, noise, gain, masks; each a function of a random generator.

The generator is made from the seed, the epoch and the cut's id, and nothing else: two runs with
the same seed hear the same sounds, whatever model they train and however many processes share
the work.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from lhotse.cut import Cut

from foldformer.data.audio import SAMPLING_RATE, Samples, resample
from foldformer.data.cuts import samples_of
from foldformer.data.features import Features, fbank
from foldformer.errors import SpecError
from foldformer.spec import Spec

NUM_COLOURS = 5
"""Colours of generated noise, from white to brown."""

_NOISE_LOOP = 2**18  # samples
_LOWEST_NOISE = 20 * _NOISE_LOOP // SAMPLING_RATE  # bin of 20 Hz; below, the power is constant


@dataclass(frozen=True, kw_only=True)
class MaskSpec(Spec):
    """SpecAugment (arXiv:1904.08779) without time warping: speed perturbation does that."""

    time_masks: int = 10
    """The most stretches of time that are masked in an utterance."""

    max_time_mask: int = 100
    """The longest stretch, in frames of 10 ms."""

    max_time_fraction: float = 0.15
    """The most of an utterance that all stretches together may mask."""

    frequency_masks: int = 2
    """Number of bands of frequency that are masked."""

    max_frequency_mask: int = 27
    """The widest band, in mel bins of 80."""

    def __post_init__(self) -> None:
        for name in ("time_masks", "max_time_mask", "frequency_masks", "max_frequency_mask"):
            if getattr(self, name) < 0:
                raise SpecError(f"{name}: {getattr(self, name)}; must not be negative")
        if not 0 <= self.max_time_fraction < 1:
            raise SpecError(f"max_time_fraction: {self.max_time_fraction}; must be in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class AugmentationSpec(Spec):
    """What is done to the utterances of training, each time in another way."""

    speed: tuple[float, ...] = (0.9, 1.0, 1.1)
    """Factors of speed and pitch together; one of them is drawn for each utterance."""

    gain_db: float = 6.0
    """The most that an utterance is made louder or softer, in dB."""

    noise_probability: float = 0.25
    """How often noise is added to an utterance."""

    noise_snr_db: tuple[float, float] = (10.0, 40.0)
    """The least and the most level of speech over noise, in dB."""

    noise: str | None = None
    """A manifest of cuts with noise; without it the noise is generated, from white to brown."""

    masks: MaskSpec = field(default_factory=MaskSpec)
    """Masked stretches of time and bands of frequency."""

    def __post_init__(self) -> None:
        if not self.speed or any(not 0.5 <= factor <= 2 for factor in self.speed):
            raise SpecError(f"speed: {list(self.speed)}; expected factors from 0.5 to 2")
        if self.gain_db < 0:
            raise SpecError(f"gain_db: {self.gain_db}; must not be negative")
        if not 0 <= self.noise_probability <= 1:
            raise SpecError(f"noise_probability: {self.noise_probability}; must be in [0, 1]")
        if len(self.noise_snr_db) != 2 or self.noise_snr_db[0] > self.noise_snr_db[1]:
            raise SpecError(f"noise_snr_db: {list(self.noise_snr_db)}; expected [least, most]")


def generator(seed: int, epoch: int, cut_id: str) -> np.random.Generator:
    """The source of all random choices for one cut in one epoch."""
    return np.random.default_rng([seed, epoch, zlib.crc32(cut_id.encode())])


def coloured_noise(size: int, colour: int, rng: np.random.Generator) -> Samples:
    """Noise (N,) of unit power; its power falls as 1 / frequency^(colour / 2), colour 0 to 4.

    0 is white, 2 pink, 4 brown. It is a random part of a loop of 16 s: making it anew each time
    would cost more than the features.
    """
    loop = _noise_loop(colour)
    start = int(rng.integers(len(loop)))
    return np.take(loop, np.arange(start, start + size), mode="wrap")


@lru_cache(maxsize=NUM_COLOURS)
def _noise_loop(colour: int) -> Samples:
    rng = np.random.default_rng(colour)
    bins = _NOISE_LOOP // 2 + 1
    spectrum = rng.standard_normal(bins) + 1j * rng.standard_normal(bins)
    spectrum *= np.maximum(np.arange(bins), _LOWEST_NOISE) ** (-colour / 4)
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, _NOISE_LOOP)  # its end meets its beginning
    unit: Samples = (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)
    return unit


def add_noise(samples: Samples, noise: Samples, snr_db: float) -> Samples:
    """Samples + noise (N,), the noise so loud that its power is `snr_db` below the samples'."""
    power, noise_power = float(np.mean(samples**2)), float(np.mean(noise**2))
    if noise_power == 0:
        return samples
    scale = np.sqrt(power / noise_power) * 10 ** (-snr_db / 20)
    return samples + np.float32(scale) * noise


def mask(features: Features, spec: MaskSpec, rng: np.random.Generator) -> Features:
    """Features (T, 80) with random stretches of time and bands of frequency set to their mean."""
    masked = features.copy()
    mean = features.mean()
    for _ in range(spec.frequency_masks):
        start, end = _stretch(features.shape[1], spec.max_frequency_mask, rng)
        masked[:, start:end] = mean
    budget = spec.max_time_fraction * len(features)
    if spec.time_masks and spec.max_time_mask:
        # As many stretches as it takes to spend the budget on long ones (as Lhotse does).
        count = min(spec.time_masks, int(np.ceil(budget / spec.max_time_mask)))
        for _ in range(count):
            start, end = _stretch(len(features), min(spec.max_time_mask, int(budget / count)), rng)
            masked[start:end] = mean
    return masked


def _stretch(size: int, longest: int, rng: np.random.Generator) -> tuple[int, int]:
    width = int(rng.integers(0, min(longest, size) + 1))
    start = int(rng.integers(0, size - width + 1))
    return start, start + width


def features_of(
    cut: Cut,
    augmentation: AugmentationSpec | None,
    rng: np.random.Generator,
    noises: Sequence[Cut] = (),
) -> Features:
    """The features (T, 80) of one cut, augmented in the way that `rng` draws.

    A change of speed is a resampling as if the recording had another rate, so that it and the
    way to 16 kHz are one step.
    """
    speed = 1.0 if augmentation is None else float(rng.choice(augmentation.speed))
    samples = _at_16k(cut, speed)
    if augmentation is None:
        return fbank(samples)
    if rng.random() < augmentation.noise_probability:
        noise = _noise(len(samples), noises, rng)
        samples = add_noise(samples, noise, rng.uniform(*augmentation.noise_snr_db))
    gain = rng.uniform(-augmentation.gain_db, augmentation.gain_db)
    features = fbank(samples * np.float32(10 ** (gain / 20)))
    return mask(features, augmentation.masks, rng)


def _noise(size: int, noises: Sequence[Cut], rng: np.random.Generator) -> Samples:
    if not noises:
        return coloured_noise(size, int(rng.integers(NUM_COLOURS)), rng)
    cut = noises[int(rng.integers(len(noises)))]
    seconds = size / SAMPLING_RATE
    if cut.duration > seconds:
        cut = cut.truncate(offset=rng.uniform(0, cut.duration - seconds), duration=seconds)
    return np.resize(_at_16k(cut), size)


def _at_16k(cut: Cut, speed: float = 1.0) -> Samples:
    samples, rate = samples_of(cut), round(cut.sampling_rate * speed)
    return samples if rate == SAMPLING_RATE else resample(samples, rate, SAMPLING_RATE)
