"""Hear recordings with an exported Whisper, in ONNX Runtime and NumPy alone.

    python hear.py RECORDING.wav ...

This file stands beside the ONNX files and imports nothing else of foldformer. Features are those of
Whisper (Radford et al., arXiv:2212.04356), the search is greedy and without timestamps, and a call
hears one window of 30 s at most.
"""

import base64
import sys
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

RATE = 16000
_HOP, _WINDOW = 160, 400

Array = NDArray[np.float32]


class Whisper:
    """The encoder and the decoder of an export.

    Args:
        folder: of the export.
        threads: of the runtime.
    """

    def __init__(self, folder: str | Path = Path(__file__).parent, threads: int = 1) -> None:
        folder = Path(folder)
        self._encoder = _session(folder / "encoder.onnx", threads)
        self._decoder = _session(folder / "decoder.onnx", threads)
        self._said: dict[str, str] = self._encoder.get_modelmeta().custom_metadata_map
        lines = (folder / "tokens.txt").read_text(encoding="utf-8").splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines)
        self._bytes = {int(number): base64.b64decode(text) for text, number in pairs}

    def hear(self, samples: Array, language: str | None = None, *, translate: bool = False) -> str:
        """The text of a recording.

        Args:
            samples: (N,) at 16 kHz, in [-1, 1], of 30 s at most.
            language: what is spoken, as "en"; heard from the recording unless given. Models for
                English alone have no choice.
            translate: into English, where the model can.

        Raises:
            ValueError: the recording is longer, or the model does not know the language.
        """
        found = self.tokens(self.features(samples), language, translate=translate)
        said = b"".join(self._bytes.get(token, b"") for token in found)
        return said.decode("utf-8", errors="replace").strip()

    def features(self, samples: Array) -> Array:
        """Log-mel energies (1, M, T) of samples (N,) and the silence that fills the window.

        Raises:
            ValueError: the samples are more than a window.
        """
        frames = 2 * self._number("n_audio_ctx")
        if len(samples) > frames * _HOP:
            raise ValueError(
                f"samples: last {len(samples) / RATE:.1f} s; expected {frames * _HOP / RATE:g} s "
                "at most: cut them in a pause"
            )
        filled = np.zeros(frames * _HOP, np.float32)
        filled[: len(samples)] = samples
        return log_mel(filled, self._number("n_mels"))[None]

    def tokens(
        self, features: Array, language: str | None = None, *, translate: bool = False
    ) -> list[int]:
        """The tokens that are most likely one after another, up to the end of the text.

        Args:
            features: (1, M, T).
            language: see `hear`.
            translate: see `hear`.

        Raises:
            ValueError: the model does not know the language.
        """
        cross = self._encoder.run(None, {"mel": features})
        longest, end = self._number("n_text_ctx"), self._number("eot")
        never = self._numbers("suppress_tokens")
        not_first = self._numbers("begin_suppress_tokens")
        caches = self._empty()
        fresh = self._prompt(cross, language, translate)
        place = 0
        found: list[int] = []
        while place + len(fresh) <= longest:
            scores, caches = self._next(fresh, caches, cross, place)
            scores[never if found else never + not_first] = -np.inf
            place += len(fresh)
            fresh = [int(scores.argmax())]
            if fresh[0] == end:
                break
            found += fresh
        return found

    def _prompt(self, cross: list[Array], language: str | None, translate: bool) -> list[int]:
        """What the decoder is told before it writes."""
        start, plain = self._number("sot"), self._number("no_timestamps")
        if not self._number("is_multilingual"):
            if language not in (None, "en") or translate:
                raise ValueError("language: this model writes English alone")
            return [start, plain]
        names = self._said["all_language_codes"].split(",")
        numbers = self._numbers("all_language_tokens")
        if language is None:
            scores, _ = self._next([start], self._empty(), cross, 0)
            spoken = max(numbers, key=lambda number: float(scores[number]))
        elif language in names:
            spoken = numbers[names.index(language)]
        else:
            raise ValueError(f"language: expected one of {', '.join(names)}, got {language!r}")
        return [start, spoken, self._number("translate" if translate else "transcribe"), plain]

    def _empty(self) -> list[Array]:
        """The keys and values of no token."""
        names = ("n_text_layer", "n_text_ctx", "n_text_state")
        layers, longest, width = map(self._number, names)
        return [np.zeros((layers, 1, longest, width), np.float32)] * 2

    def _next(
        self, fresh: list[int], caches: list[Array], cross: list[Array], place: int
    ) -> tuple[Array, list[Array]]:
        """(scores of what comes next (V,), caches) after tokens that begin at a place."""
        given = [np.array([fresh]), *caches, *cross, np.array([place])]
        names = [each.name for each in self._decoder.get_inputs()]
        scores, *after = self._decoder.run(None, dict(zip(names, given, strict=True)))
        return scores[0, -1], after

    def _number(self, key: str) -> int:
        return int(self._said[key])

    def _numbers(self, key: str) -> list[int]:
        return [int(number) for number in self._said[key].split(",") if number]


