"""What exports cost where they run: files, memory, time; two of them side by side."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from foldformer.data.durations import ENCODER_FRAME_MS, shown
from foldformer.deploy.check import check_any, read_provider
from foldformer.deploy.folder import ExportSpec
from foldformer.deploy.onnx_file import read_onnx
from foldformer.deploy.runtime import Decoding, opening
from foldformer.errors import InputError, MissingExtraError
from foldformer.measure import process
from foldformer.measure.figures import RUNTIMES, Comparison, Export, Run, Settings
from foldformer.measure.listening import Listening, prepare
from foldformer.measure.process import Held, Task
from foldformer.measure.reads import fetched, weight_reads

_EXTRAS = {"sherpa-onnx": "device", "onnxruntime": "export"}
"""{runtime: the extra that brings it}."""

_ENDPOINT = 1.2
"""Seconds of silence that end a segment in sherpa-onnx, where streams are reset then."""

_FEWEST = 3
"""Calls of a process that times can be told of."""

_ENOUGH = 20
"""Calls that a percentile of 95 is more than the slowest of."""

_WIDENED_AT_ONCE = "SessionConfig.session.disable_quant_qdq"
"""Without this option, which `small` leaves out, ONNX Runtime takes int8 to fp32 in each call."""


def measure(
    folders: Sequence[Path], settings: Settings, progress: Callable[[str], None] = lambda _: None
) -> Comparison:
    """Measure one export or two, in processes that take turns.

    Args:
        folders: of the exports.
        settings: how.
        progress: told of each process, in a few words.

    Raises:
        InputError: an export is damaged, a recording cannot be read, or a process failed.
        MissingExtraError: neither runtime is installed.
    """
    specs = [check_any(folder) for folder in folders]
    runtimes, warnings = _installed(settings.runtimes)
    if process.held() is None:
        warnings.append("memory: not measured; it is read from /proc, which only Linux has")
    exports = [_described(*each, settings) for each in zip(folders, specs, strict=True)]
    with tempfile.TemporaryDirectory() as beside:
        listening = prepare(Path(beside), settings.audio, settings.seconds)
        longest = max(map(_call_seconds, specs))
        if listening.seconds < longest:
            raise InputError(
                f"audio: lasts {listening.seconds:.2f} s; expected a chunk at least, "
                f"{longest:.2f} s"
            )
        if settings.seconds < _FEWEST * longest:
            raise InputError(
                f"seconds: {settings.seconds:g} s are fewer than {_FEWEST} chunks of "
                f"{longest:g} s; take more"
            )
        for number, runtime, export in _turns(settings.runs, runtimes, exports):
            progress(f"run {number + 1} of {settings.runs}: {runtime}, {export.folder}")
            task = _task(runtime, export, settings, listening)
            run = _run(task, Path(beside) / "task.json", settings, export.folder)
            export.runs.setdefault(runtime, []).append(run)
    for runtime in runtimes:
        warnings += _of_version(runtime, exports)
        warnings += _of_few_calls(runtime, exports)
    warnings += _of_different_calls(specs) + _of_windows(specs)
    return Comparison(exports, settings, listening.seconds, warnings)


def _installed(wanted: Sequence[str]) -> tuple[list[str], list[str]]:
    """(the runtimes that are installed, what to say of the others)."""
    found = [name for name in wanted if find_spec(RUNTIMES[name]) is not None]
    if not found:
        raise MissingExtraError(wanted[0], _EXTRAS[wanted[0]])
    missing = [name for name in wanted if name not in found]
    return found, [
        f"{name}: not measured, because it is not installed; it comes with: pip install "
        f"'foldformer[{_EXTRAS[name]}]'"
        for name in missing
    ]


def _described(folder: Path, spec: ExportSpec, settings: Settings) -> Export:
    graphs = {name: read_onnx(folder / name) for name in spec.files}
    provider = read_provider(folder, settings.memory)
    read = outside = None
    if spec.stream is not None:
        seconds = spec.stream.chunk * spec.frame_ms / 1000
        at_once = provider.get(_WIDENED_AT_ONCE) == "1"
        reads = list(weight_reads(graphs[spec.files[0]], widened_at_once=at_once))
        read = sum(size for _, size in reads) / seconds
        outside = fetched(reads, settings.cache) / seconds
    return Export(
        folder=folder,
        spec=spec,
        provider=provider,
        files={name: (folder / name).stat().st_size for name in spec.files},
        weights={
            name: sum(each.bytes for each in graph.weights.values())
            for name, graph in graphs.items()
        },
        read=read,
        fetched=outside,
        runs={},
    )


def _turns(
    runs: int, runtimes: Sequence[str], exports: Sequence[Export]
) -> Iterator[tuple[int, str, Export]]:
    """(run, runtime, export): each export next to the other, and each first in every other run."""
    for number in range(runs):
        for runtime in runtimes:
            for export in exports if number % 2 == 0 else reversed(exports):
                yield number, runtime, export


def _task(runtime: str, export: Export, settings: Settings, listening: Listening) -> Task:
    spec, folder = export.spec, export.folder.resolve()
    endpoint = _ENDPOINT if spec.streams else None
    decoding = Decoding(threads=settings.threads, endpoint=endpoint, memory=settings.memory)
    how = opening(folder, spec, decoding)
    return Task(
        runtime=runtime,
        encoder=str(folder / spec.files[0]),
        kind=how.kind,
        maker=how.maker,
        options=how.options,
        provider=export.provider,
        threads=settings.threads,
        chunk=spec.stream.chunk if spec.stream else 0,
        mels=spec.features.num_mels if spec.is_whisper else 0,
        samples=str(listening.samples),
        features=str(listening.features),
        bounds=listening.bounds,
        seconds=settings.seconds,
        memory=settings.memory,
    )


def _run(task: Task, path: Path, settings: Settings, folder: Path) -> Run:
    """Run a task in a process of its own.

    Raises:
        InputError: it failed.
    """
    path.write_text(json.dumps(task._asdict()), encoding="utf-8")
    command = [sys.executable, "-m", process.__name__, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        reason = (ran.stderr.strip() or f"exit code {ran.returncode}").splitlines()[-1]
        raise InputError(f"{folder}: {task.runtime} cannot run it: {reason}")
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    for name in ("baseline", "loaded", "steady"):
        told[name] = told[name] and Held(**told[name])
    if len(told["latencies_ms"]) < _FEWEST - 1:  # the first is left out
        raise InputError(
            f"seconds: {settings.seconds:g} s are fewer than {_FEWEST} calls; take more"
        )
    return Run(**told)


def _call_seconds(spec: ExportSpec) -> float:
    """Of audio that a call of a stream hears; that of a recording is as long as this is."""
    return ENCODER_FRAME_MS * (spec.stream.chunk if spec.stream else 1) / 1000


def _of_few_calls(runtime: str, exports: Sequence[Export]) -> list[str]:
    """A warning where percentiles say little."""
    calls = min(len(run.latencies_ms) for each in exports for run in each.runs[runtime])
    if calls >= _ENOUGH:
        return []
    return [f"{runtime}: {calls} calls in a process, too few for p95 and p99; take more --seconds"]


def _of_different_calls(specs: Sequence[ExportSpec]) -> list[str]:
    """A warning where a call of one export hears another length than one of the other."""
    heard = [None if spec.stream is None else spec.stream.chunk for spec in specs]
    if len(set(heard)) == 1:
        return []
    said = ["whole recordings" if chunk is None else f"{shown(chunk)} a call" for chunk in heard]
    return [
        f"calls differ: A hears {said[0]}, B {said[1]}; compare the last row, the time for the "
        "length of the audio, and not that of calls"
    ]


def _of_windows(specs: Sequence[ExportSpec]) -> list[str]:
    """A warning where a call hears more than the recording."""
    if not any(spec.is_whisper for spec in specs):
        return []
    return [
        "a Whisper's encoder hears 30 s in each call, however short the recording is; take --audio "
        "of the length that it is to be used with"
    ]


def _of_version(runtime: str, exports: Sequence[Export]) -> list[str]:
    """A warning where the version of ONNX Runtime copies shared weights."""
    found = exports[0].runs[runtime][0].version
    wanted = max((each.spec.onnxruntime for each in exports), key=_numbers)
    if _numbers(found) >= _numbers(wanted):
        return []
    return [
        f"{runtime}: its ONNX Runtime {found} copies a shared weight for each use; {wanted} and "
        "newer keep it once"
    ]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
