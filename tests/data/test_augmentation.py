from pathlib import Path

import numpy as np
import pytest
from lhotse import CutSet, MonoCut
from lhotse.utils import fastcopy

from foldformer.data.audio import load_audio, resample
from foldformer.data.augmentation import AugmentationSpec, Sounds, features_of, generator, sounds_of
from foldformer.data.cuts import read_cuts, samples_of
from foldformer.data.feature_cache import FeatureCache
from foldformer.data.features import fbank
from foldformer.data.rooms import ReverberationSpec
from foldformer.data.telephone import TelephoneSpec
from foldformer.errors import InputError, SpecError


def plain(**settings: object) -> AugmentationSpec:
    """An augmentation that does nothing but what `settings` say."""
    off = {"speed": (1.0,), "gain_db": 0.0, "noise_probability": 0.0, "masks": None}
    return AugmentationSpec(**(off | settings))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


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
    sounds = Sounds(noises=tuple(read_cuts(manifest_16k)))
    spec = plain(noise_probability=1.0, noise_snr_db=(0.0, 0.0))
    clean = features_of(cut, None, rng())
    generated = features_of(cut, spec, rng(1))
    assert (generated - clean).mean() > 1
    drawn = features_of(cut, spec, rng(1), sounds)  # tones: they leave most of the bands alone
    assert 0.1 < (drawn - clean).mean() < (generated - clean).mean()


def test_noise_is_added_as_often_as_asked(manifest: Path) -> None:
    cut = next(read_cuts(manifest))
    clean = features_of(cut, plain(), rng())
    spec = plain(noise_probability=0.25, noise_snr_db=(10.0, 10.0))
    noisy = [not np.allclose(features_of(cut, spec, rng(i)), clean, atol=1e-3) for i in range(200)]
    assert 25 < sum(noisy) < 75


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
        AugmentationSpec(**wrong)


@pytest.mark.parametrize("kind", ["noise", "responses"])
def test_a_sound_that_cannot_be_heard_is_refused(manifest: Path, tmp_path: Path, kind: str) -> None:
    """A noise of no duration would be repeated for ever."""
    cut = next(iter(read_cuts(manifest)))
    assert isinstance(cut, MonoCut)
    path = tmp_path / "sounds.jsonl"
    CutSet([fastcopy(cut, duration=0.0, supervisions=[])]).to_file(path)
    if kind == "noise":
        spec = plain(noise=str(path))
    else:
        spec = plain(reverberation=ReverberationSpec(responses=str(path)))
    with pytest.raises(InputError, match=rf"sounds.jsonl: cut '{cut.id}' has no positive duration"):
        sounds_of(spec)


def test_rooms_and_telephones_are_heard_as_often_as_asked_and_always_the_same(
    manifest: Path,
) -> None:
    cut = next(read_cuts(manifest))
    clean = features_of(cut, plain(), rng())
    for spec in (
        plain(reverberation=ReverberationSpec(probability=0.25)),
        plain(telephone=TelephoneSpec(probability=0.25, codecs=("gsm",))),
    ):
        heard = [features_of(cut, spec, rng(i)) for i in range(100)]
        changed = [not np.allclose(each, clean, atol=1e-3) for each in heard]
        assert 10 < sum(changed) < 45
        for i in (0, 1, 2, 3):
            np.testing.assert_array_equal(features_of(cut, spec, rng(i)), heard[i])


def test_everything_at_once_stays_finite_and_as_long(manifest_16k: Path) -> None:
    spec = AugmentationSpec(
        speed=(1.0,),
        noise_probability=1.0,
        reverberation=ReverberationSpec(probability=1.0),
        telephone=TelephoneSpec(probability=1.0),
    )
    cache = FeatureCache(2**20)
    for cut in read_cuts(manifest_16k):
        clean = cache.features(cut, 1.0).copy()
        for seed in range(8):
            heard = features_of(cut, spec, rng(seed), cache=cache)
            assert heard.shape == clean.shape
            assert np.isfinite(heard).all()
        np.testing.assert_array_equal(cache.features(cut, 1.0), clean)  # only clean ones are kept
