"""The site: it is built without a warning, and no link, picture or anchor in it is broken."""

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

DOCS = Path(__file__).parents[2] / "docs"


class Page(HTMLParser):
    """The addresses on a page, the names that lead into it, and how its elements are called."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.anchors: set[str] = set()
        self.tags: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("href", "src"):
                self.addresses.append(value or "")
            elif name in ("id", "name"):
                self.anchors.add(value or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """{path: page} of the site, built in a process of its own as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", str(folder / "trees"), str(DOCS), str(folder / "html")],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return {path: Page(path) for path in sorted((folder / "html").rglob("*.html"))}


def test_links_lead_somewhere(site: dict[Path, Page]) -> None:
    followed = 0
    for path, page in site.items():
        for address in page.addresses:
            link = urlsplit(address)
            if link.scheme in ("http", "https", "mailto"):
                continue
            target = (path.parent / unquote(link.path)).resolve() if link.path else path
            assert target.is_file(), f"{path.name}: {address}"
            if link.fragment and target in site:
                anchors = site[target].anchors
                assert unquote(link.fragment) in anchors, f"{path.name}: {address}"
            followed += 1
    assert followed > 500


def test_every_page_can_be_reached(site: dict[Path, Page]) -> None:
    (root,) = (path for path in site if path.name == "index.html" and path.parent.name == "html")
    linked = {
        (root.parent / unquote(urlsplit(each).path)).resolve() for each in site[root].addresses
    }
    for source in DOCS.rglob("*.md"):
        page = (root.parent / source.relative_to(DOCS)).with_suffix(".html")
        assert page == root or page in linked, source


def test_it_loads_nothing_from_elsewhere(site: dict[Path, Page]) -> None:
    """Scripts, styles and pictures are its own, and equations are drawn without any."""
    for path in site:
        text = path.read_text(encoding="utf-8")
        assert 'src="http' not in text, path
        assert 'stylesheet" href="http' not in text, path
    equations = [page for page in site.values() if "math" in page.tags]
    assert len(equations) >= 3
