"""A model's sizes and operations as text, 80 columns wide."""

from collections import Counter

from foldformer.measure.describe import CHUNK, SECONDS, Description
from foldformer.measure.size import Size


def size_table(description: Description) -> str:
    """The lines that `foldformer describe` prints."""
    return "\n".join(
        [
            *_sizes(description),
            "",
            *_operations(description),
            "",
            *_closing(description),
        ]
    )


def _sizes(description: Description) -> list[str]:
    def row(name: str, size: Size) -> str:
        numbers = [size.parameters, size.fp32, size.fp16, size.int8, size.int4]
        return f"{name:28}{numbers[0] / 1e6:12.3f}" + "".join(
            f"{number / 1e6:10.2f}" for number in numbers[1:]
        )

    return [
        f"{'':28}{'parameters':>12}{'size in MB (10^6 bytes)':>40}",
        f"{'':28}{'millions':>12}{'fp32':>10}{'fp16':>10}{'int8':>10}{'int4':>10}",
        *(
            row(f"layers: {name}" if name in _LAYERS else name, size)
            for name, size in description.parts.items()
        ),
        row("layers, all", description.layers),
        row("total", description.total),
    ]


_LAYERS = ("weights", "low rank", "diagonal", "biases and norms")


def _operations(description: Description) -> list[str]:
    columns = (description.utterance, description.stream)
    rows = {name: [column[name] for column in columns] for name in columns[0]}
    rows["total"] = [sum(column.values()) for column in columns]
    return [
        "multiply-adds (millions)      an utterance of "
        f"{SECONDS:.0f} s    a stream, {40 * CHUNK} ms a chunk,",
        f"{'a second of audio':28}{'with full context':>21}"
        f"{f'{description.left_context} frames of left context':>30}",
        *(f"{name:28}{a / 1e6:21.1f}{b / 1e6:30.1f}" for name, (a, b) in rows.items()),
    ]


def _closing(description: Description) -> list[str]:
    groups = Counter(description.uses)
    shown = ", ".join(
        f"{number} used {'once' if uses == 1 else f'{uses} times'}"
        for uses, number in groups.items()
    )
    lines = {
        "layers in depth": str(description.num_layers),
        "layers that own weights": f"{len(description.uses)}: {shown}",
        "width": str(description.d_model),
        "vocabulary": f"{description.vocab_size} tokens, the blank included",
        "state of a stream": f"{description.state_bytes / 1e6:.2f} MB in fp32",
        "share of the dense encoder's weight matrices": f"{description.encoder_matrix_share:.2f} %",
    }
    width = max(map(len, lines)) + 2
    return [f"{name:{width}}{value}" for name, value in lines.items()]
