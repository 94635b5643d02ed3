"""Noise behind the speech of training: from recordings, or generated from white to brown."""

import io
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import soundfile
from lhotse import Recording
from lhotse.cut import Cut

from foldformer.data.audio import SAMPLING_RATE, SHORTEST, Samples
from foldformer.data.cuts import samples_of

_NOISE = 2**18  # samples, 16 s
_LOWEST_NOISE = 20 * _NOISE // SAMPLING_RATE  # bin of 20 Hz; below, the power is constant


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


def with_noise(
    samples: Samples, rate: int, noises: Sequence[Cut], snr_db: float, rng: np.random.Generator
) -> Samples:
    """Samples (N,) plus a random part of one of the noises, `snr_db` softer than they are.

    Noise that is shorter is repeated. Silence, of speech or of noise, leaves the samples alone.
    """
    duration = max(len(samples) / rate, SHORTEST)
    noise = noises[int(rng.integers(len(noises)))]
    if noise.sampling_rate != rate:
        noise = noise.resample(rate)
    while noise.duration < duration:
        noise = noise.append(noise)
    offset = rng.uniform(0, noise.duration - duration)
    added = samples_of(noise.truncate(offset=offset, duration=duration))[: len(samples)]
    speech_power, noise_power = (float(np.mean(each**2)) for each in (samples, added))
    if speech_power == 0 or noise_power == 0:
        return samples
    gain = np.float32(np.sqrt(speech_power / noise_power) * 10 ** (-snr_db / 20))
    mixed = samples.copy()
    mixed[: len(added)] += gain * added
    return mixed
