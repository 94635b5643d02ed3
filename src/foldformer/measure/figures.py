"""What is measured of exports: the figures of each run, and what they come to."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from foldformer.deploy.folder import ExportSpec
from foldformer.deploy.memory import Memory
from foldformer.errors import SpecError
from foldformer.measure.process import Held

RUNTIMES = {"sherpa-onnx": "sherpa_onnx", "onnxruntime": "onnxruntime"}
"""{what runs an export: its module}; the first the whole of it, the second the encoder alone."""

_GROWTH = {"fp32": 1.15, "int8": 1.3}
_ROOM = 8_000_000

_MINUTE = 60.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to measure.

    Attributes:
        runtimes: of `RUNTIMES`.
        runs: processes for each export and runtime.
        seconds: of audio that each hears.
        threads: of the runtimes.
        memory: what the processes keep, as in `foldformer.deploy.load`.
        cache: bytes of the cache that `Export.fetched` assumes.
        audio: recordings; composed speech unless given.
    """

    runtimes: tuple[str, ...] = tuple(RUNTIMES)
    runs: int = 5
    seconds: float = 20.0
    threads: int = 1
    memory: Memory = "quick"
    cache: int = 4_000_000
    audio: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("runs", "threads", "seconds"):
            if not 1 <= getattr(self, name) < math.inf:  # nor NaN, which no clock reaches
                raise SpecError(f"{name}: expected 1 or more, got {getattr(self, name)}")


@dataclass(frozen=True)
class Run:
    """What one process told; `foldformer.measure.process.run` made it.

    Attributes:
        version: of ONNX Runtime.
        baseline: before the export is loaded: with an empty session in onnxruntime, with the
            package imported in sherpa-onnx.
        loaded: after that.
        steady: at the end.
        curve: (seconds of audio, RSS) on the way.
        load_ms: of loading.
        seconds: of audio.
        busy_ms: of all calls.
        latencies_ms: of each call but the first, a chunk of a stream or a recording; of a long run,
            of every so many.
    """

    version: str
    baseline: Held | None
    loaded: Held | None
    steady: Held | None
    curve: list[list[float]]
    load_ms: float
    seconds: float
    busy_ms: float
    latencies_ms: list[float]

    @property
    def figures(self) -> dict[str, float]:
        """{figure: number}; memory in bytes, times in milliseconds.

        `growth` and `private_growth` are over the baseline, `later_growth` is from the first
        minute to the end, where memory was looked at later than that; `rtf` is time over the
        length of the audio.
        """
        cuts = statistics.quantiles(self.latencies_ms, n=100, method="inclusive")
        found = {
            "load_ms": self.load_ms,
            "p50_ms": cuts[49],
            "p95_ms": cuts[94],
            "p99_ms": cuts[98],
            "rtf": self.busy_ms / (1000 * self.seconds),
        }
        if self.baseline is None or self.steady is None:
            return found
        found |= {
            "baseline_rss": self.baseline.rss,
            "peak_rss": self.steady.peak,
            "steady_rss": self.steady.rss,
            "steady_private": self.steady.private,
            "growth": self.steady.rss - self.baseline.rss,
            "private_growth": self.steady.private - self.baseline.private,
        }
        after = [rss for seconds, rss in self.curve if seconds >= _MINUTE]
        return found | ({"later_growth": after[-1] - after[0]} if len(after) > 1 else {})

    def plain(self) -> dict[str, object]:
        """Everything, as data for JSON."""
        memory = {"baseline": self.baseline, "loaded": self.loaded, "steady": self.steady}
        return asdict(self) | {name: held and held._asdict() for name, held in memory.items()}


def _shared(runs: Sequence[dict[str, float]]) -> list[str]:
    """The figures that all runs have: one that ends at the minute has none of what comes later."""
    return [name for name in runs[0] if all(name in each for each in runs)]


@dataclass(frozen=True)
class Spread:
    """The median of several numbers, and their quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> "Spread":
        """The spread of one number or more."""
        if len(numbers) == 1:
            return cls(*(3 * [numbers[0]]))
        low, median, high = statistics.quantiles(numbers, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass(frozen=True)
class Export:
    """An export, measured.

    Attributes:
        folder: as it was named.
        spec: what it is.
        provider: options for ONNX Runtime, of its `provider.cfg` or `provider-small.cfg`.
        files: {ONNX file: bytes}; the encoder is the first.
        weights: {ONNX file: bytes of its initialisers}.
        read: bytes of weights that the encoder reads for a second of audio; None if offline.
        fetched: of these, those that a cache does not hold (`foldformer.measure.reads`).
        runs: {runtime: runs}.
    """

    folder: Path
    spec: ExportSpec
    provider: dict[str, str]
    files: dict[str, int]
    weights: dict[str, int]
    read: float | None
    fetched: float | None
    runs: dict[str, list[Run]]

    @property
    def weight_bytes(self) -> int:
        """Of all initialisers in the files."""
        return sum(self.weights.values())

    @property
    def most_growth(self) -> float | None:
        """Bytes that RSS may grow by where the encoder streams; None where nothing is aimed at.

        1.15 times the bytes of its weights in fp32, 1.3 times in int8, and 8 MB.
        """
        factor = _GROWTH.get(self.spec.precision) if self.spec.streams else None
        return None if factor is None else factor * self.weights[self.spec.files[0]] + _ROOM

    def figures(self, runtime: str) -> dict[str, Spread]:
        """The spread of each figure over the runs."""
        each = [run.figures for run in self.runs[runtime]]
        return {name: Spread.of([figures[name] for figures in each]) for name in _shared(each)}


@dataclass(frozen=True)
class Comparison:
    """What was measured.

    Attributes:
        exports: one, or two to be compared.
        settings: how.
        audio_seconds: of different audio; longer runs hear it again.
        warnings: what the reader should know, a line each.
    """

    exports: list[Export]
    settings: Settings
    audio_seconds: float
    warnings: list[str]

    def ratios(self, runtime: str) -> dict[str, Spread]:
        """The second export's figures over the first's, run by run.

        Neighbours in time are compared, so that a machine that is busy now and then is so for both.
        """
        one, other = ([run.figures for run in each.runs[runtime]] for each in self.exports)
        found = {}
        for name in _shared([*one, *other]):
            pairs = [(a[name], b[name]) for a, b in zip(one, other, strict=True)]
            if all(a > 0 for a, _ in pairs):
                found[name] = Spread.of([b / a for a, b in pairs])
        return found

    def plain(self) -> dict[str, object]:
        """Everything, as data for JSON."""
        return {
            "settings": asdict(self.settings),
            "audio_seconds": self.audio_seconds,
            "warnings": self.warnings,
            "exports": [
                {
                    "folder": str(each.folder),
                    "kind": each.spec.kind,
                    "precision": each.spec.precision,
                    "provider": each.provider,
                    "files": each.files,
                    "file_bytes": sum(each.files.values()),
                    "weights": each.weights,
                    "weight_bytes": each.weight_bytes,
                    "most_growth": each.most_growth,
                    "weights_read_a_second": each.read,
                    "weights_fetched_a_second": each.fetched,
                    "figures": {
                        runtime: {name: asdict(s) for name, s in each.figures(runtime).items()}
                        for runtime in each.runs
                    },
                    "runs": {
                        runtime: [run.plain() for run in runs]
                        for runtime, runs in each.runs.items()
                    },
                }
                for each in self.exports
            ],
            "ratios": {
                runtime: {name: asdict(spread) for name, spread in self.ratios(runtime).items()}
                for runtime in self.exports[0].runs
            }
            if len(self.exports) == 2
            else {},
        }
