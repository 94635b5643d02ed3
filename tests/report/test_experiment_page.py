"""The page of an experiment: whole, self-contained, and safe against what results hold."""

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from foldformer.experiment.result import Code, Example
from foldformer.experiment.results import read_results
from foldformer.measure.similarity import Similarity
from foldformer.report.estimates import Estimate
from foldformer.report.evidence import read_evidence
from foldformer.report.experiment_page import experiment_page

EVIL = "<script>alert(1)</script>"
Write = Callable[..., Path]
VOID = ("meta", "br")


class Reader(HTMLParser):
    """The tags, the addresses and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.labels: set[str] = set()
        self.names: set[str] = set()
        self.empty = text.count('<td data-label="change, %"></td>')
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        self.labels |= {value or "" for name, value in attrs if name == "data-label"}
        self.names |= {value or "" for name, value in attrs if name == "id"}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data


def rendered(*places: Path, similarity: Similarity | None = None) -> Reader:
    page = experiment_page([read_evidence(place) for place in places], similarity)
    reader = Reader(page)
    assert reader.open == []
    # Nothing is loaded: what addresses there are lead to places of the page.
    assert {each[1:] for each in reader.addresses if each[0] == "#"} <= reader.names
    assert all(each[0] == "#" for each in reader.addresses)
    assert "script" not in reader.tags
    assert "url(" not in page
    assert "@import" not in page
    return reader


def test_a_page_shows_all_there_is(tmp_path: Path, write_results: Write) -> None:
    cosines = Similarity(model="runs/m", cosines=((1.0, 0.5), (0.5, 1.0)))
    reader = rendered(write_results(tmp_path), similarity=cosines)
    for part in (
        "12 of 12 planned runs have a result.",
        "paper: recognition, new voices",
        "paper: translation, spoken",
        "13.52",
        "arXiv:2310.02489",
        "Training curves",
        "K = 9, R = 16",
        "written as ",
        "recognition/k3-r16/2",
        "0123456789ab (fedcba9876543210)",
        "torch 2.0",
        "processor: a processor",
        "layers 0 and 1: 0.50",
    ):
        assert part in reader.text
    assert reader.empty == 3  # the change of dense, in three tables: a phone leaves its line out
    # 3 scatters, 2 figures of curves with 3 signs each, 1 of similarities.
    assert reader.tags.count("svg") == 3 + 2 * (1 + 3) + 1
    assert {"WER %", "BLEU", "change, %", "paper: WER %", "MB"} <= reader.labels


def test_a_page_without_results_says_so(tmp_path: Path, write_results: Write) -> None:
    names = [f"{t}/{c}/{s}" for t in ("recognition", "translation")
             for c in ("dense", "k3-r16", "k9-r16") for s in (1, 2)]  # fmt: skip
    reader = rendered(write_results(tmp_path, without=tuple(names)))
    assert "None of the 12 planned runs has a result yet." in reader.text
    text = " ".join(reader.text.split())
    assert "3 tables have no result yet: all of their models are missing" in text
    for name in ("recognition, spoken", "recognition, new voices", "translation, spoken"):
        assert f"paper: {name}. Missing: dense; K = 3, R = 16; K = 9, R = 16." in text
    assert "table" not in reader.tags
    assert "svg" not in reader.tags


def test_a_list_of_contents_leads_to_everything(tmp_path: Path, write_results: Write) -> None:
    path = write_results(tmp_path)
    reader = rendered(path, path)
    parts = ("1", "2", "3", "curves", "examples", "origin")
    assert reader.addresses == [
        f"#e{number}{part}" for number in (0, 1) for part in ("", *(f"-{each}" for each in parts))
    ]
    assert len(set(reader.addresses)) == len(reader.names)


def test_examples_open_where_there_is_something_to_see(
    tmp_path: Path, write_results: Write
) -> None:
    """Not with a set of which every word is right, nor with one of which none is."""
    said = {"id": "a", "language": "en", "reference": "one two three"}
    heard = {"spoken": "one two three", "new voices": "one too three"}
    examples = {
        name: (Example(hypothesis=hypothesis, **said),) for name, hypothesis in heard.items()
    }
    changed = {
        f"recognition/{cell}/1": {"examples": examples} for cell in ("dense", "k3-r16", "k9-r16")
    } | {
        f"translation/{cell}/1": {"examples": {"spoken": (Example(hypothesis="", **said),)}}
        for cell in ("dense", "k3-r16", "k9-r16")
    }
    page = experiment_page([read_evidence(write_results(tmp_path, changed=changed))])
    assert re.findall(r"<details open>\n<summary>(.*?)</summary>", page) == [
        "recognition, new voices"
    ]


def test_a_smoke_test_is_no_result(tmp_path: Path, write_results: Write) -> None:
    names = [f"{t}/{c}/{s}" for t in ("recognition", "translation")
             for c in ("dense", "k3-r16", "k9-r16") for s in (1, 2)]  # fmt: skip
    path = write_results(tmp_path, changed={name: {"smoke": True} for name in names})
    text = rendered(path).text
    assert "A smoke test, 12 of 12 runs: it shows that cells run; its figures mean nothing." in text


def test_the_page_says_what_the_data_are(tmp_path: Path, write_results: Write) -> None:
    spec = read_results(write_results(tmp_path)).spec
    assert spec is not None
    said = replace(spec, about="Half an hour, put together.", about_sets={"spoken": "two voices"})
    reader = rendered(write_results(tmp_path, spec=said))
    text = " ".join(reader.text.split())
    assert "Half an hour, put together." in text
    assert text.count("spoken: two voices.") == 2  # recognition and translation
    assert "by the row's own training alone, as often as it heard it" in text


def test_marks_are_on_the_page(tmp_path: Path, write_results: Write) -> None:
    other = {"code": {"revision": "r", "digest": "x"}}
    changed = {f"recognition/k3-r16/{seed}": other for seed in (1, 2)}
    changed["recognition/k9-r16/2"] = other
    text = rendered(write_results(tmp_path, changed=changed)).text
    assert "(other code)" in text
    assert "none: other code" in text
    assert "(seed 2: other code)" in text


def test_similarities_of_results_are_drawn_side_by_side(
    tmp_path: Path, write_results: Write
) -> None:
    """Of the first task's models, each by its first seed that has one; older lines have none."""
    dense, shared = ((1.0, 0.0), (0.0, 1.0)), ((1.0, 0.97), (0.97, 1.0))
    changed = {
        "recognition/dense/1": {"similarity": dense},
        "recognition/k3-r16/2": {"similarity": shared},
        "translation/k9-r16/1": {"similarity": shared},
    }
    reader = rendered(write_results(tmp_path, changed=changed))
    assert "#e0-similarity" in reader.addresses
    for part in ("dense, seed 1", "K = 3, R = 16, seed 2", "layers 0 and 1: 0.97"):
        assert reader.text.count(part) >= 1
    assert reader.tags.count("svg") == 3 + 2 * (1 + 3) + 2
    assert "similarity" not in rendered(write_results(tmp_path / "older")).text.lower()


