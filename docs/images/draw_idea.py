"""Writes docs/images/idea.svg: six layers in depth, dense and with two layers used three times.

python docs/images/draw_idea.py
"""

from pathlib import Path

PICTURE = Path(__file__).with_name("idea.svg")

INK, FAINT, PAPER = "#222222", "#888888", "#ffffff"
COLOURS = {"A": "#2b6cb0", "B": "#c05621", "dense": "#718096"}
WIDTH, HEIGHT = 860, 420
ROW, TOP = 50, 92  # pixels from one place in depth to the next; of the deepest one


def text(x: float, y: float, words: str, size: int = 15, colour: str = INK, rest: str = "") -> str:
    """A line of text with its baseline at y."""
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}" {rest}>{words}</text>'


def box(x: float, y: float, width: float, height: float, fill: str, rest: str = "") -> str:
    """A rectangle with round corners."""
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" fill="{fill}" {rest}/>'


def arrow(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    """A line with a head at its end."""
    return (
        f'<path d="M{x1} {y1} L{x2} {y2}" stroke="{colour}" stroke-width="1.6" fill="none" '
        'marker-end="url(#head)"/>'
    )


def place(row: int) -> float:
    """The upper edge of a place in depth; row 0 is the first that frames go through."""
    return TOP + (5 - row) * ROW


def dense() -> list[str]:
    """Six layers, each with matrices of its own."""
    parts = [text(60, 40, "dense", 19, rest='font-weight="bold"')]
    parts += [text(60, 62, "6 layers own 6 sets of weights", 14, FAINT)]
    for row in range(6):
        y = place(row)
        parts.append(box(60, y, 200, 36, COLOURS["dense"]))
        parts.append(text(160, y + 23, f"W{row + 1}", 15, PAPER, 'text-anchor="middle"'))
        parts.append(arrow(160, y + ROW - 1, 160, y + 38, FAINT))
    parts.append(text(160, place(0) + ROW + 14, "frames", 14, FAINT, 'text-anchor="middle"'))
    return parts


def shared() -> list[str]:
    """Two layers, each used three times, with a small residual for each use."""
    parts = [text(370, 40, "ResidualTransformer, K = 3", 19, rest='font-weight="bold"')]
    parts += [text(370, 62, "2 layers own 2 sets of weights; each use adds a little", 14, FAINT)]
    for number, layer in enumerate("AB"):
        middle = (place(3 * number) + place(3 * number + 2)) / 2
        colour = COLOURS[layer]
        parts.append(box(370, middle - 18, 150, 72, colour))
        parts.append(text(445, middle + 14, f"U of {layer}", 16, PAPER, 'text-anchor="middle"'))
        parts.append(text(445, middle + 36, "full rank", 13, PAPER, 'text-anchor="middle"'))
        for use in range(3):
            row = 3 * number + use
            y = place(row)
            parts.append(arrow(520, middle + 18, 596, y + 18, colour))
            parts.append(box(600, y, 70, 36, PAPER, f'stroke="{colour}" stroke-width="2"'))
            parts.append(text(635, y + 23, f"{layer}{use}", 15, colour, 'text-anchor="middle"'))
            parts.append(box(676, y + 6, 9, 24, colour))
            parts.append(box(688, y + 6, 24, 9, colour))
            parts.append(
                f'<path d="M720 {y + 6} L742 {y + 28}" stroke="{colour}" stroke-width="3.5" '
                'stroke-linecap="round"/>'
            )
            parts.append(arrow(635, y + ROW - 1, 635, y + 38, FAINT))
    parts.append(text(635, place(0) + ROW + 14, "frames", 14, FAINT, 'text-anchor="middle"'))
    y = place(5)
    parts.append(text(752, y + 16, "low rank", 13, FAINT))
    parts.append(text(752, y + 32, "and diagonal", 13, FAINT))
    return parts


def picture() -> str:
    """The whole SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" '
        'font-family="Helvetica, Arial, DejaVu Sans, sans-serif">',
        "<title>Six layers in depth: dense, and two layers used three times each</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" '
        f'markerHeight="6" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{FAINT}"/></marker>'
        "</defs>",
        box(0, 0, WIDTH, HEIGHT, PAPER),
        *dense(),
        *shared(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
