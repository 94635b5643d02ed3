"""Writes docs/images/memory.svg: a weight of three products, in the file and in memory.

python docs/images/draw_memory.py
"""

from pathlib import Path

PICTURE = Path(__file__).with_name("memory.svg")

INK, FAINT, PAPER = "#222222", "#888888", "#ffffff"
WEIGHT, COPY = "#2b6cb0", "#c05621"
WIDTH, HEIGHT = 860, 270
LEFT, MIDDLE, RIGHT = 40, 330, 620  # left edges of the three columns
TOP, ROW = 96, 60  # of the first use; pixels to the next one


def text(x: float, y: float, words: str, size: int = 15, colour: str = INK, rest: str = "") -> str:
    """A line of text with its baseline at y."""
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}" {rest}>{words}</text>'


def box(x: float, y: float, width: float, height: float, fill: str, words: str) -> str:
    """A filled rectangle with words in it."""
    middle = 'text-anchor="middle"'
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" fill="{fill}"/>' + text(
        x + width / 2, y + height / 2 + 5, words, 15, PAPER, middle
    )


def use(x: float, number: int) -> str:
    """A product that takes the weight."""
    y = TOP + number * ROW
    middle = 'text-anchor="middle"'
    return (
        f'<rect x="{x}" y="{y}" width="70" height="36" rx="5" fill="{PAPER}" stroke="{INK}"/>'
        + text(x + 35, y + 23, f"use {number}", 14, INK, middle)
    )


def arrow(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    """A line with a head at its end."""
    return (
        f'<path d="M{x1} {y1} L{x2} {y2}" stroke="{colour}" stroke-width="1.6" fill="none" '
        'marker-end="url(#head)"/>'
    )


def column(x: float, title: str, note: str) -> list[str]:
    """The heading of a column."""
    return [
        text(x, 40, title, 18, rest='font-weight="bold"'),
        text(x, 62, note, 13, FAINT),
    ]


def one(x: float, words: str, colour: str) -> list[str]:
    """A weight that is there once, and its three uses."""
    parts = [box(x, TOP + ROW - 12, 90, 60, colour, words)]
    for number in range(3):
        parts.append(arrow(x + 92, TOP + ROW + 18, x + 126, TOP + number * ROW + 18, colour))
        parts.append(use(x + 130, number))
    return parts


def three(x: float, words: str) -> list[str]:
    """A copy for each use."""
    parts = []
    for number in range(3):
        y = TOP + number * ROW
        parts.append(box(x, y, 90, 36, COPY, words))
        parts.append(arrow(x + 92, y + 18, x + 126, y + 18, COPY))
        parts.append(use(x + 130, number))
    return parts


def picture() -> str:
    """The whole SVG."""
    parts = [
        *column(LEFT, "In the file", "one initialiser, three readers"),
        *one(LEFT, "weight", WEIGHT),
        *column(MIDDLE, "ONNX Runtime 1.21 and newer", "packed once for all"),
        *one(MIDDLE, "packed", WEIGHT),
        *column(RIGHT, "older, or other packing", "a packed copy for each use"),
        *three(RIGHT, "packed"),
    ]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" '
        'font-family="Helvetica, Arial, DejaVu Sans, sans-serif">',
        "<title>A weight of three products: in the file, and packed in memory</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" '
        f'markerHeight="6" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{FAINT}"/></marker>'
        "</defs>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}"/>',
        *parts,
        "</svg>\n",
    ])  # fmt: skip


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
