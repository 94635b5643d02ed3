from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from lhotse import Recording
from lhotse.cut import Cut

from foldformer.data.audio import load_audio, resample
from foldformer.data.augmentation import (
    AugmentationSpec,
    FeatureCache,
    MaskSpec,
    features_of,
    generated_noises,
    generator,
    mask,
    with_noise,
)
from foldformer.data.cuts import read_cuts, samples_of
from foldformer.data.features import fbank
from foldformer.errors import SpecError


def plain(**settings: object) -> AugmentationSpec:
    """An augmentation that does nothing but what `settings` say."""
    off = {"speed": (1.0,), "gain_db": 0.0, "noise_probability": 0.0, "masks": None}
    return AugmentationSpec(**(off | settings))  # type: ignore[arg-type]


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
    mixed = with_noise(speech, [noise], snr, rng(3))
    assert mixed.id == speech.id
    added = samples_of(mixed) - samples_of(speech)
    assert len(added) == 16000
    level = db(np.mean(samples_of(speech) ** 2) / np.mean(added**2))
    assert level == pytest.approx(snr, abs=0.2)
    spectrum = np.abs(np.fft.rfft(added))
    assert spectrum.argmax() == pytest.approx(1000, abs=3)  # Hz
    quarters = np.mean(added.reshape(4, -1) ** 2, axis=1)
    assert quarters.max() / quarters.min() < 1.2  # noise that is too short is repeated


def test_another_part_of_the_noise_is_taken_each_time(tmp_path: Path) -> None:
    speech = recorded(tmp_path, "speech", 0.1 * rng(1).standard_normal(16000))
    first, again, other = (
        samples_of(with_noise(speech, generated_noises()[:1], 0.0, rng(seed))) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other, atol=0.01)


def test_silence_may_be_mixed(tmp_path: Path) -> None:
    silence = recorded(tmp_path, "silence", np.zeros(16000))
    noise = recorded(tmp_path, "noise", 0.1 * rng(1).standard_normal(16000))
    np.testing.assert_array_equal(
        samples_of(with_noise(noise, [silence], 10.0, rng())), samples_of(noise)
    )
    assert np.isfinite(samples_of(with_noise(silence, [noise], 10.0, rng()))).all()


masks = st.builds(
    MaskSpec,
    time_masks=st.integers(1, 12),
    max_time_mask=st.integers(2, 120),
    max_time_fraction=st.floats(0.001, 0.9),
    frequency_masks=st.integers(1, 4),
    max_frequency_mask=st.integers(2, 80),
)


@given(masks, st.integers(4, 300), st.integers(0, 1000))
def test_masks_keep_to_their_bounds(spec: MaskSpec, frames: int, seed: int) -> None:
    features = rng(seed).uniform(1, 2, (frames, 80)).astype(np.float32)
    masked = mask(features, spec, rng(seed))
    changed = masked != features
    rows, columns = changed.all(axis=1), changed.all(axis=0)
    assert rows.all() or rows.sum() <= spec.max_time_fraction * frames
    assert columns.all() or columns.sum() <= spec.frequency_masks * spec.max_frequency_mask
    assert (changed == (rows[:, None] | columns[None, :])).all()
    np.testing.assert_allclose(masked[changed], features.mean(), rtol=1e-5)


def test_masks_are_spent_in_the_middle_too() -> None:
    features = rng().uniform(1, 2, (500, 80)).astype(np.float32)
    hidden = np.zeros((500, 80))
    for seed in range(300):
        hidden += mask(features, MaskSpec(), rng(seed)) != features
    assert hidden[200:300].mean() / 300 == pytest.approx(hidden.mean() / 300, abs=0.1)
    assert 0.05 < hidden.mean() / 300 < 0.4


def test_without_augmentation_features_are_those_of_the_file(manifest: Path) -> None:
    for cut, name in zip(read_cuts(manifest), ["u0", "u1", "u2"], strict=False):
        expected = fbank(load_audio(manifest.parent / "audio" / f"{name}.flac"))
        np.testing.assert_allclose(features_of(cut, None, rng()), expected, atol=1e-3)
        np.testing.assert_allclose(features_of(cut, plain(), rng()), expected, atol=1e-3)


