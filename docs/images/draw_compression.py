"""Writes docs/images/compression-*.svg: the pictures of a page that `foldformer plan` has made.

make demo
foldformer plan demo/asr-dense --weights 3MB --calibration demo/corpus/train.jsonl.gz \\
    --report page.html
python docs/images/draw_compression.py page.html
"""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

FOLDER = Path(__file__).parent
WIDTH = 860
PAPER, INK, SOFT, LINE = "#ffffff", "#1b1d22", "#565b66", "#d5d8de"
SERIES = ("#1f5fa8", "#a8500f", "#12795a")
STYLE = f"""
text {{ fill: {SOFT}; font-size: 15px; }} .small text {{ font-size: 20px; }}
.said {{ fill: {INK}; font-size: 15px; }}
.value {{ fill: {INK}; }} .value.on {{ fill: {PAPER}; }}
polyline {{ fill: none; stroke-width: 2; }}
.here {{ fill: none; stroke: {INK}; stroke-width: 2; }}
.grid {{ stroke: {LINE}; stroke-width: .5; }} .axis {{ stroke: {SOFT}; }}
.shade {{ fill: {SERIES[0]}; }} .frame {{ fill: none; stroke: {LINE}; }}
""" + "".join(
    f".s{number} {{ stroke: {colour}; fill: {colour}; }}\n" for number, colour in enumerate(SERIES)
)


class Page:
    """The sections of a page, by their headings."""

    def __init__(self, path: Path) -> None:
        parts = re.split("<h2>(.*?)</h2>", path.read_text(encoding="utf-8"))
        self._sections = dict(zip(parts[1::2], parts[2::2], strict=True))

    def figures(self, heading: str) -> list[tuple[str, str]]:
        """(caption, picture) of each figure; the caption may be empty."""
        found = re.findall("<figure>(.*?)</figure>", self._sections[heading], re.DOTALL)
        return [
            ("".join(re.findall("<figcaption>(.*?)</figcaption>", each)), picture(each))
            for each in found
        ]

    def signs(self, heading: str) -> list[tuple[str, str]]:
        """(sign, what it stands for) of the legend."""
        return [
            (inside(sign), words.strip())
            for sign, words in re.findall(
                "<li>(<svg.*?</svg>)(.*?)</li>", self._sections[heading], re.DOTALL
            )
        ]


def picture(figure: str) -> str:
    """The picture of a figure: its first SVG."""
    found = re.search("<svg.*?</svg>", figure, re.DOTALL)
    assert found is not None, "a figure without a picture"
    return found[0]


def inside(svg: str) -> str:
    """What an SVG holds."""
    return svg[svg.index(">") + 1 : svg.rindex("</svg>")]


def size_of(svg: str) -> tuple[float, float]:
    """Its width and height."""
    found = re.search('viewBox="0 0 ([0-9.]+) ([0-9.]+)"', svg)
    assert found is not None, "a picture without a size"
    return float(found[1]), float(found[2])


def placed(svg: str, x: float, y: float, width: float) -> str:
    """A picture at a place, so wide; its letters stay large enough to be read."""
    scale = width / size_of(svg)[0]
    kind = ' class="small"' if scale < 1 else ""
    return f'<g{kind} transform="translate({x} {y}) scale({scale:.4f})">{inside(svg)}</g>'


def text(x: float, y: float, words: str) -> str:
    """A line of text with its baseline at y."""
    return f'<text class="said" x="{x}" y="{y}">{words}</text>'


def legend(signs: list[tuple[str, str]], y: float) -> str:
    """Signs and what they stand for, in a row."""
    parts, x = [], 68.0
    for sign, words in signs:
        parts.append(f'<g transform="translate({x} {y - 12})">{sign}</g>{text(x + 36, y, words)}')
        x += 36 + 8 * len(words) + 28
    return "".join(parts)


def write(name: str, title: str, height: float, parts: list[str]) -> None:
    """Write a file, after reading it as XML."""
    whole = "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" '
            f'width="{WIDTH}" height="{height:g}" role="img" '
            'font-family="Helvetica, Arial, DejaVu Sans, sans-serif">',
            f"<title>{title}</title>",
            f"<style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{height:g}" fill="{PAPER}"/>',
            *parts,
            "</svg>\n",
        ]
    )
    ElementTree.fromstring(whole)
    (FOLDER / f"compression-{name}.svg").write_text(whole, encoding="utf-8")


def grid(figures: list[tuple[str, str]], top: float) -> tuple[list[str], float]:
    """Figures two in a row, each below its caption; and where they end."""
    parts, column = [], WIDTH / 2
    for number, (caption, svg) in enumerate(figures):
        width, height = size_of(svg)
        scale = (column - 30) / width
        x, y = column * (number % 2) + 10, top + number // 2 * (scale * height + 40)
        parts += [text(x + 24, y + 16, caption), placed(svg, x, y + 24, column - 30)]
    rows = (len(figures) + 1) // 2
    return parts, top + rows * (scale * height + 40)


def main() -> None:
    """Write the three files."""
    page = Page(Path(sys.argv[1]))
    ((_, error),) = page.figures("Error against bytes")
    drawn = [placed(error, 10, 0, WIDTH - 30), legend(page.signs("Error against bytes"), 492)]
    write("error", "What is lost at the output, against bytes", 510, drawn)
    parts, height = grid(page.figures("How alike layers are"), 4)
    write("likeness", "Cosines between the weights of layers", height, parts)
    parts, height = grid(page.figures("Spectra"), 28)
    signs = legend(page.signs("Spectra"), 20)
    write("spectra", "What a rank leaves over", height, [signs, *parts])


if __name__ == "__main__":
    main()
