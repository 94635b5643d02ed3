"""What an export costs the process that runs it; this module is that process.

    python -m foldformer.measure.process TASK

TASK is JSON, see `Task`; the answer is JSON too. Nothing is imported but what a device needs for
the runtime that is measured, so that what is counted is that: for sherpa-onnx, not even numpy.
"""

import json
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from foldformer.deploy.first_chunk import hear_first_chunk
from foldformer.deploy.memory import Loading, Memory, after_call, give_back

SAMPLES = 250
"""Looks at the memory at most, beside those before and after."""

KEPT = 5000
"""Calls whose times are kept, about: a day has 270,000, and a list of them would grow by 9 MB."""

_SAMPLE_BYTES = 4
_RATE = 16000
_FACTOR = 4

_WINDOW = 3000
"""Feature frames, 30 s, that a Whisper's encoder hears in each call."""

# An ONNX file with one Identity node: what a session costs that holds no weights.
_EMPTY = bytes.fromhex(
    "08093a2f0a100a017812017922084964656e746974791201655a0b0a017812060a0408011200620b0a0179"
    "12060a040801120042040a001014"
)


class Task(NamedTuple):  # a dataclass would bring in 2 MB
    """What to run.

    Attributes:
        runtime: sherpa-onnx, or onnxruntime, which runs the encoder alone.
        encoder: path of the encoder's file.
        kind: this and the next two are `foldformer.deploy.runtime.Opening`.
        maker: see there.
        options: see there.
        provider: options for ONNX Runtime, as `provider.cfg` has them.
        threads: of the runtime.
        chunk: encoder frames of a chunk; 0 for an export of whole recordings.
        mels: bands of the window that a Whisper's encoder hears; 0 for other exports.
        samples: path of float32 samples at 16 kHz.
        features: path of float32 features, 80 a frame.
        bounds: (first frame, frames) of each utterance.
        seconds: how long to run; the recording begins anew when it ends.
        memory: what is kept, as in `foldformer.deploy.load`.
    """

    runtime: str
    encoder: str
    kind: str
    maker: str
    options: dict[str, Any]
    provider: dict[str, str]
    threads: int
    chunk: int
    mels: int
    samples: str
    features: str
    bounds: list[list[int]]
    seconds: float
    memory: Memory


class Held(NamedTuple):
    """Bytes of a process: resident, of that private to it, and the most ever resident.

    Private is what no file backs. Pages of a library or of a mapped file that nobody else has
    mapped just now are not: that would make the figure depend on who else is running.
    """

    rss: int
    private: int
    peak: int


def held() -> Held | None:
    """That of this process; None where there is no Linux /proc to read it from."""
    try:
        maps = _kilobytes("/proc/self/smaps_rollup")
        status = _kilobytes("/proc/self/status")
        return Held(1024 * maps["Rss"], 1024 * maps["Anonymous"], 1024 * status["VmHWM"])
    except (OSError, KeyError):
        return None


def _kilobytes(path: str) -> dict[str, int]:
    """{key: number} of the lines `Key:   number kB`."""
    found = {}
    with open(path, encoding="ascii", errors="replace") as file:
        for line in file:
            words = line.split()
            if len(words) == 3 and words[2] == "kB":
                found[words[0].rstrip(":")] = int(words[1])
    return found


Call = Callable[[], object]
Calls = Iterator[tuple[float, Call]]
"""(seconds of audio, what hears them)."""


def run(task: Task) -> dict[str, object]:
    """Run a task; see `foldformer.measure.exports.Run` for the answer."""
    give_back(task.memory)
    start = _sherpa if task.runtime == "sherpa-onnx" else _onnxruntime
    version, load = start(task)
    baseline = held()
    began = time.perf_counter()
    calls = load()
    load_seconds = time.perf_counter() - began
    loaded = held()
    heard = busy = 0.0
    latencies = array("d")
    curve: list[list[float]] = []
    step = max(task.seconds / SAMPLES, 1.0)
    for number, (seconds, call) in enumerate(calls):
        began = time.perf_counter()
        call()
        taken = 1000 * (time.perf_counter() - began)
        # The first call is unlike the others: memory is fetched, code is read.
        if number and number % max(round(task.seconds / seconds / KEPT), 1) == 0:
            latencies.append(taken)
        busy += taken
        heard += seconds
        now = held() if heard >= step * (len(curve) + 1) else None
        if now is not None:
            curve.append([round(heard, 2), now.rss])
        if heard >= task.seconds:
            break
    steady = held()
    return {
        "version": version,
        "baseline": baseline and baseline._asdict(),
        "loaded": loaded and loaded._asdict(),
        "steady": steady and steady._asdict(),
        "curve": curve,
        "load_ms": 1000 * load_seconds,
        "seconds": heard,
        "busy_ms": busy,
        "latencies_ms": list(latencies),
    }


def _read(path: str, size: int) -> "Iterator[array[float]]":
    """Float32 numbers, so many at a time, over and over."""
    with open(path, "rb") as file:
        while True:
            data = file.read(_SAMPLE_BYTES * size)
            if len(data) == _SAMPLE_BYTES * size:
                yield array("f", data)
            else:
                file.seek(0)