def test_what_is_marked_is_in_no_figure(tmp_path: Path, write_results: Write) -> None:
    """Neither in that of scores nor in that of training; the rest stays in both."""
    code = {"code": Code(revision="r", digest="x")}
    other = {f"recognition/k3-r16/{seed}": code for seed in (1, 2)}
    other["translation/k9-r16/1"] = code  # whose other seed stays
    page = experiment_page([read_evidence(write_results(tmp_path, changed=other))])
    charts = re.findall('aria-label="(.*?)"', page)
    assert len(charts) == 3 + 2  # scores of each table, training of each task
    (recognition,) = [each for each in charts if "WER %, validation" in each]
    assert recognition.endswith("of dense, K = 9, R = 16")
    assert ">K = 9, R = 16 (2 seeds)<" in re.sub(r"</svg> ", ">", page)
    assert sum("K = 3, R = 16" in each for each in charts) == 2  # of translation


@pytest.mark.parametrize(("score", "figures"), [(0.004, 0), (89.0, 3), (104.0, 1)])
def test_there_is_no_figure_of_scores_that_mean_nothing(
    tmp_path: Path, write_results: Write, score: float, figures: int
) -> None:
    """Neither of models that make no error, nor of those that learnt nothing; a BLEU of 104 is."""
    evidence = read_evidence(write_results(tmp_path))
    same = Estimate(value=score, low=score, high=score, seeds={1: score})
    tables = [
        replace(each, rows=tuple(replace(row, score=same) for row in each.rows))
        for each in evidence.tables
    ]
    page = experiment_page([replace(evidence, tables=tuple(tables))])
    assert len(re.findall('aria-label=".*?; on the front: ', page)) == figures


def test_each_task_has_data_of_its_own(tmp_path: Path, write_results: Write) -> None:
    """The same names for other data, which is no mixture."""
    data = {"train": "t", "valid": "v", "spoken": "s"}
    changed = {
        f"translation/{cell}/{seed}": {"data": data}
        for cell in ("dense", "k3-r16", "k9-r16")
        for seed in (1, 2)
    }
    page = experiment_page([read_evidence(write_results(tmp_path, changed=changed))])
    listed = dict(re.findall(r"<dt>data: (.*?)</dt><dd><code>(.*?)</code>", page))
    assert listed["recognition, train"] == "0123456789abcdef"
    assert listed["translation, train"] == "t"


def test_what_results_hold_stays_text(tmp_path: Path, write_results: Write) -> None:
    spec = read_results(write_results(tmp_path)).spec
    assert spec is not None
    example = {"id": EVIL, "language": EVIL, "reference": f"a {EVIL}", "hypothesis": f"{EVIL} b"}
    changed = {
        "recognition/dense/1": {
            "examples": {"spoken": (example,)},
            "machine": {"processor": EVIL},
            "versions": {"torch": EVIL},
            "code": {"revision": EVIL, "digest": "x"},
        }
    }
    cells = {**spec.cells, "dense": replace(spec.cells["dense"], title=EVIL)}
    path = write_results(tmp_path, changed=changed, spec=replace(spec, cells=cells, title=EVIL))
    assert rendered(path).text.count(EVIL) > 5


@pytest.mark.parametrize("number", [1, 2])
def test_several_experiments_on_one_page(tmp_path: Path, write_results: Write, number: int) -> None:
    path = write_results(tmp_path)
    assert rendered(*[path] * number).text.count("numbers.jsonl: 12 of 12") == number
