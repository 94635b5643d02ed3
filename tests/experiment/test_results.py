"""Results are lines that are whole or not there, with the counts that belong to them."""

import gzip
import json
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foldformer.errors import InputError
from foldformer.experiment.result import Scored
from foldformer.experiment.results import (
    Counted,
    append_plan,
    append_result,
    mend_last_line,
    read_counts,
    read_results,
)


def test_results_come_back(tmp_path: Path, write_results: Callable[..., Path]) -> None:
    path = write_results(tmp_path)
    recorded = read_results(path)
    assert recorded.spec is not None
    assert recorded.spec.title == "Numbers"
    assert len(recorded.results) == 12
    result = recorded.results["recognition/k3-r16/2"]
    assert (result.name, result.hours, result.size.share) == ("recognition/k3-r16/2", 0.3, 50.0)
    counts = recorded.counts(result)
    assert set(counts) == {"spoken", "new voices"}
    assert counts["spoken"].counts.shape == (40, 4)
    assert np.all(counts["spoken"].counts[:, 3] == 8)
    assert counts["spoken"].utterances != counts["new voices"].utterances


def test_of_several_lines_of_a_run_the_last_one_counts(
    tmp_path: Path, write_results: Callable[..., Path]
) -> None:
    write_results(tmp_path)
    path = write_results(tmp_path, changed={"recognition/dense/1": {"hours": 9.0}})
    assert read_results(path).results["recognition/dense/1"].hours == 9.0
    assert path.read_text().count('"plan"') == 1


@pytest.mark.parametrize("torn", ['{"task":"recog', '{"examples":"\u20ac'], ids=["key", "letter"])
def test_a_torn_line_is_none(tmp_path: Path, write_results: Callable[..., Path], torn: str) -> None:
    path = write_results(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + torn.encode()[:-1])
    assert len(read_results(path).results) == 12
    assert mend_last_line(path).startswith(torn[:-1])
    assert path.read_bytes() == whole
    assert mend_last_line(path) == ""
    assert path.read_bytes() == whole
    assert mend_last_line(tmp_path / "nothing") == ""


def test_a_last_line_that_lacks_its_newline_alone_counts(
    tmp_path: Path, write_results: Callable[..., Path]
) -> None:
    """An editor or a copy may leave it so."""
    path = write_results(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole.removesuffix(b"\n"))
    assert len(read_results(path).results) == 12
    assert mend_last_line(path) == ""
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", "line 14: is not JSON"),
        ("[1]", "line 14: configuration: expected a mapping"),
        ('{"task": "recognition"}', "line 14: cell: missing"),
        ('{"plan": {"titel": 1}}', "line 14: plan.titel: unknown key; did you mean 'title'"),
    ],
)
def test_damaged_results_are_named(
    tmp_path: Path, write_results: Callable[..., Path], line: str, message: str
) -> None:
    path = write_results(tmp_path)
    with path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(InputError, match=message):
        read_results(path)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("scores.spoken", {}, "scores.spoken.utterances: missing"),
        ("scores.spoken.wer", {}, "scores.spoken.wer.value: missing"),
        ("scores.spoken.words", "many", "scores.spoken.words: expected a whole number"),
        ("data", {}, "data.train: missing; expected a fingerprint"),
        ("data", {"train": "x", "valid": "x"}, "data.spoken: missing"),
        ("code", {}, "code.revision: missing"),
        ("size", {}, "size.parameters: missing"),
        ("decode", {"weights": "fp8"}, "decode.weights: 'fp8' is none of fp32, int8, int4"),
        ("measure", "cer", "measure: 'cer' is none of wer, bleu"),
        ("similarity", [[1.0, 0.5]], "similarity: expected as many numbers in each row as there"),
        ("similarity", [[1.0, "x"]], r"similarity\[0\]\[1\]: expected a number, got 'x'"),
        ("curve", [], "curve: expected one validation or more"),
        ("curve", [{"step": 1, "seconds": 2}], r"curve\[0\].hours: missing"),
        ("examples", {"spoken": [{"language": "en"}]}, r"examples.spoken\[0\].id: missing"),
    ],
)
def test_a_line_that_lacks_something_is_named_with_the_key(
    tmp_path: Path, write_results: Callable[..., Path], place: str, value: object, message: str
) -> None:
    path = write_results(tmp_path)
    plan, first, *rest = path.read_text().splitlines()
    line = json.loads(first)
    *way, last = place.split(".")
    inner = line
    for key in way:
        inner = inner[key]
    inner[last] = value
    path.write_text("\n".join([plan, json.dumps(line), *rest, ""]))
    with pytest.raises(InputError, match=rf"numbers\.jsonl, line 2: {message}"):
        read_results(path)


