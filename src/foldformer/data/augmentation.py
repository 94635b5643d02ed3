"""Augmentation of one utterance: speed, noise, gain, masks; each a function of a random generator.

The generator is made from the seed, the epoch and the cut's id, and nothing else: two runs with
the same seed hear the same sounds, whatever model they train and however many processes share
the work.
"""

import zlib
from dataclasses import dataclass, field

import numpy as np

from foldformer.data.audio import Samples
from foldformer.data.features import Features
from foldformer.errors import SpecError
from foldformer.spec import Spec


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


def coloured_noise(size: int, exponent: float, rng: np.random.Generator) -> Samples:
    """Noise (N,) of unit power whose power falls as 1 / frequency^exponent: 0 white, 2 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(size, dtype=np.float32))
    spectrum *= np.maximum(np.arange(len(spectrum)), 1.0) ** (-exponent / 2)
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, size)
    unit: Samples = (noise / max(np.sqrt(np.mean(noise**2)), 1e-12)).astype(np.float32)
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
