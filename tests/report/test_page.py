"""The page: whole, self-contained, and safe against what manifests hold."""

from html.parser import HTMLParser

from foldformer.decode.utterances import Evaluated, Utterance
from foldformer.report.page import page
from foldformer.report.scores import results_of

EVIL = "<script>alert(1)</script>"
MEASURED = {"model": f"runs/{EVIL}", "against": f"other{EVIL}", "command": f"x '{EVIL}' &amp;"}


class Reader(HTMLParser):
    """The tags, the addresses and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "rect", "line", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("meta", "rect", "line", "circle"):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(*utterances: Utterance, against: Evaluated | None = None) -> Reader:
    results = results_of(Evaluated(list(utterances), 60.0, 2.0), against)
    reader = Reader(page(results | {"measured": MEASURED}))
    assert reader.open == []
    assert reader.addresses == []
    assert "script" not in reader.tags
    return reader


STREAM = (
    Utterance("u1", "en", "one two three", "one too", 2.0, (("one", 0.5), ("two", 1.0),
              ("three", 1.5)), (0.6475, 1.6)),
    Utterance("u2", "es", "uno", "uno dos", 2.0, (("uno", 0.5),), (0.9675, 1.6)),
)  # fmt: skip


def test_a_page_shows_all_there_is() -> None:
    text = rendered(*STREAM, against=Evaluated(list(STREAM[::-1]), 60.0, None)).text
    for part in (
        "2 utterances, 1.0 minutes of speech",
        "word emission delay",
        "Compared with other",
        "all, WER %",  # the heading where the page is narrow
        "sacreBLEU: nrefs:1|bs:1000",
        "30 x real time",
        "written as too",
        "deleted: three",
        "inserted: dos",
    ):
        assert part in text


def test_errors_are_marked_by_signs_and_elements_too() -> None:
    reader = rendered(*STREAM)
    assert {"ins", "del"} <= reader.tags
    for mark in ("≠", "+", "\N{MINUS SIGN}"):
        assert reader.text.count(mark) >= 2  # in the legend, and at the word


def test_texts_of_manifests_stay_text() -> None:
    evil = Utterance(f'i"{EVIL}', f'en" onload="{EVIL}', f"one {EVIL} two", f"one {EVIL}x", 2.0)
    other = Utterance("b", "", f"{EVIL}", "", 1.0)
    reader = rendered(evil, other, against=Evaluated([other, evil], 60.0, None))
    assert f'i"{EVIL}' in reader.text
    assert f"Evaluation of runs/{EVIL}" in reader.text
    assert f"x '{EVIL}' &amp;" in reader.text


def test_without_words_errors_or_stream() -> None:
    text = rendered(Utterance("a", "", "", "")).text
    assert "No reference holds a word, so there is no error rate." in text
    assert "No utterance has an error" in text
    assert "Latency" not in text
