"""Augmentation of one utterance: speed, noise, gain, masks; each a function of a random generator.

The generator is made from the seed, the epoch and the cut's id, and nothing else: two runs with
the same seed hear the same sounds, whatever model they train and however many processes share
the work. Speed, noise and masks are Lhotse's.
"""

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import soundfile
import torch
from lhotse import Recording
from lhotse.cut import Cut
from lhotse.dataset import SpecAugment

from foldformer.data.audio import SAMPLING_RATE, Samples, resample
from foldformer.data.cuts import files_of, samples_of
from foldformer.data.features import FLOOR, NUM_MELS, Features, fbank
from foldformer.errors import SpecError
from foldformer.spec import Spec

_NOISE = 2**18  # samples, 16 s
_LOWEST_NOISE = 20 * _NOISE // SAMPLING_RATE  # bin of 20 Hz; below, the power is constant


@dataclass(frozen=True, kw_only=True)
class MaskSpec(Spec):
    """SpecAugment (arXiv:1904.08779) without time warping: speed perturbation does that."""

    time_masks: int = 10
    """The most stretches of time that are masked in an utterance."""

    max_time_mask: int = 100
    """Longer than any stretch, in frames of 10 ms."""

    max_time_fraction: float = 0.15
    """The most of an utterance that all stretches together may mask."""

    frequency_masks: int = 2
    """Number of bands of frequency that are masked."""

    max_frequency_mask: int = 27
    """Wider than any band, in mel bins of 80."""

    def __post_init__(self) -> None:
        least = {"time_masks": 1, "max_time_mask": 2, "frequency_masks": 1, "max_frequency_mask": 2}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise SpecError(f"{name}: {getattr(self, name)}; must be at least {value}")
        if self.max_frequency_mask > NUM_MELS:
            raise SpecError(f"max_frequency_mask: {self.max_frequency_mask}; at most {NUM_MELS}")
        if not 0 < self.max_time_fraction < 1:
            raise SpecError(f"max_time_fraction: {self.max_time_fraction}; must be in (0, 1)")


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

    masks: MaskSpec | None = field(default_factory=MaskSpec)
    """Masked stretches of time and bands of frequency; none if null."""

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


@lru_cache(maxsize=1)
def generated_noises() -> tuple[Cut, ...]:
    """Cuts of noise, 16 s each, from white to brown; their ends meet their beginnings.

    The power falls as 1 / frequency^n, n = 0, 0.5, ..., 2.
    """
    return tuple(_coloured_noise(index / 2) for index in range(5))


def _coloured_noise(fall: float) -> Cut:
    rng = np.random.default_rng(round(2 * fall))
    bins = _NOISE // 2 + 1
    spectrum = rng.standard_normal(bins) + 1j * rng.standard_normal(bins)
    spectrum *= np.maximum(np.arange(bins), _LOWEST_NOISE) ** (-fall / 2)
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, _NOISE)
    written = io.BytesIO()
    soundfile.write(written, noise / np.abs(noise).max(), SAMPLING_RATE, format="WAV")
    return Recording.from_bytes(written.getvalue(), f"noise-{fall}").to_cut()


def with_noise(cut: Cut, noises: Sequence[Cut], snr_db: float, rng: np.random.Generator) -> Cut:
    """The cut mixed with a random part of one of the noises, `snr_db` softer than the cut.

    Noise that is shorter than the cut is repeated.
    """
    noise = noises[int(rng.integers(len(noises)))]
    if noise.sampling_rate != cut.sampling_rate:
        noise = noise.resample(cut.sampling_rate)
    while noise.duration < cut.duration:
        noise = noise.append(noise)
    offset = rng.uniform(0, noise.duration - cut.duration)
    noise = noise.truncate(offset=offset, duration=cut.duration)
    return cut.mix(noise, snr=snr_db, preserve_id="left")


def mask(features: Features, spec: MaskSpec, rng: np.random.Generator) -> Features:
    """Features (T, 80) with random stretches of time and bands of frequency set to their mean."""
    if spec.max_time_fraction * len(features) < 1:
        return features  # Lhotse fails if it may not mask a single frame
    transform = SpecAugment(
        time_warp_factor=None,
        num_feature_masks=spec.frequency_masks,
        features_mask_size=spec.max_frequency_mask,
        num_frame_masks=spec.time_masks,
        frames_mask_size=spec.max_time_mask,
        max_frames_mask_fraction=spec.max_time_fraction,
        p=1.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(rng.integers(2**63)))
        masked: Features = transform(torch.from_numpy(features)[None])[0].numpy()
    return masked


class FeatureCache:
    """Features (T, 80) of cuts at each speed, computed once, as long as there is room.

    What comes when it is full is computed every time: that finds more than forgetting the oldest,
    since an epoch asks for every utterance once.

    Args:
        max_bytes: memory for features; 0 keeps none.
    """

    def __init__(self, max_bytes: int = 0) -> None:
        self._room = max_bytes
        self._kept: dict[tuple[object, ...], Features] = {}

    def features(self, cut: Cut, speed: float) -> Features:
        """The features of a cut at a speed; not to be written into."""
        # Two manifests may have the same ids, but hardly with the same recordings too.
        files = tuple(map(str, files_of(cut)))
        key = (cut.id, cut.duration, files, speed)
        found = self._kept.get(key)
        if found is None:
            found = fbank(_at_16k(_at_speed(cut, speed)))
            if files and found.nbytes <= self._room:
                self._room -= found.nbytes
                self._kept[key] = found
        return found


def features_of(
    cut: Cut,
    augmentation: AugmentationSpec | None,
    rng: np.random.Generator,
    noises: Sequence[Cut] = (),
    cache: FeatureCache | None = None,
) -> Features:
    """The features (T, 80) of one cut, augmented in the way that `rng` draws.

    Gain is a constant that is added to the features. That is exact but for the floor of an
    energy, which is below all but digital silence.

    Args:
        cut: the utterance.
        augmentation: what is done to it; None leaves it as it is.
        rng: the source of all choices, see `generator`.
        noises: cuts to take noise from; the generated ones if there are none.
        cache: keeps features without noise, so that they need not be computed in every epoch.
    """
    cache = cache or FeatureCache()
    if augmentation is None:
        return cache.features(cut, 1.0)
    speed = float(rng.choice(augmentation.speed))
    if rng.random() < augmentation.noise_probability:
        snr_db = rng.uniform(*augmentation.noise_snr_db)
        noisy = with_noise(_at_speed(cut, speed), noises or generated_noises(), snr_db, rng)
        features = fbank(_at_16k(noisy))
    else:
        features = cache.features(cut, speed)
    gain_db = rng.uniform(-augmentation.gain_db, augmentation.gain_db)
    features = np.maximum(features + np.float32(gain_db * np.log(10) / 10), np.float32(FLOOR))
    return mask(features, augmentation.masks, rng) if augmentation.masks else features


def _at_speed(cut: Cut, speed: float) -> Cut:
    return cut if speed == 1 else cut.perturb_speed(speed, affix_id=False)


def _at_16k(cut: Cut) -> Samples:
    samples, rate = samples_of(cut), cut.sampling_rate
    return samples if rate == SAMPLING_RATE else resample(samples, rate, SAMPLING_RATE)