def _sherpa(task: Task) -> tuple[str, Callable[[], Calls]]:
    """Features, encoder and search, chunk by chunk."""
    import sherpa_onnx

    def load() -> Calls:
        loading = Loading(task.memory)
        recognizer = getattr(getattr(sherpa_onnx, task.kind), task.maker)(**task.options)
        if task.chunk:
            hear_first_chunk(recognizer, task.chunk)
        loading.end()
        return _chunks(recognizer) if task.chunk else _utterances(recognizer)

    rest = after_call(task.memory)

    def _chunks(recognizer: Any) -> Calls:
        stream = recognizer.create_stream()
        size = task.chunk * _FACTOR * _RATE // 100
        # One frame ahead, without which a chunk that is complete is not taken for it.
        stream.accept_waveform(_RATE, array("f", bytes(_SAMPLE_BYTES * _RATE // 40)))
        for samples in _read(task.samples, size):
            yield size / _RATE, partial(_hear, recognizer, stream, samples)

    def _hear(recognizer: Any, stream: Any, samples: Any) -> None:
        stream.accept_waveform(_RATE, samples)
        while recognizer.is_ready(stream):
            recognizer.decode_stream(stream)
        len(recognizer.get_result_all(stream).tokens)  # `get_result` loses 73 bytes each time
        if recognizer.is_endpoint(stream):
            recognizer.reset(stream)
        rest()

    def _utterances(recognizer: Any) -> Calls:
        with open(task.samples, "rb") as file:
            for first, frames in _over_and_over(task.bounds):
                file.seek(_SAMPLE_BYTES * first * _RATE // 100)
                samples = array("f", file.read(_SAMPLE_BYTES * frames * _RATE // 100))
                yield frames / 100, partial(_write, recognizer, samples)

    def _write(recognizer: Any, samples: Any) -> None:
        stream = recognizer.create_stream()
        stream.accept_waveform(_RATE, samples)
        recognizer.decode_stream(stream)
        del stream
        rest()

    return sherpa_onnx.onnxruntime_version, load


def _onnxruntime(task: Task) -> tuple[str, Callable[[], Calls]]:
    """The encoder alone, given features."""
    import numpy as np
    import onnxruntime

    options = _session_options(task)
    providers = ["CPUExecutionProvider"]
    empty = onnxruntime.InferenceSession(_EMPTY, options, providers=providers)
    empty.run(None, {"x": np.zeros((), np.float32)})

    def load() -> Calls:
        # Pages of libraries are left alone here: this is compared with an empty session.
        loading = Loading(task.memory, libraries=False)
        session = onnxruntime.InferenceSession(task.encoder, options, providers=providers)
        if task.chunk:
            next(_chunks(session))[1]()
        loading.end()
        return _chunks(session) if task.chunk else _utterances(session)

    rest = after_call(task.memory)

    def _chunks(session: Any) -> Calls:
        inputs = session.get_inputs()
        frames = task.chunk * _FACTOR
        state = [
            np.zeros(
                [size if isinstance(size, int) else 1 for size in each.shape],
                np.int64 if each.type == "tensor(int64)" else np.float32,
            )
            for each in inputs[1:]
        ]
        names = [each.name for each in inputs]

        def hear(features: Any) -> None:
            state[:] = session.run(None, dict(zip(names, [features, *state], strict=True)))[1:]
            rest()

        for numbers in _read(task.features, frames * 80):
            features = np.frombuffer(numbers, np.float32).reshape(1, frames, 80)
            yield frames / 100, partial(hear, features)

    def _utterances(session: Any) -> Calls:
        names = [each.name for each in session.get_inputs()]
        with open(task.features, "rb") as file:
            for first, frames in _over_and_over(task.bounds):
                file.seek(_SAMPLE_BYTES * 80 * first)
                numbers = np.frombuffer(file.read(_SAMPLE_BYTES * 80 * frames), np.float32)
                given = [numbers.reshape(1, frames, 80), np.array([frames])]
                if task.mels:
                    given = [_window(given[0][0])]
                feed = dict(zip(names, given, strict=True))
                yield frames / 100, partial(_write, session, feed)

    def _window(features: Any) -> Any:
        """(1, M, 3000) with (T, 80) at its beginning: what is in it makes no difference to time."""
        window = np.zeros((1, task.mels, _WINDOW), np.float32)
        bands, frames = min(task.mels, 80), min(len(features), _WINDOW)
        window[0, :bands, :frames] = features[:frames, :bands].T
        return window

    def _write(session: Any, feed: Any) -> None:
        session.run(None, feed)
        rest()

    return onnxruntime.__version__, load


def _over_and_over(bounds: list[list[int]]) -> Iterator[list[int]]:
    while True:
        yield from bounds


def _session_options(task: Task) -> Any:
    """As sherpa-onnx reads `provider.cfg`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = task.threads
    options.log_severity_level = 3
    for key, value in task.provider.items():
        if key == "GraphOptimizationLevel":
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel(int(value))
        elif key == "EnableCpuMemArena":
            options.enable_cpu_mem_arena = value == "1"
        elif key == "EnableMemPattern":
            options.enable_mem_pattern = value == "1"
        elif key.startswith("SessionConfig."):
            options.add_session_config_entry(key.removeprefix("SessionConfig."), value)
    return options


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(json.dumps(run(Task(**json.load(file)))))