def test_counts_of_other_sets_or_utterances_are_named(
    tmp_path: Path, write_results: Callable[..., Path]
) -> None:
    recorded = read_results(write_results(tmp_path))
    result = recorded.results["recognition/dense/1"]
    other = replace(result, scores={"spoken": result.scores["spoken"]})
    with pytest.raises(
        InputError,
        match=r"dense\.1\.json\.gz: has the counts of 40 utterances of spoken, 40 utterances of "
        r"new voices; expected 40 utterances of spoken, as the line of recognition/dense/1 ",
    ):
        recorded.counts(other)
    file = tmp_path / result.counts
    file.write_bytes(gzip.compress(b'{"spoken": {"utterances": "x", "counts": [1, 2]}}'))
    with pytest.raises(InputError, match="expected a row of counts for each utterance"):
        recorded.counts(result)


@pytest.mark.parametrize("other", ["recognition/k9-r16/1", "translation/dense/1"])
def test_counts_of_another_model_are_named(
    tmp_path: Path, write_results: Callable[..., Path], other: str
) -> None:
    """It heard as many utterances of the same name."""
    path = write_results(tmp_path)
    recorded = read_results(path)
    result = recorded.results["recognition/dense/1"]
    result = replace(result, scores={"spoken": result.scores["spoken"]})
    spoken = {"spoken": read_counts(tmp_path / recorded.results[other].counts)["spoken"]}
    append_result(path, result, spoken)
    with pytest.raises(
        InputError,
        match=r"recognition\.dense\.1\.json\.gz: is of another result than the line of "
        r"recognition/dense/1 in numbers\.jsonl: WER on spoken is (27.1875|nan) by the counts, 10",
    ):
        recorded.counts(result)


def test_an_error_rate_of_no_words_at_all_is_that_of_its_counts(
    tmp_path: Path, write_results: Callable[..., Path]
) -> None:
    path = write_results(tmp_path)
    recorded = read_results(path)
    result = recorded.results["recognition/dense/1"]
    none = Scored(value=None, low=None, high=None)
    result = replace(result, scores={"spoken": replace(result.scores["spoken"], wer=none)})
    counts = {"spoken": Counted(utterances="x", counts=np.eye(40, 4) * [1, 1, 1, 0])}
    append_result(path, result, counts)
    assert recorded.counts(result)["spoken"].utterances == "x"


DAMAGED_DEFLATE = gzip.compress(b"{}")[:10] + b"\xff" * 20


@pytest.mark.parametrize(
    "content",
    [None, b"no gzip", b"\x1f\x8b", DAMAGED_DEFLATE, gzip.compress(b"[" * 100_000)],
    ids=["missing", "text", "cut", "damaged", "nested"],
)
def test_damaged_counts_are_named(
    tmp_path: Path, write_results: Callable[..., Path], content: bytes | None
) -> None:
    recorded = read_results(write_results(tmp_path))
    result = recorded.results["recognition/dense/1"]
    file = tmp_path / result.counts
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    with pytest.raises(InputError, match=r"recognition\.dense\.1\.json\.gz: is missing or damaged"):
        recorded.counts(result)


@pytest.mark.parametrize("line", ["[" * 100_000, "1" * 5000])
def test_json_that_python_refuses_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(InputError, match=r"results\.jsonl, line 1: is not JSON"):
        read_results(path)


def test_a_line_is_plain_json(tmp_path: Path, write_results: Callable[..., Path]) -> None:
    """So that other programs can read it."""
    lines = [json.loads(line) for line in write_results(tmp_path).read_text().splitlines()]
    assert [line["seed"] for line in lines[1:]] == [1] * 6 + [2] * 6


def test_a_line_that_the_disk_has_no_room_for_is_said_and_taken_back(
    tmp_path: Path, write_results: Callable[..., Path]
) -> None:
    """The system takes a part of it then, and calls that a success."""
    path = write_results(tmp_path)
    whole = path.read_bytes()
    recorded = read_results(path)
    assert recorded.spec is not None
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 10, limits[1]))
    try:
        with pytest.raises(InputError, match=r"cannot be written: No space left"):
            append_plan(path, replace(recorded.spec, title="Another"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == whole
