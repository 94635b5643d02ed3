"""Training curves: whose they are, where they begin, what is said of them."""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from foldformer.experiment.results import read_results
from foldformer.experiment.spec import CompressSpec
from foldformer.report.evidence import read_evidence
from foldformer.report.training_curves import training_curves

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, write_results: Write) -> Write:
    """Write results of which k9-r16 is compressed from dense, in a table of its own."""
    spec = read_results(write_results(tmp_path / "first")).spec
    assert spec is not None
    made = CompressSpec(of="dense", uses=9, rank=16)
    cells = {
        **spec.cells,
        "k9-r16": replace(spec.cells["k9-r16"], compress=made, table="compressed"),
    }
    return lambda **more: write_results(tmp_path, spec=replace(spec, cells=cells), **more)


def ends(svg: str) -> list[float]:
    """Where the lines of a figure begin and end, across."""
    lines = [each.get("points", "").split() for each in ET.fromstring(svg).iter("polyline")]
    return [float(line[place].split(",")[0]) for line in lines for place in (0, -1)]


def test_what_is_compressed_begins_where_its_original_has_ended(write: Write) -> None:
    """Beside the model that it is compared with, which stands in another table."""
    found = {each["heading"]: each for each in training_curves(read_evidence(write()))}
    compressed = found["compressed: recognition"]
    assert [said for _, said in compressed["legend"]] == [
        "dense (2 seeds)",
        "K = 9, R = 16 (2 seeds, after the hours of dense)",
    ]
    # Validations after 0.1, 0.2 and 0.3 hours; dense has heard 0.3.
    dense, dense_end, begin, end = ends(compressed["svg"])
    hour = (dense_end - dense) / 0.2
    assert begin == pytest.approx(dense + 0.3 * hour, abs=0.2)
    assert end == pytest.approx(dense + 0.5 * hour, abs=0.2)
    assert [said for _, said in found["paper: recognition"]["legend"]] == [
        "dense (2 seeds)",
        "K = 3, R = 16 (2 seeds)",
    ]


def test_hours_that_are_not_known_are_said_to_be_missing(write: Write) -> None:
    evidence = read_evidence(write(without=("recognition/dense/2",)))
    found = {each["heading"]: each for each in training_curves(evidence)}
    assert [said for _, said in found["compressed: recognition"]["legend"]] == [
        "dense (1 seed)",
        "K = 9, R = 16 (2 seeds, without the hours of dense)",
    ]


def test_the_validation_data_are_named(write: Write) -> None:
    """Which need not be like those of the tables."""
    config = {"config": {"data": {"valid": ["a/dev.jsonl", "b/dev.jsonl"]}}}
    evidence = read_evidence(write(changed={f"recognition/dense/{n}": config for n in (1, 2)}))
    found = {each["heading"]: each["valid"] for each in training_curves(evidence)}
    assert found["paper: recognition"] == "a/dev.jsonl, b/dev.jsonl"
    assert found["paper: translation"] == ""
