from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import Recording
from lhotse.cut import Cut

from foldformer.data.cuts import samples_of
from foldformer.data.noise import generated_noises, with_noise


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def db(ratio: float) -> float:
    return 10 * float(np.log10(ratio))


@pytest.mark.parametrize("colour", range(5))
def test_the_power_of_noise_falls_with_its_colour(colour: int) -> None:
    noise = samples_of(generated_noises()[colour])
    assert len(noise) == 2**18
    power = np.abs(np.fft.rfft(noise)) ** 2
    hertz = np.fft.rfftfreq(len(noise), 1 / 16000)
    low, high = (power[(hertz > f) & (hertz < 2 * f)].mean() for f in (100, 1600))
    assert db(low / high) == pytest.approx(colour / 2 * db(16), abs=1)  # 1600 / 100 = 16


def recorded(folder: Path, name: str, samples: np.ndarray, rate: int = 16000) -> Cut:
    soundfile.write(folder / f"{name}.wav", samples, rate, subtype="FLOAT")
    return Recording.from_file(folder / f"{name}.wav").to_cut()


@pytest.mark.parametrize("snr", [-5.0, 0.0, 20.0])
@pytest.mark.parametrize("seconds", [0.3, 1.0, 1.7])  # of noise
@pytest.mark.parametrize("rate", [8000, 16000])
def test_noise_of_any_length_and_rate_is_added_at_the_level_asked_for(
    tmp_path: Path, snr: float, seconds: float, rate: int
) -> None:
    speech = recorded(tmp_path, "speech", 0.1 * rng(1).standard_normal(16000))
    times = np.arange(int(seconds * rate)) / rate
    noise = recorded(tmp_path, "noise", np.sin(2 * np.pi * 1000 * times), rate)
    heard = samples_of(speech)
    added = with_noise(heard, 16000, [noise], snr, rng(3)) - heard
    assert len(added) == 16000
    level = db(np.mean(heard**2) / np.mean(added**2))
    assert level == pytest.approx(snr, abs=0.2)
    spectrum = np.abs(np.fft.rfft(added))
    assert spectrum.argmax() == pytest.approx(1000, abs=3)  # Hz
    quarters = np.mean(added.reshape(4, -1) ** 2, axis=1)
    assert quarters.max() / quarters.min() < 1.2  # noise that is too short is repeated


def test_another_part_of_the_noise_is_taken_each_time(tmp_path: Path) -> None:
    speech = recorded(tmp_path, "speech", 0.1 * rng(1).standard_normal(16000))
    heard = samples_of(speech)
    first, again, other = (
        with_noise(heard, 16000, generated_noises()[:1], 0.0, rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other, atol=0.01)


@pytest.mark.parametrize("rate", [8000, 16000, 22050])
def test_it_is_the_mixture_that_lhotse_makes(tmp_path: Path, rate: int) -> None:
    speech = recorded(tmp_path, "speech", 0.1 * rng(1).standard_normal(2 * rate), rate)
    noise = generated_noises()[2]
    draws = rng(5)
    draws.integers(1)
    piece = noise if rate == 16000 else noise.resample(rate)
    piece = piece.truncate(offset=draws.uniform(0, piece.duration - 2), duration=2.0)
    mixed = samples_of(speech.mix(piece, snr=7.0))
    ours = with_noise(samples_of(speech), rate, [noise], 7.0, rng(5))
    np.testing.assert_allclose(ours, mixed, atol=1e-6)


def test_silence_may_be_mixed(tmp_path: Path) -> None:
    silence = recorded(tmp_path, "silence", np.zeros(16000))
    noise = recorded(tmp_path, "noise", 0.1 * rng(1).standard_normal(16000))
    loud, quiet = samples_of(noise), samples_of(silence)
    np.testing.assert_array_equal(with_noise(loud, 16000, [silence], 10.0, rng()), loud)
    np.testing.assert_array_equal(with_noise(quiet, 16000, [noise], 10.0, rng()), quiet)


def test_noise_is_not_cut_shorter_than_can_be_heard(tmp_path: Path) -> None:
    speech = recorded(tmp_path, "speech", 0.1 * rng(1).standard_normal(16000))
    noise = recorded(tmp_path, "noise", 0.1 * rng(2).standard_normal(16000))
    heard = samples_of(speech)[: int(0.038 * 16000)]
    mixed = with_noise(heard, 16000, [noise], 0.0, rng(3))
    assert mixed.shape == heard.shape
    assert db(np.mean(heard**2) / np.mean((mixed - heard) ** 2)) == pytest.approx(0, abs=0.5)
