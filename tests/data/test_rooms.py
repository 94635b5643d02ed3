from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import Recording

from foldformer.data.cuts import samples_of
from foldformer.data.rooms import ReverberationSpec, generated_response, response, reverberated
from foldformer.errors import SpecError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("rt60", [0.2, 0.5, 1.0])
def test_the_sound_of_a_click_falls_by_60_db_in_the_time_asked_for(rt60: float, rate: int) -> None:
    click = np.zeros(2 * rate, np.float32)
    click[100] = 1
    heard = reverberated(click, generated_response(rt60, 0.0, rate, rng(2)))
    assert np.abs(heard).argmax() == 100  # the direct sound stays where it was
    left = np.cumsum(heard[::-1].astype(float) ** 2)[::-1]  # Schroeder's backward integration
    tail = 10 * np.log10(left[100 + rate // 200 :] / left[100 + rate // 200])
    first, last = np.argmax(tail < -5), np.argmax(tail < -25)  # as ISO 3382 measures T20
    assert 3 * (last - first) / rate == pytest.approx(rt60, rel=0.1)


@pytest.mark.parametrize("level", [-3.0, 0.0, 12.0])
def test_the_direct_sound_has_the_level_asked_for(level: float) -> None:
    room = generated_response(0.4, level, 16000, rng(1))
    assert 10 * np.log10(room[0] ** 2 / np.sum(room[1:] ** 2)) == pytest.approx(level, abs=1e-3)


def test_speech_is_as_loud_as_before() -> None:
    speech = rng(1).standard_normal(16000).astype(np.float32)
    heard = reverberated(speech, generated_response(0.5, 3.0, 16000, rng()))
    assert heard.dtype == np.float32
    assert heard.shape == speech.shape
    assert np.mean(heard**2) == pytest.approx(np.mean(speech**2), rel=1e-4)
    np.testing.assert_array_equal(
        reverberated(np.zeros(99, np.float32), np.ones(5, np.float32)), np.zeros(99)
    )


def test_a_recorded_room_sounds_as_in_lhotse(tmp_path: Path) -> None:
    room = generated_response(0.3, 6.0, 16000, rng(4))
    room = np.concatenate([np.zeros(50, np.float32), room])
    speech = 0.1 * rng(1).standard_normal(16000)
    for name, samples in (("room", room), ("speech", speech)):
        soundfile.write(tmp_path / f"{name}.wav", samples, 16000, subtype="FLOAT")
    recordings = {n: Recording.from_file(tmp_path / f"{n}.wav") for n in ("room", "speech")}
    cuts = {name: recording.to_cut() for name, recording in recordings.items()}
    expected = samples_of(cuts["speech"].reverb_rir(recordings["room"]))
    taken = response(ReverberationSpec(), 16000, [cuts["room"]], rng())
    np.testing.assert_allclose(reverberated(samples_of(cuts["speech"]), taken), expected, atol=1e-4)
    assert len(response(ReverberationSpec(), 8000, [cuts["room"]], rng())) == len(room) // 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"probability": 1.5},
        {"rt60": (0.5,)},
        {"rt60": (0.01, 0.5)},
        {"rt60": (0.8, 0.2)},
        {"direct_db": (3.0, 1.0)},
    ],
)
def test_impossible_rooms_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=next(iter(wrong))):
        ReverberationSpec(**wrong)
