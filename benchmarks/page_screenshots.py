"""A page as a browser shows it: on a desk, on a phone, in the dark, in print.

    python benchmarks/page_screenshots.py report.html screenshots [--browser chromium]

Needs Chromium, which opens the page without a network. Writes PNGs and a PDF to look at, and fails
if the browser does, if it complains about the page, or if the page is wider than the phone.
"""

import argparse
from pathlib import Path

from _browser import PHONE, look, print_page, screenshot


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--browser")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    try:
        shown = photograph(args.page, args.output, args.browser)
    except RuntimeError as error:
        raise SystemExit(str(error)) from None
    if shown > PHONE:
        raise SystemExit("it has to be scrolled sideways")


def photograph(page: Path, output: Path, browser: str | None) -> int:
    """Write the pictures; the CSS pixels that the page takes on a phone."""
    for name, width, height, dark in (
        ("desk", 1200, 3000, False),
        ("phone", PHONE, 3400, False),
        ("dark", 1200, 1600, True),
    ):
        file = output / f"{name}.png"
        screenshot(page, file, width, height, dark, browser)
        print(file)
    print_page(page, output / "print.pdf", browser)
    print(output / "print.pdf")
    seen = look(page, PHONE, browser=browser)
    print(f"on a phone of {PHONE} pixels the page takes {seen.width}")
    if seen.said:
        raise RuntimeError(f"the browser complains: {'; '.join(seen.said)}")
    return seen.width


if __name__ == "__main__":
    main()