def log_mel(samples: Array, num_mels: int) -> Array:
    """Log-mel energies (M, N / 160) of samples (N,) at 16 kHz, as Whisper takes them."""
    padded = np.pad(samples, _WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[:-1:_HOP]
    spectrum = np.fft.rfft(frames * np.hanning(_WINDOW + 1)[:-1]).T
    energies = np.log10(np.maximum(_mel_filters(num_mels) @ np.abs(spectrum) ** 2, 1e-10))
    shown: Array = ((np.maximum(energies, energies.max() - 8) + 4) / 4).astype(np.float32)
    return shown


def _mel_filters(num_mels: int) -> NDArray[np.float64]:
    """Triangles of area 1 (M, 201), even on Slaney's scale: linear up to 1 kHz, then by octaves."""
    per_octave = 27 / np.log(6.4)
    mels = np.linspace(0, 15 + per_octave * np.log(8), num_mels + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) / per_octave))
    bins = np.linspace(0, RATE / 2, _WINDOW // 2 + 1)
    low, middle, high = (edges[n : n + num_mels, None] for n in range(3))
    triangles = np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle))
    filters: NDArray[np.float64] = np.maximum(0, triangles) * 2 / (high - low)
    return filters


def read_wav(path: str | Path) -> Array:
    """The samples (N,) of a WAV file: 16 kHz, mono, 16 bits.

    Raises:
        ValueError: the file is another kind.
    """
    try:
        with wave.open(str(path), "rb") as file:
            kind = file.getframerate(), file.getnchannels(), 8 * file.getsampwidth()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError, RuntimeError) as error:  # the last where a chunk is cut off
        reason = str(error) or "it ends too early"
        raise ValueError(f"is no WAV file of whole numbers ({reason}); convert it first") from None
    if kind != (RATE, 1, 16):
        said = "{} Hz, {} channel(s), {} bits".format(*kind)
        raise ValueError(f"expected {RATE} Hz, 1 channel, 16 bits, got {said}; convert it first")
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(2**15)


def main(names: Sequence[str]) -> int:
    """Print what recordings say, after the name of each if there are several.

    A bad one is a line on stderr, and the rest go on.

    Args:
        names: of WAV files.

    Returns:
        The exit code: 2 if there is none, or a bad one.
    """
    if not names:
        print(f"usage: python {sys.argv[0]} RECORDING.wav ...", file=sys.stderr)
        return 2
    recognizer, code = Whisper(), 0
    for name in names:
        try:
            text = recognizer.hear(read_wav(name))
        except (OSError, ValueError) as error:
            print(f"{name}: {getattr(error, 'strerror', error)}", file=sys.stderr)
            code = 2
        else:
            print(f"{name}\t{text}" if len(names) > 1 else text, flush=True)
    return code


def _session(path: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Tables that are stored in whole numbers are taken to fp32 once, and not for each token.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
