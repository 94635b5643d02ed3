"""Augmentation of one utterance, a function of a random generator.

The generator is made from the seed, the epoch and the cut's id, and nothing else: two runs with
the same seed hear the same sounds, whatever model they train and however many processes share
the work. In the order of nature: the speaker (speed), the room, the noise in it, the telephone,
the gain, and last the masks over the features.
"""

import zlib
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from lhotse.cut import Cut

from foldformer.data.audio import Samples
from foldformer.data.cuts import read_cuts
from foldformer.data.feature_cache import FeatureCache, at_16k, at_speed
from foldformer.data.features import FLOOR, Features
from foldformer.data.flaws import flaw_of
from foldformer.data.masks import MaskSpec, mask
from foldformer.data.noise import generated_noises, with_noise
from foldformer.data.rooms import ReverberationSpec, response, reverberated
from foldformer.data.telephone import TelephoneSpec, telephoned
from foldformer.errors import InputError, SpecError
from foldformer.spec import Spec


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

    reverberation: ReverberationSpec | None = None
    """Rooms; none if null."""

    telephone: TelephoneSpec | None = None
    """Telephone lines; none if null."""

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


@dataclass(frozen=True)
class Sounds:
    """Recordings that an augmentation takes from manifests."""

    noises: tuple[Cut, ...] = ()
    """Noise; the generated ones if there are none."""

    responses: tuple[Cut, ...] = ()
    """Impulse responses of rooms; generated ones if there are none."""


def sounds_of(spec: AugmentationSpec | None) -> Sounds:
    """The recordings that an augmentation asks for.

    Raises:
        InputError: a manifest of them is missing or foreign, or one of them cannot be heard.
    """
    if spec is None:
        return Sounds()
    room = spec.reverberation.responses if spec.reverberation is not None else None
    return Sounds(_sounds(spec.noise), _sounds(room))


def _sounds(path: str | None) -> tuple[Cut, ...]:
    cuts = () if path is None else tuple(read_cuts(path))
    for cut in cuts:
        if reason := flaw_of(cut):
            raise InputError(f"{path}: cut {cut.id!r} {reason}; leave it out of the manifest")
    return cuts


def generator(seed: int, epoch: int, cut_id: str) -> np.random.Generator:
    """The source of all random choices for one cut in one epoch."""
    return np.random.default_rng([seed, epoch, zlib.crc32(cut_id.encode())])


def features_of(
    cut: Cut,
    augmentation: AugmentationSpec | None,
    rng: np.random.Generator,
    sounds: Sounds | None = None,
    cache: FeatureCache | None = None,
) -> Features:
    """The features (T, 80) of one cut, augmented in the way that `rng` draws.

    Gain is a constant that is added to the features. That is exact but for the floor of an
    energy, which is below all but digital silence.

    Args:
        cut: the utterance.
        augmentation: what is done to it; None leaves it as it is.
        rng: the source of all choices, see `generator`.
        sounds: recordings that the augmentation takes from manifests.
        cache: computes the features, and keeps clean ones for other epochs.
    """
    cache = cache or FeatureCache()
    if augmentation is None:
        return cache.features(cut, 1.0)
    speed = float(rng.choice(augmentation.speed))
    noise = rng.random() < augmentation.noise_probability
    room = _drawn(augmentation.reverberation, rng)
    line = _drawn(augmentation.telephone, rng)
    if noise or room or line:
        features = cache.compute(_dirty(cut, speed, noise, room, line, augmentation, rng, sounds))
    else:
        features = cache.features(cut, speed)
    gain_db = rng.uniform(-augmentation.gain_db, augmentation.gain_db)
    features = np.maximum(features + np.float32(gain_db * np.log(10) / 10), np.float32(FLOOR))
    return mask(features, augmentation.masks, rng) if augmentation.masks else features


S = TypeVar("S", ReverberationSpec, TelephoneSpec)


def _drawn(spec: S | None, rng: np.random.Generator) -> S | None:
    """The spec as often as it says. Nothing is drawn without one: the rest stays as it was."""
    return spec if spec is not None and rng.random() < spec.probability else None


def _dirty(
    cut: Cut,
    speed: float,
    noise: bool,
    room: ReverberationSpec | None,
    line: TelephoneSpec | None,
    augmentation: AugmentationSpec,
    rng: np.random.Generator,
    sounds: Sounds | None,
) -> Samples:
    """The samples (N,) at 16 kHz of a cut at a speed in a room, with noise, over the telephone."""
    sounds = sounds or Sounds()
    samples, rate = at_speed(cut, speed), int(cut.sampling_rate)
    if room is not None:
        samples = reverberated(samples, response(room, rate, sounds.responses, rng))
    if noise:
        snr_db = rng.uniform(*augmentation.noise_snr_db)
        noises = sounds.noises or generated_noises()
        samples = with_noise(samples, rate, noises, snr_db, rng)
    if line is not None:
        samples = telephoned(samples, rate, line.codecs[int(rng.integers(len(line.codecs)))])
    return at_16k(samples, rate)
