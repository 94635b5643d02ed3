"""Pages as a browser shows them: Chromium without a window and without a network.

Run by itself, it says which browser there is, or fails.
"""

import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
PHONE = 390  # CSS pixels that a phone is wide
OPTIONS = (
    "--headless",
    "--no-sandbox",  # which is not to be had in containers; the pages are our own
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr",
)
DARK = "--blink-settings=preferredColorScheme=0"

# Pages forbid scripts to themselves; one around them may look at them. A drawing is cut where
# something in it lies beyond its edges.
FRAME = """<!DOCTYPE html><title>-</title>
<iframe src="page.html" width="{width}" height="800" style="border: 0"></iframe>
<script>
document.querySelector("iframe").onload = (event) => {{
  const page = event.target.contentDocument, view = event.target.contentWindow
  const drawings = [...page.querySelectorAll("figure svg, td svg")].map((svg) => {{
    const shown = svg.getBoundingClientRect(), box = svg.getBBox(), edge = svg.viewBox.baseVal
    const cut = Math.max(edge.x - box.x, edge.y - box.y, box.x + box.width - edge.x - edge.width,
      box.y + box.height - edge.y - edge.height)
    return {{width: shown.width, height: shown.height, drawn: box.width * box.height, cut}}
  }})
  const style = view.getComputedStyle(page.body)
  document.title = "seen " + JSON.stringify({{width: page.documentElement.scrollWidth,
    height: page.documentElement.scrollHeight, ground: style.backgroundColor, ink: style.color,
    drawings}})
}}
</script>"""


@dataclass(frozen=True)
class Drawing:
    """A drawing of a page: CSS pixels that it takes, and units that it draws on and beyond."""

    width: float
    height: float
    drawn: float
    cut: float


@dataclass(frozen=True)
class Seen:
    """What a browser makes of a page.

    Attributes:
        width: CSS pixels that the page takes; more than the window has: it is scrolled sideways.
        height: CSS pixels from its top to its end.
        ground: colour behind everything.
        ink: colour of text.
        drawings: those in figures and tables.
        said: what the browser has to complain about, requests that the page is refused included.
    """

    width: int
    height: int
    ground: str
    ink: str
    drawings: tuple[Drawing, ...]
    said: tuple[str, ...]


def find_browser() -> str:
    """The first browser of `NAMES` that is installed."""
    found = next(filter(shutil.which, NAMES), None)
    if found is None:
        raise RuntimeError(
            f"found none of {', '.join(NAMES)}; on Debian: apt install chromium-headless-shell"
        )
    return found


def look(page: Path, width: int, dark: bool = False, browser: str | None = None) -> Seen:
    """Open a page in a window of some CSS pixels, and look at it."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(page, Path(folder, "page.html"))
        frame = Path(folder, "frame.html")
        frame.write_text(FRAME.format(width=width), encoding="utf-8")
        words = ["--allow-file-access-from-files", "--dump-dom", *([DARK] if dark else [])]
        shown, said = _browse(browser, *words, frame.as_uri())
    found = re.search(r"<title>seen (.*?)</title>", shown)
    if found is None:
        raise RuntimeError(f"the browser did not say what it sees: {said[-500:]}")
    seen = json.loads(found[1])
    seen["drawings"] = tuple(Drawing(**each) for each in seen["drawings"])
    return Seen(said=tuple(re.findall(r'CONSOLE\D*\d+\)?\] "(.*)", source: ', said)), **seen)


def screenshot(
    page: Path, image: Path, width: int, height: int, dark: bool = False, browser: str | None = None
) -> None:
    """Write a PNG of the top of a page."""
    words = [f"--window-size={width},{height}", f"--screenshot={image.resolve()}"]
    _browse(browser, *words, *([DARK] if dark else []), page.resolve().as_uri())


def print_page(page: Path, printed: Path, browser: str | None = None) -> None:
    """Write a PDF as the page is printed."""
    words = ("--no-pdf-header-footer", f"--print-to-pdf={printed.resolve()}")
    _browse(browser, *words, page.resolve().as_uri())


def _browse(browser: str | None, *words: str) -> tuple[str, str]:
    """Run the browser: what it prints, and what it logs."""
    name = browser or find_browser()
    with tempfile.TemporaryDirectory() as profile:
        command = [name, *OPTIONS, f"--user-data-dir={profile}", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-500:]}")
    return done.stdout, done.stderr


if __name__ == "__main__":
    try:
        print(find_browser())
    except RuntimeError as error:
        raise SystemExit(str(error)) from None
