import kaldi_native_fbank
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lhotse import Fbank, FbankConfig

from foldformer.data.features import FLOOR, NUM_MELS, PADDING, OnlineFbank, fbank
from foldformer.errors import InputError


def kaldi(samples: np.ndarray) -> np.ndarray:
    """The features (T, 80) of the definition, every constant written out."""
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = 16000
    options.frame_opts.frame_length_ms = 25.0
    options.frame_opts.frame_shift_ms = 10.0
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = False
    options.frame_opts.remove_dc_offset = True
    options.frame_opts.preemph_coeff = 0.97
    options.frame_opts.window_type = "povey"
    options.mel_opts.num_bins = 80
    options.mel_opts.low_freq = 20.0
    options.mel_opts.high_freq = 7600.0
    options.use_energy = False
    options.use_power = True
    options.use_log_fbank = True
    extractor = kaldi_native_fbank.OnlineFbank(options)
    extractor.accept_waveform(16000, samples.tolist())
    extractor.input_finished()
    frames = [extractor.get_frame(i) for i in range(extractor.num_frames_ready)]
    return np.array(frames, np.float32).reshape(-1, 80)


def signals() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    times = np.arange(20000) / 16000
    return {
        "speech-like": np.sin(2 * np.pi * 150 * times) ** 9 * (0.5 + 0.5 * np.sin(9 * times)),
        "noise": 0.1 * rng.standard_normal(20000),
        "quiet": 1e-4 * rng.standard_normal(20000),
        "full scale": rng.uniform(-1, 1, 20000),
        "offset": 0.5 + 0.1 * rng.standard_normal(20000),
        "tone": np.sin(2 * np.pi * 1000 * times),
        "click": np.eye(1, 20000, 7777)[0],
        "silence": np.zeros(20000),
    }


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # Lhotse, NumPy 2
@pytest.mark.parametrize("name", signals())
def test_features_are_those_of_kaldi_native_fbank_and_near_those_of_lhotse(name: str) -> None:
    samples = signals()[name].astype(np.float32)
    ours = fbank(samples)
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, kaldi(samples))
    config = FbankConfig(sampling_rate=16000, num_filters=80, high_freq=7600.0, dither=0.0)
    np.testing.assert_allclose(ours, Fbank(config).extract(samples, 16000), atol=5e-3)


@pytest.mark.parametrize("size", [0, 1, 79, 80, 120, 239, 240, 279, 280, 400, 401, 639, 640, 16079])
def test_frames_are_those_of_every_10_ms_begun_by_half(size: int) -> None:
    samples = signals()["noise"][:size].astype(np.float32)
    ours = fbank(samples)
    assert ours.shape == ((size + 80) // 160, NUM_MELS)
    np.testing.assert_array_equal(ours, kaldi(samples))


def test_samples_may_lie_anywhere_and_be_of_another_width() -> None:
    samples = signals()["noise"].astype(np.float32)
    expected = fbank(samples[::2].copy())
    for variant in (samples[::2], samples[::2].astype(">f4"), samples[::2].astype(np.float64)):
        np.testing.assert_array_equal(fbank(variant), expected)


def test_silence_is_at_the_floor() -> None:
    np.testing.assert_allclose(fbank(np.zeros(1600, np.float32)), FLOOR, rtol=1e-6)
    assert pytest.approx(-23.0258509) == PADDING


@settings(max_examples=60)
@given(st.lists(st.integers(0, 1500), max_size=12))
def test_a_stream_gives_the_same_frames_however_it_is_cut(sizes: list[int]) -> None:
    samples = signals()["noise"][: sum(sizes)].astype(np.float32)
    stream = OnlineFbank()
    parts, start = [], 0
    for size in sizes:
        parts.append(stream.accept(samples[start : start + size]))
        start += size
    parts.append(stream.finish())
    np.testing.assert_array_equal(np.concatenate(parts), fbank(samples))


def test_a_frame_comes_as_soon_as_its_window_is_full() -> None:
    stream, samples = OnlineFbank(), signals()["noise"].astype(np.float32)
    counts = np.cumsum([len(stream.accept(samples[i : i + 1])) for i in range(2000)])
    for received in range(1, 2001):  # window t ends at sample 160 t + 280
        assert counts[received - 1] == max((received - 280) // 160 + 1, 0)


def test_a_stream_begins_anew_after_its_end() -> None:
    stream, samples = OnlineFbank(), signals()["noise"][:5000].astype(np.float32)
    first = np.concatenate([stream.accept(samples), stream.finish()])
    second = np.concatenate([stream.accept(samples), stream.finish()])
    np.testing.assert_array_equal(first, second)


def test_a_stream_forgets_the_frames_that_it_gave() -> None:
    stream, chunk = OnlineFbank(), signals()["noise"][:1600].astype(np.float32)
    for _ in range(3):
        stream.accept(chunk)
        last = stream._extractor.num_frames_ready - 1
        with pytest.raises(RuntimeError, match="already removed"):
            stream._extractor.get_frame(last)


def test_what_is_not_one_channel_at_16_khz_is_refused() -> None:
    with pytest.raises(InputError, match="16000 Hz, got 8000 Hz; resample"):
        fbank(np.zeros(800, np.float32), 8000)
    with pytest.raises(InputError, match="got 8000 Hz"):
        OnlineFbank(8000)
    with pytest.raises(InputError, match=r"shape \(1, 800\)"):
        fbank(np.zeros((1, 800), np.float32))
    with pytest.raises(InputError, match=r"shape \(1, 800\)"):
        OnlineFbank().accept(np.zeros((1, 800), np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_stream_refuses_numbers_that_would_never_leave_a_model(bad: float) -> None:
    stream = OnlineFbank()
    with pytest.raises(InputError, match="NaN or infinite"):
        stream.accept(np.array([0.0, bad], np.float32))
