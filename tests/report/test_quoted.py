"""What documents quote of results is found, kept true, and refused where there is none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from foldformer.errors import InputError
from foldformer.report.evidence import read_evidence
from foldformer.report.quoted import copied, quotes, updated

Write = Callable[..., Path]

DOCUMENT = """# Results

<!-- results: results/numbers.jsonl paper recognition "new voices" -->
old
<!-- /results -->

WER is 1<!-- result: results/numbers.jsonl recognition/k3-r16 spoken wer --> %, which is
(+0.5<!-- result: results/numbers.jsonl recognition/k3-r16 spoken change --> %) worse, at 2
<!-- result: results/numbers.jsonl recognition/k3-r16 spoken mb --> MB.

```markdown
1<!-- result: none.jsonl none/none none wer -->
```
"""


@pytest.fixture
def document(tmp_path: Path, write_results: Write) -> Path:
    write_results(tmp_path / "results")
    path = tmp_path / "README.md"
    path.write_text(DOCUMENT)
    return path


def test_figures_are_written_anew(document: Path) -> None:
    text = updated(document)
    assert "**paper: recognition, new voices.** 12 of 12 planned runs have a result.\n\n" in text
    assert "| K = 3, R = 16 | 50.0 % | 2.00 | 10.6 [" in text
    assert "\nold\n" not in text
    assert "WER is 12.0<!-- result:" in text
    assert "(+26.2<!-- result:" in text
    document.write_text(text)
    assert updated(document) == text
    assert quotes(document) == 4


def test_a_figure_that_was_changed_is_found(document: Path) -> None:
    text = updated(document)
    document.write_text(text.replace("WER is 12.0", "WER is 11.0"))
    assert updated(document) == text


def test_a_figure_that_was_copied_by_hand_is_found(document: Path) -> None:
    text = updated(document)
    document.write_text(text)
    evidence = read_evidence(document.parent / "results" / "numbers.jsonl")
    assert copied(document, evidence) == []
    (row,) = [line for line in text.splitlines() if line.startswith("| K = 3, R = 16 |")]
    score, change = (cell.partition(" ±")[0].strip() for cell in row.split("|")[4:6])
    document.write_text(f"{text}\nIt is {score}, and {change} % more.\n")
    assert copied(document, evidence) == sorted([score, change])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("k3-r16 spoken wer", "k3-r99 spoken wer", "of recognition/k3-r99 on spoken, of which"),
        ("k3-r16 spoken wer", "k3-r16 spoken bleu", "quotes bleu of recognition/k3-r16"),
        ("k3-r16 spoken wer", "k3-r16 spoken", "expected 4 words, got 3"),
        ("k3-r16 spoken wer", "k3-r16 test's wer", "README.md: <!-- result.* -->: a quote is not"),
        ('"new voices"', "voices", "quotes the table paper recognition voices; there are: paper r"),
        ("results/numbers.jsonl paper", "none.jsonl paper", "no such file; expected results"),
        ("old\n", "<!-- results: a.jsonl a b c -->\n", "new voices. -->: is not closed"),
    ],
)
def test_what_is_not_there_cannot_be_quoted(
    document: Path, old: str, new: str, message: str
) -> None:
    document.write_text(DOCUMENT.replace(old, new))
    with pytest.raises(InputError, match=message):
        updated(document)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("k3-r16 spoken wer", "k3-r16\nspoken wer"),
        ("<!-- /results -->", "<!-- /result -->"),
        ("<!-- /results -->", ""),
        ("<!-- results: results", "<!-- results results"),
    ],
)
def test_a_mark_that_is_none_by_its_form_is_refused(document: Path, old: str, new: str) -> None:
    """What it was meant to hold would grow old in silence."""
    assert old in DOCUMENT
    document.write_text(DOCUMENT.replace(old, new))
    with pytest.raises(InputError, match=r"README\.md: <!-- /?results?.*: is no whole mark"):
        updated(document)


def test_a_figure_may_be_bold(document: Path) -> None:
    bold = DOCUMENT.replace("WER is 1<!--", "WER is **1<!--").replace("wer --> %,", "wer -->** %,")
    document.write_text(bold)
    assert "WER is **12.0<!-- result:" in updated(document)


def test_a_missing_result_cannot_be_quoted(tmp_path: Path, write_results: Write) -> None:
    gone = ("recognition/k3-r16/1", "recognition/k3-r16/2")
    write_results(tmp_path / "results", without=gone)
    path = tmp_path / "README.md"
    path.write_text(DOCUMENT)
    with pytest.raises(InputError, match="of which there is no result"):
        updated(path)


def test_a_document_that_quotes_nothing_is_refused(tmp_path: Path) -> None:
    """Marks within code that it shows are none."""
    path = tmp_path / "README.md"
    path.write_text("".join(DOCUMENT.partition("```")[1:]))
    with pytest.raises(InputError, match=r"README\.md: quotes no results; expected a mark"):
        updated(path)


NUMBERS = '{"k3": {"wer": 0.8149, "more": -0.04}, "bytes": 7080692, "whole": true}'


def test_numbers_in_json_are_quoted_by_their_keys(tmp_path: Path) -> None:
    (tmp_path / "numbers.json").write_text(NUMBERS)
    document = tmp_path / "README.md"
    document.write_text(
        "WER 1<!-- result: numbers.json k3.wer 2 --> (9<!-- result: numbers.json k3.more 1 -->), "
        "5<!-- result: numbers.json bytes 0 --> bytes"
    )
    text = updated(document)
    assert text.replace("<!-- result: numbers.json ", "<").replace(" -->", ">") == (
        "WER 0.81<k3.wer 2> (0.0<k3.more 1>), 7080692<bytes 0> bytes"
    )


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ("numbers.json k3.bleu 1", r"README\.md: quotes k3\.bleu of .*numbers\.json, which is no"),
        ("numbers.json bytes.k3 1", "quotes bytes.k3 of .*, which is no number"),
        ("numbers.json whole 1", "quotes whole of .*, which is no number"),
        ("numbers.json k3.wer", "expected 3 words, got 2"),
        ("numbers.json k3.wer x", "numbers.json k3.wer x -->: expected how many decimals"),
        ("none.json k3.wer 1", "quotes .*none.json, which cannot be read: "),
        ("README.json k3.wer 1", "quotes .*README.json, which cannot be read: "),
    ],
)
def test_numbers_that_are_not_there_cannot_be_quoted(
    tmp_path: Path, mark: str, message: str
) -> None:
    (tmp_path / "numbers.json").write_text(NUMBERS)
    (tmp_path / "README.json").write_text("no JSON")
    document = tmp_path / "README.md"
    document.write_text(f"1<!-- result: {mark} -->")
    with pytest.raises(InputError, match=message):
        updated(document)
