import io
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from foldformer.data.audio import (
    check_samples,
    convert,
    load_audio,
    mono_floats,
    resample,
    to_mono_16k,
)
from foldformer.errors import InputError


def sine(rate: int, hertz: float = 440.0, seconds: float = 0.5) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


RATES = [8000, 11025, 16000, 22050, 44100, 48000, 96000]
CANNOT = {  # rates that a format does not store; the others store all of them
    "HTK": {22050, 44100, 48000, 96000},
    "SVX": {96000},
    "MPC2K": {96000},
    "MP3": {96000},
    "WVE": set(RATES) - {8000},
    "XI": set(RATES) - {44100},
}
LOSSY = {"OGG": 0.02, "MP3": 0.05, "WVE": 0.02, "SDS": 0.05}
MONO = {"HTK", "SVX", "SDS", "WVE", "XI"}


@pytest.mark.parametrize("form", sorted(set(soundfile.available_formats()) - {"RAW"}))
def test_every_format_that_can_be_written(tmp_path: Path, form: str) -> None:
    """At every rate that it stores, in mono and stereo, against the sine at 16 kHz."""
    for rate in set(RATES) - CANNOT.get(form, set()):
        for channels in (1,) if form in MONO else (1, 2):
            path = tmp_path / f"{rate}-{channels}.{form.lower()}"
            samples = np.stack([sine(rate)] * channels, axis=1)
            soundfile.write(path, samples, rate, format=form)
            found = load_audio(path)
            assert found.dtype == np.float32
            assert len(found) == pytest.approx(8000, abs=1), path
            np.testing.assert_allclose(  # without the ends, where the filters see silence
                found[1000:7000], sine(16000)[1000:7000], atol=LOSSY.get(form, 2e-3)
            )


def test_eight_channels_of_96_khz(tmp_path: Path) -> None:
    samples = np.stack([sine(96000, 300.0 + 50 * i) for i in range(8)], axis=1)
    soundfile.write(tmp_path / "a.wav", samples, 96000, subtype="FLOAT")
    expected = np.mean([sine(16000, 300.0 + 50 * i) for i in range(8)], axis=0)
    found = load_audio(tmp_path / "a.wav")
    np.testing.assert_allclose(found[1000:7000], expected[1000:7000], atol=2e-3)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_pipe_that_cannot_seek(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, sine(16000, seconds=2), 16000)
    read, write = os.pipe()
    with open(read, "rb") as stream, open(write, "wb") as sink:
        thread = threading.Thread(target=lambda: (sink.write(path.read_bytes()), sink.close()))
        thread.start()
        found = load_audio(stream)
        thread.join()
    np.testing.assert_array_equal(found, load_audio(path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes of this kind")
def test_a_named_pipe(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", sine(16000), 16000)
    os.mkfifo(tmp_path / "pipe")
    sound = (tmp_path / "a.flac").read_bytes()
    thread = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(sound))
    thread.start()
    found = load_audio(tmp_path / "pipe")
    thread.join()
    np.testing.assert_array_equal(found, load_audio(tmp_path / "a.flac"))


def test_an_empty_pipe() -> None:
    read, write = os.pipe()
    os.close(write)
    with open(read, "rb") as stream, pytest.raises(InputError, match="is empty"):
        load_audio(stream)


def test_flac_of_unknown_length(tmp_path: Path) -> None:
    """As a program writes it that streams into a pipe: the header says 0 samples."""
    path = tmp_path / "a.flac"
    soundfile.write(path, sine(16000), 16000)
    expected, data = load_audio(path), bytearray(path.read_bytes())
    data[21] &= 0xF0  # the 36 bits after rate, channels and width in STREAMINFO
    data[22:26] = bytes(4)
    path.write_bytes(data)
    np.testing.assert_array_equal(load_audio(path), expected)


def test_wav_of_unknown_length(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(16000), 16000)
    expected, data = load_audio(path), bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff" * 4
    path.write_bytes(data)
    np.testing.assert_array_equal(load_audio(path), expected)


@pytest.mark.parametrize(
    ("name", "message"), [("a.flac", "lost sync"), ("a.mp3", "is truncated: it ends after")]
)
def test_half_a_file(tmp_path: Path, name: str, message: str) -> None:
    path = tmp_path / name
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 32000), 16000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=message):
        load_audio(path)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(16000), 16000)

    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything
    with pytest.raises(InputError, match=r"a\.wav: cannot be read \(Permission denied\)"):
        load_audio(path)


def test_channels_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    left, right = sine(16000), sine(16000, 1000.0)
    soundfile.write(path, np.stack([left, right], axis=1), 16000, subtype="FLOAT")
    np.testing.assert_allclose(load_audio(path), (left + right) / 2, atol=1e-6)


