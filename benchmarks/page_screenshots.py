"""A page as a browser shows it: on a desk, on a phone, in the dark, in print.

    python benchmarks/page_screenshots.py report.html screenshots [--browser chromium]

Needs Chromium, which opens the page without a network. Writes PNGs and a PDF to look at, and fails
if the browser does, if it asks for anything but the page, or if the page is wider than the phone.
"""

import argparse
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
WIDTH, HEIGHT = 390, 844  # of a phone, in CSS pixels

# The page forbids scripts to itself; one around it may look at how wide it is.
FRAME = """<!DOCTYPE html><title>-</title><iframe src="page.html" width="{width}" height="800"
onload="document.title = 'width ' + this.contentDocument.documentElement.scrollWidth"></iframe>"""


def browse(browser: str, *words: str) -> str:
    """Run the browser; what it prints."""
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *OPTIONS, f"--user-data-dir={profile}", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise SystemExit(f"{browser}: {done.stderr[-500:]}")
    return done.stdout


def width_on_phone(browser: str, page: Path) -> int:
    """CSS pixels that the page takes in a window as wide as a phone's."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(page, Path(folder, "page.html"))
        frame = Path(folder, "frame.html")
        frame.write_text(FRAME.format(width=WIDTH))
        shown = browse(browser, "--allow-file-access-from-files", "--dump-dom", frame.as_uri())
    found = re.search(r"<title>width (\d+)</title>", shown)
    if not found:
        raise SystemExit("the browser did not say how wide the page is")
    return int(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--browser", default=next(filter(shutil.which, NAMES), None))
    args = parser.parse_args()
    if args.browser is None:
        raise SystemExit(f"found none of {', '.join(NAMES)}; name one with --browser")
    page = args.page.resolve()
    if re.search(r"(?:src|href)\s*=|url\(|@import", page.read_text(encoding="utf-8")):
        raise SystemExit(f"{args.page}: asks for other files")
    args.output.mkdir(parents=True, exist_ok=True)
    output = args.output.resolve()
    dark = ("--force-dark-mode", "--blink-settings=preferredColorScheme=0")
    for name, width, height, words in (
        ("desk", 1200, 3000, ()),
        ("phone", WIDTH, 4 * HEIGHT, ()),
        ("dark", 1200, 1600, dark),
    ):
        file = output / f"{name}.png"
        browse(
            args.browser,
            *words,
            f"--window-size={width},{height}",
            f"--screenshot={file}",
            page.as_uri(),
        )
        print(file)
    printed = output / "print.pdf"
    browse(args.browser, "--no-pdf-header-footer", f"--print-to-pdf={printed}", page.as_uri())
    print(printed)
    width = width_on_phone(args.browser, page)
    print(f"on a phone of {WIDTH} pixels the page takes {width}")
    if width > WIDTH:
        raise SystemExit("it has to be scrolled sideways")


if __name__ == "__main__":
    main()
