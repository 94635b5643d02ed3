"""What was measured of exports as text, 80 columns wide."""

import textwrap
from collections.abc import Sequence

from foldformer.data.durations import shown
from foldformer.measure.figures import Comparison, Export, Spread

_MB = 1e6

_ROWS = (
    ("load_ms", "to load, ms", 1.0, 0),
    ("baseline_rss", "RSS before, MB", _MB, 1),
    ("steady_rss", "RSS at the end, MB", _MB, 1),
    ("growth", "  of it more than before", _MB, 1),
    ("steady_private", "private at the end, MB", _MB, 1),
    ("private_growth", "  of it more than before", _MB, 1),
    ("peak_rss", "peak RSS, MB", _MB, 1),
    ("later_growth", "RSS after 1 minute, MB more", _MB, 2),
    ("p50_ms", "a call takes, p50, ms", 1.0, 2),
    ("p95_ms", "  p95", 1.0, 2),
    ("p99_ms", "  p99", 1.0, 2),
    ("rtf", "time / length of the audio", 1.0, 4),
)


def export_table(comparison: Comparison) -> str:
    """The lines that `foldformer measure` prints."""
    exports = comparison.exports
    lines = [f"{name}: {each.folder} ({_what(each)})" for name, each in _named(exports)]
    lines += [
        "",
        _row("", [name for name, _ in _named(exports)], "B / A" if len(exports) > 1 else ""),
    ]
    lines += _files(comparison)
    for runtime in exports[0].runs:
        version = exports[0].runs[runtime][0].version
        what = "the whole of it" if runtime == "sherpa-onnx" else "the encoder alone"
        lines += ["", f"{runtime}, {what} (ONNX Runtime {version})"]
        figures = [each.figures(runtime) for each in exports]
        ratios = comparison.ratios(runtime) if len(exports) > 1 else {}
        for key, title, unit, digits in _ROWS:
            if key == "steady_private" and runtime == "onnxruntime":
                lines += _aims(exports, figures)
            if all(key in each for each in figures):
                numbers = [f"{each[key].median / unit:.{digits}f}" for each in figures]
                lines.append(_row(title, numbers, _ratio(ratios.get(key))))
    lines += ["", *_closing(comparison)]
    for each in comparison.warnings:
        lines += textwrap.wrap(f"warning: {each}", 79, subsequent_indent="  ")
    return "\n".join(lines)


def _aims(exports: Sequence[Export], figures: Sequence[dict[str, Spread]]) -> list[str]:
    """A row of what RSS may grow by, and whether it did."""
    cells = []
    for export, found in zip(exports, figures, strict=True):
        most = export.most_growth
        if most is None or "growth" not in found:
            return []
        said = "met" if found["growth"].median <= most else "MISSED"
        cells.append(f"{most / _MB:.1f} {said}")
    return [_row("  aimed at, at most", cells)]


def _named(exports: Sequence[Export]) -> list[tuple[str, Export]]:
    return list(zip("AB", exports, strict=False))


def _what(export: Export) -> str:
    stream = export.spec.stream
    chunk = "" if stream is None else f", chunks of {shown(stream.chunk)}"
    return f"{export.spec.kind}, {export.spec.stored}{chunk}"


def _row(title: str, cells: Sequence[str], ratio: str = "") -> str:
    return f"{title:30}{''.join(f'{cell:>12}' for cell in cells)}   {ratio}".rstrip()


def _ratio(spread: Spread | None) -> str:
    if spread is None:
        return ""
    return f"{spread.median:.3f} [{spread.low:.3f}, {spread.high:.3f}]"


def _files(comparison: Comparison) -> list[str]:
    """Rows of what needs no run."""
    exports = comparison.exports
    cache = comparison.settings.cache / _MB
    columns: list[tuple[str, list[float | None]]] = [
        ("ONNX files, MB", [sum(each.files.values()) for each in exports]),
        ("weights in them, MB", [each.weight_bytes for each in exports]),
        ("weights read, MB/s of audio", [each.read for each in exports]),
        (f"  beyond a cache of {cache:g} MB", [each.fetched for each in exports]),
    ]
    lines = []
    for title, numbers in columns:
        known = [number for number in numbers if number is not None]
        if len(known) == len(numbers):
            ratio = f"{known[1] / known[0]:.3f}" if len(known) > 1 else ""
            lines.append(_row(title, [f"{number / _MB:.1f}" for number in known], ratio))
    return lines


def _closing(comparison: Comparison) -> list[str]:
    settings = comparison.settings
    processes = "1 process" if settings.runs == 1 else f"{settings.runs} processes"
    options = [
        " ".join(f"{key}={value}" for key, value in sorted(each.provider.items()))
        for each in comparison.exports
    ]
    names = [f", {name}" for name, _ in _named(comparison.exports)]
    if len(set(options)) == 1:
        names = [""]
    return [
        f"{processes} each, taking turns, {settings.seconds:g} s of audio in each; "
        f"threads: {settings.threads}.",
        "Medians; of ratios, taken run by run, the quartiles too. A call is a chunk of a",
        "stream, or a recording. RSS before: the package is imported, and in onnxruntime",
        "a session without weights is open. MB: 10^6 bytes.",
        f"memory: {settings.memory}.",
        *(
            line
            for name, words in zip(names, options, strict=False)
            for line in _wrapped(f"ONNX Runtime{name}: ", words or "its defaults")
        ),
    ]


def _wrapped(title: str, words: str) -> list[str]:
    lines = [title]
    for word in words.split():
        if len(lines[-1]) + len(word) > 79:
            lines.append("  ")
        lines[-1] += f"{word} "
    return [line.rstrip() for line in lines]