def test_speed_is_a_resampling_of_the_recording(manifest_16k: Path) -> None:
    cut = next(read_cuts(manifest_16k))
    faster = features_of(cut, plain(speed=(1.25,)), rng())
    assert len(faster) == 40  # 0.5 s / 1.25
    expected = fbank(resample(samples_of(cut), 20000, 16000))
    # Beside the ends and the highest band, where filters differ.
    np.testing.assert_allclose(faster[2:-2, :75], expected[2:-2, :75], atol=0.1)


def test_gain_adds_a_constant_to_the_features(manifest: Path) -> None:
    cut = next(read_cuts(manifest))
    quiet, loud = features_of(cut, None, rng()), features_of(cut, plain(gain_db=6.0), rng(3))
    audible = quiet > -8  # away from the floor
    change = (loud - quiet)[audible] * 10 / np.log(10)  # in dB
    assert np.ptp(change) < 0.01
    assert 0.1 < abs(change.mean()) <= 6


def test_noise_comes_from_a_manifest_or_is_generated(manifest: Path, manifest_16k: Path) -> None:
    *_, cut = read_cuts(manifest)
    noises = list(read_cuts(manifest_16k))
    spec = plain(noise_probability=1.0, noise_snr_db=(0.0, 0.0))
    clean = features_of(cut, None, rng())
    generated = features_of(cut, spec, rng(1))
    assert (generated - clean).mean() > 1
    drawn = features_of(cut, spec, rng(1), noises)  # tones: they leave most of the bands alone
    assert 0.1 < (drawn - clean).mean() < (generated - clean).mean()


def test_noise_is_added_as_often_as_asked(manifest: Path) -> None:
    cut = next(read_cuts(manifest))
    clean = features_of(cut, plain(), rng())
    spec = plain(noise_probability=0.25, noise_snr_db=(10.0, 10.0))
    noisy = [not np.allclose(features_of(cut, spec, rng(i)), clean, atol=1e-3) for i in range(200)]
    assert 25 < sum(noisy) < 75


def test_a_cache_changes_nothing_but_the_work(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []

    def counting(samples: np.ndarray) -> np.ndarray:
        counted.append(len(samples))
        return fbank(samples)

    monkeypatch.setattr("foldformer.data.augmentation.fbank", counting)
    spec, cuts = AugmentationSpec(noise_probability=0.0), list(read_cuts(manifest))[:4]
    whole, half, none = FeatureCache(2**20), FeatureCache(30_000), FeatureCache()

    def heard(cache: FeatureCache | None, epoch: int) -> np.ndarray:
        return np.concatenate(
            [features_of(cut, spec, generator(0, epoch, cut.id), cache=cache) for cut in cuts]
        )

    for epoch in range(20):
        expected = heard(None, epoch)
        for cache in (whole, half, none):
            np.testing.assert_array_equal(heard(cache, epoch), expected)
    counted.clear()
    heard(whole, 3)
    assert len(counted) == 0
    heard(half, 3)
    assert 0 < len(counted) < 4
    counted.clear()
    heard(none, 3)
    assert len(counted) == 4


def test_a_cache_tells_manifests_with_the_same_ids_apart(
    manifest: Path, manifest_16k: Path
) -> None:
    cache = FeatureCache(2**20)
    one, other = next(read_cuts(manifest)), next(read_cuts(manifest_16k))
    assert one.id == other.id
    first = cache.features(one, 1.0)
    assert cache.features(one, 1.0) is first
    np.testing.assert_array_equal(cache.features(other, 1.0), FeatureCache().features(other, 1.0))


def test_a_generator_depends_on_seed_epoch_and_cut() -> None:
    def number(seed: int, epoch: int, cut: str) -> float:
        return float(generator(seed, epoch, cut).random())

    assert number(1, 2, "a") == number(1, 2, "a")
    assert len({number(s, e, c) for s in (0, 1) for e in (0, 1) for c in ("a", "b")}) == 8


@pytest.mark.parametrize(
    "wrong",
    [
        {"speed": ()},
        {"speed": (0.0,)},
        {"speed": (1.0, 3.0)},
        {"gain_db": -1.0},
        {"noise_probability": 1.5},
        {"noise_snr_db": (20.0, 10.0)},
        {"noise_snr_db": (20.0,)},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=next(iter(wrong))):
        AugmentationSpec(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"time_masks": 0}, {"max_frequency_mask": 81}, {"max_time_fraction": 1.0}]
)
def test_impossible_masks_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=next(iter(wrong))):
        MaskSpec(**wrong)  # type: ignore[arg-type]
