"""The tables of the demonstration, made of its results: as `make demo` and the README show them."""

from collections.abc import Mapping, Sequence
from typing import Any

from command import CHUNK, RECOGNISERS, TRANSLATORS, Score

_TITLES = (
    "Recognition, Italian and Spanish: WER in %, with 95 % intervals",
    "Translation, Italian to Spanish: BLEU, with 95 % intervals",
)
_OF_A_DEVICE = {"file_mb": 2, "ram_mb": 1, "own_mb": 1, "chunk_ms": 2, "p95_ms": 2}  # digits


def model_tables(models: Mapping[str, Any]) -> str:
    """The models beside one another, at 80 columns.

    Args:
        models: of the results.
    """
    header = ["", "params", "MB", "int8", "share", "offline", f"{CHUNK} stream", "min"]
    parts = [
        [[trained.kind, *_of_a_model(models[trained.name])] for trained in pair]
        for pair in (RECOGNISERS, TRANSLATORS)
    ]
    return (
        f"{_tables(header, parts)}\n\n"
        "params: parameters; MB: their bytes in fp32, 10^6; int8: the same, quantised;\n"
        "share: of the dense encoder's weight matrices; min: training time. All speech is\n"
        "composed from recorded words of one speaker a language, so figures say nothing\n"
        "about other voices."
    )


def _of_a_model(found: Mapping[str, Any]) -> list[str]:
    """Its row."""
    return [
        f"{found['parameters'] / 1e6:.2f}M",
        f"{found['fp32'] / 1e6:.1f}",
        f"{found['int8'] / 1e6:.1f}",
        f"{found['share']:.0f}%",
        _interval(found["offline"]),
        _interval(found["stream"]),
        f"{found['minutes']:.1f}",
    ]


def device_tables(device: Mapping[str, Any]) -> str:
    """The exports beside one another, and the ratio of each two, at 80 columns.

    Args:
        device: of the results.
    """
    header = ["", "file MB", "RAM MB", "own MB", "chunk ms", "p95", f"{CHUNK} stream"]
    parts = []
    for pair in (RECOGNISERS, TRANSLATORS):
        rows = []
        for trained in pair:
            found = device[trained.name]
            figures = [f"{found[name]:.{digits}f}" for name, digits in _OF_A_DEVICE.items()]
            rows.append([trained.kind, *figures, _interval(found["stream"])])
        ratios = device[pair[1].name]["of_dense"]
        rows.append(["  shared / dense", *(f"{ratios[name]:.2f}" for name in _OF_A_DEVICE), ""])
        parts.append(rows)
    return (
        f"{_tables(header, parts)}\n\n"
        "RAM: of the whole process while it streams; own: of it what came with the\n"
        "export; chunk: median time that a chunk takes on one core, and the 95th\n"
        "percentile. A model of this size is the least of what is in memory:\n"
        "docs/how-to/measure.md has figures of the paper's."
    )


def _interval(score: Score) -> str:
    return "{value:.1f} [{low:.1f}, {high:.1f}]".format(**score)


def _tables(header: Sequence[str], parts: Sequence[Sequence[Sequence[str]]]) -> str:
    """Tables with the same columns, as wide as all of their rows need.

    Args:
        header: of each.
        parts: the rows of recognition, and those of translation.
    """
    lines = [header, *(row for rows in parts for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    shown = [
        "\n".join([title, *(_aligned(row, widths) for row in (header, *rows))])
        for title, rows in zip(_TITLES, parts, strict=True)
    ]
    return "\n\n".join(shown)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """A line of a table."""
    first, *others = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
    return " ".join([cells[0].ljust(len(first)), *others]).rstrip()