def test_a_file_object_is_read_like_its_path(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(8000), 8000)
    with path.open("rb") as stream:
        np.testing.assert_array_equal(load_audio(stream), load_audio(str(path)))
    np.testing.assert_array_equal(load_audio(io.BytesIO(path.read_bytes())), load_audio(path))


def test_the_rate_of_the_result_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(16000), 16000)
    assert len(load_audio(path, 8000)) == 4000


def test_integers_are_divided_by_their_full_scale() -> None:
    samples = np.full(1600, -(2**15), np.int16)
    np.testing.assert_array_equal(to_mono_16k(samples, 16000), np.full(1600, -1.0, np.float32))


@given(st.integers(640, 3000), st.integers(1, 3))
def test_the_average_of_equal_channels_is_the_channel(size: int, channels: int) -> None:
    mono = np.random.default_rng(size).uniform(-1, 1, size).astype(np.float32)
    both = np.repeat(mono[:, None], channels, axis=1)
    np.testing.assert_allclose(to_mono_16k(both, 16000), mono, atol=1e-6)


def test_a_change_of_speed_moves_the_pitch() -> None:
    faster = resample(sine(16000, 400.0).astype(np.float32), 17600, 16000)
    peak = np.argmax(np.abs(np.fft.rfft(faster * np.hanning(len(faster)))))
    assert peak * 16000 / len(faster) == pytest.approx(440, abs=3)


def bad_files(folder: Path) -> dict[str, Path]:
    files = {name: folder / name for name in ("missing.wav", "empty.wav", "text.wav", "cut.flac")}
    files["empty.wav"].touch()
    files["text.wav"].write_text("this is no sound")
    soundfile.write(files["cut.flac"], sine(16000), 16000)
    files["cut.flac"].write_bytes(files["cut.flac"].read_bytes()[:30])
    for name, samples in {
        "no_samples.wav": np.zeros(0),
        "short.wav": np.zeros(600),
        "nan.wav": np.array([0.0] * 1000 + [np.nan] + [0.0] * 1000),
        "infinite.wav": np.array([np.inf] * 1000),
        "loud.wav": np.array([12000.0] * 1000),
    }.items():
        files[name] = folder / name
        soundfile.write(files[name], samples, 16000, subtype="FLOAT")
    files["folder"] = folder
    return files


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("missing.wav", "no such file"),
        ("empty.wav", "0 bytes"),
        ("text.wav", "cannot be read as audio"),
        ("cut.flac", "cannot be read as audio"),
        ("no_samples.wav", "no samples"),
        ("short.wav", "37.5 ms"),
        ("nan.wav", r"sample 1000 \(0.062 s\) is nan"),
        ("infinite.wav", "sample 0 .* is inf"),
        ("loud.wav", "reach 12000.*divide 16-bit numbers by 32768"),
        ("folder", "is a folder"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path: Path, name: str, found: str) -> None:
    path = bad_files(tmp_path)[name]
    with pytest.raises(InputError, match=found) as error:
        load_audio(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_bad_stream_is_an_input_error() -> None:
    with pytest.raises(InputError, match="audio stream: cannot be read"):
        load_audio(io.BytesIO(b"no sound"))


@pytest.mark.parametrize("rate", [0, -16000])
def test_a_rate_must_be_positive(rate: int) -> None:
    with pytest.raises(InputError, match="sampling rate"):
        to_mono_16k(np.zeros(1600), rate)
    with pytest.raises(InputError, match="sampling rate"):
        convert(np.zeros(1600), 16000, rate)


def test_a_block_of_few_points_may_have_more_channels() -> None:
    np.testing.assert_array_equal(mono_floats([[0.2, 0.4]]), np.float32([0.3]))


@pytest.mark.skipif(sys.platform == "darwin", reason="all names of files are UTF-8 there")
def test_a_name_need_not_be_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.linspace(0, 0.5, 1600), 16000, "FLOAT")
    renamed = path.rename(tmp_path / os.fsdecode(b"caf\xe9.wav"))
    np.testing.assert_array_equal(load_audio(renamed), np.linspace(0, 0.5, 1600, dtype=np.float32))


@pytest.mark.parametrize("shape", [(), (2, 1600), (800, 2, 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="shape"):
        to_mono_16k(np.zeros(shape), 16000)


@pytest.mark.parametrize("dtype", [np.uint8, np.complex64, bool])
def test_other_types_are_refused(dtype: type) -> None:
    with pytest.raises(InputError, match="expected floats or signed integers"):
        to_mono_16k(np.zeros(1600, dtype), 16000)


def test_one_encoder_frame_is_enough() -> None:
    check_samples(np.zeros(640, np.float32), 16000)
    with pytest.raises(InputError, match=r"39.9 ms"):
        check_samples(np.zeros(639, np.float32), 16000)
