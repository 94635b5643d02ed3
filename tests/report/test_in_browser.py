"""The pages in a browser: on a phone, on a desk, in the dark, in print; and it has no complaint."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from _browser import PHONE, Seen, look, print_page
from foldformer.compress.planning.made import Made
from foldformer.compress.planning.pictures import Pictures
from foldformer.measure.similarity import Similarity
from foldformer.report.evidence import read_evidence
from foldformer.report.experiment_page import experiment_page
from foldformer.report.plan_page import plan_page

DESK = 1200
WIDE = 1152  # from here on scores are not broken


@dataclass(frozen=True)
class Page:
    """A page, and how many drawings it has: with the signs of legends, and figures alone."""

    path: Path
    drawings: int
    figures: int


@pytest.fixture(scope="module", params=["experiment", "plan"])
def page(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    write_results: Callable[..., Path],
    made: Made,
    drawn: Pictures,
) -> Page:
    folder = tmp_path_factory.mktemp("page")
    path = folder / "report.html"
    if request.param == "experiment":
        path.write_text(experiment(folder, write_results), encoding="utf-8")
        # 3 scatters, 2 figures of curves with 3 signs and, without the marked row, 2; similarities
        # of two results, and of a model.
        return Page(path, 3 + (1 + 3) + (1 + 2) + 2 + 1, 8)
    said = plan_page(made, drawn, model="m" * 200, precision="int8", calibrated=True)
    path.write_text(said, encoding="utf-8")
    # The curve with 4 signs, 2 of similarities, 1 spectrum.
    return Page(path, (1 + 4) + 2 + 1, 4)


def experiment(folder: Path, write_results: Callable[..., Path]) -> str:
    """A run is missing, others are of other code, a name is long."""
    other = {"revision": "r", "digest": "x"}
    long = {"id": "x" * 200, "language": "en", "reference": "y" * 300, "hypothesis": "z" * 300}
    alike = tuple(tuple(1 - abs(i - j) / 18 for j in range(18)) for i in range(18))
    results = write_results(
        folder,
        without=("recognition/k9-r16/2",),
        changed={
            "recognition/dense/1": {"examples": {"spoken": (long,)}, "similarity": alike},
            "recognition/k3-r16/1": {"similarity": alike},
            **{f"translation/k9-r16/{seed}": {"code": other} for seed in (1, 2)},
        },
    )
    cosines = Similarity(model="runs/m", cosines=((1.0, 0.5), (0.5, 1.0)))
    return experiment_page([read_evidence(results)], cosines)


def check_whole(page: Page, seen: Seen, width: int) -> None:
    """Nothing is wider than the window, nothing is drawn beyond an edge, nothing was refused."""
    assert seen.said == ()
    assert seen.width <= width
    assert seen.height > 1000
    assert len(seen.drawings) == page.drawings
    for drawing in seen.drawings:
        assert drawing.width > 0
        assert drawing.height > 0
        assert drawing.drawn > 0
        assert drawing.cut <= 0


def test_on_a_phone(page: Page) -> None:
    seen = look(page.path, PHONE)
    check_whole(page, seen, PHONE)
    large = [each for each in seen.drawings if each.width > 100]
    assert len(large) == page.figures
    assert all(each.width > 0.85 * PHONE for each in large)
    assert (seen.ground, seen.ink) == ("rgb(255, 255, 255)", "rgb(27, 29, 34)")


def test_on_a_desk_in_the_dark(page: Page) -> None:
    seen = look(page.path, DESK, dark=True)
    check_whole(page, seen, DESK)
    assert (seen.ground, seen.ink) == ("rgb(21, 23, 27)", "rgb(233, 234, 237)")


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the committed recipe with all that it plans, and of its ablations."""
    recipe = Path(__file__).parents[2] / "recipes" / "paper_table"
    path = tmp_path_factory.mktemp("committed") / "report.html"
    evidence = [
        read_evidence(place) for place in (recipe, recipe / "ablations.yaml", recipe / "rates.yaml")
    ]
    path.write_text(experiment_page(evidence), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [PHONE, 660, 700, 768, 900, WIDE, DESK])
def test_the_page_of_the_recipe_is_as_wide_as_the_window(committed: Path, width: int) -> None:
    """Its tables have up to nine columns."""
    seen = look(committed, width)
    assert seen.said == ()
    assert seen.width <= width


def test_where_there_is_room_a_score_has_one_line(committed: Path) -> None:
    assert look(committed, WIDE).height < 0.95 * look(committed, WIDE - 1).height


def test_three_seeds_have_room_on_a_tablet(page: Page) -> None:
    assert look(page.path, 660).width <= 660


def test_in_print(page: Page, tmp_path: Path) -> None:
    printed = tmp_path / "report.pdf"
    print_page(page.path, printed)
    content = printed.read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.count(b"/Type /Page\n") > 1


def test_what_is_closed_is_not_printed(committed: Path, tmp_path: Path) -> None:
    """Of the examples the set that is open."""
    opened = tmp_path / "opened.html"
    text = committed.read_text(encoding="utf-8")
    opened.write_text(re.sub("<details( class=.*?)?>", "<details open>", text), encoding="utf-8")
    pages = []
    for path in (committed, opened):
        print_page(path, tmp_path / "report.pdf")
        pages.append((tmp_path / "report.pdf").read_bytes().count(b"/Type /Page\n"))
    assert pages[0] < 0.75 * pages[1]


def test_the_browser_complains_of_what_a_page_must_not_do(tmp_path: Path) -> None:
    """So that its silence about a page means something."""
    path = tmp_path / "page.html"
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    path.write_text(
        f'<!DOCTYPE html><meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<body style="width: 600px"><img src="picture.png"><script>1</script>'
        '<figure><svg viewBox="0 0 9 9"><rect x="5" width="9" height="9"/></svg></figure>'
    )
    seen = look(path, PHONE)
    assert len(seen.said) == 2
    assert "picture.png" in seen.said[0]
    assert "inline script" in seen.said[1]
    assert seen.width > PHONE
    assert seen.drawings[0].cut == 5
