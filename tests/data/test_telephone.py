import numpy as np
import pytest

from foldformer.data.telephone import Codec, TelephoneSpec, telephoned
from foldformer.errors import SpecError


def tone(hertz: float, rate: int, level: float = 0.5, seconds: float = 1.0) -> np.ndarray:
    times = np.arange(int(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def noise(rate: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(1).standard_normal(rate)).astype(np.float32)


@pytest.mark.parametrize("codec", ["8khz", "mu-law", "a-law", "gsm"])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_nothing_is_left_above_4_khz(codec: Codec, rate: int) -> None:
    heard = telephoned(noise(rate), rate, codec)
    assert heard.shape == (rate,)
    assert heard.dtype == np.float32
    power = np.abs(np.fft.rfft(heard)) ** 2
    hertz = np.fft.rfftfreq(rate, 1 / rate)
    assert power[hertz > 4000].sum() < 1e-4 * power.sum()
    assert power[(hertz > 1000) & (hertz < 3000)].sum() > 0.2 * power.sum()


@pytest.mark.parametrize("codec", ["mu-law", "a-law"])
@pytest.mark.parametrize("level", [0.5, 0.1])
def test_g711_has_the_noise_of_its_quantisation(codec: Codec, level: float) -> None:
    """About 38 dB below a tone, whatever its level; G.712 asks for more than 33 dB."""
    sent = tone(1013.0, 8000, level)
    heard = telephoned(sent, 8000, codec)
    snr = 10 * np.log10(np.mean(sent**2) / np.mean((heard - sent) ** 2))
    assert 35 < snr < 41


def test_gsm_is_worse_than_g711_but_a_voice_survives() -> None:
    sent = sum(tone(110.0 * n, 8000, 0.3 / n) for n in range(1, 20))
    assert isinstance(sent, np.ndarray)
    codecs: tuple[Codec, ...] = ("8khz", "mu-law", "gsm")
    errors = [np.mean((telephoned(sent, 8000, codec) - sent) ** 2) for codec in codecs]
    assert errors[0] == 0
    assert errors[1] < errors[2] < 0.5 * np.mean(sent**2)


def test_what_is_too_loud_is_clipped() -> None:
    heard = telephoned(tone(500.0, 8000, 3.0), 8000, "mu-law")
    assert np.abs(heard).max() <= 1


@pytest.mark.parametrize("length", [640, 801, 16001])
@pytest.mark.parametrize("codec", ["8khz", "gsm"])
def test_any_length_comes_back(codec: Codec, length: int) -> None:
    assert len(telephoned(noise(16001)[:length], 16000, codec)) == length


@pytest.mark.parametrize("wrong", [{"probability": -0.1}, {"codecs": ()}])
def test_impossible_lines_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=next(iter(wrong))):
        TelephoneSpec(**wrong)
