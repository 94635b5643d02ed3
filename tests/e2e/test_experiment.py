"""An experiment by the real commands, small: smoke test, record, report."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., tuple[int, str, str]]

EXPERIMENT = """
title: Small
output: runs/small
seeds: [3]
tasks:
  recognition: {{config: base.yaml, measure: wer, sets: {{digits: {corpus}/test.jsonl.gz}}}}
cells:
  dense: {{title: dense, table: sizes, paper: dense}}
  dense-int8:
    title: int8
    table: sizes
    against: dense
    model_of: dense
    decode: {{weights: int8, chunk: 320ms}}
  k3:
    title: K = 3
    table: sizes
    against: dense
    paper: k3-r2
    compress: {{of: dense, uses: 3, rank: 2}}
    set: {{training.steps: 300000}}
smoke:
  set: {{training.steps: 3, training.validate_every: 2}}
"""

BASE = """
output: runs/small
data:
  train: {corpus}/train.jsonl.gz
  valid: {corpus}/dev.jsonl.gz
  max_duration: 30
  augmentation: null
model:
  encoder:
    d_model: 16
    num_layers: 3
    linear: {{kind: residual}}
    mixer: {{kind: attention, num_heads: 2}}
    feed_forward: {{kind: dense, d_ff: 32}}
    subsampling: {{channels: 8}}
    left_context: 16
training: {{steps: 1000000, warmup: 1}}
"""


@pytest.fixture
def recipe(tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "recipe"
    folder.mkdir()
    (folder / "experiment.yaml").write_text(EXPERIMENT.format(corpus=corpus))
    (folder / "base.yaml").write_text(BASE.format(corpus=corpus))
    return folder


def test_a_smoke_test_from_recipe_to_report(recipe: Path, call: Call) -> None:
    code, out, err = call("experiment", recipe, "--smoke", "--jobs", 2)
    assert code == 0, out + err
    results = Path("runs/small-smoke/results/experiment.jsonl")
    assert f"results: {results}" in out
    assert all(len(line) <= 80 for line in out.splitlines() if " left" in line)
    assert not (recipe / "results").exists()
    plan, *lines = map(json.loads, results.read_text().splitlines())
    assert plan["plan"]["title"] == "Small (smoke test)"
    trained, rounded, folded = lines
    assert [each["cell"] for each in lines] == ["dense", "dense-int8", "k3"]
    assert trained["smoke"]
    assert trained["config"]["training"]["steps"] == 3
    assert [row["step"] for row in trained["curve"]] == [2, 3]
    assert trained["hours"] > 0
    assert rounded["decode"]["weights"] == "int8"
    assert len(trained["data"]["train"]) == 16
    assert trained["data"] == rounded["data"]
    assert trained["code"]["digest"] == rounded["code"]["digest"]
    assert folded["config"]["training"]["distillation"]["teacher"].endswith("/dense/3/model")
    assert folded["config"]["training"]["steps"] == 3
    assert folded["compress"]["uses"] == 3
    assert [len(each["similarity"]) for each in lines] == [3, 0, 3]
    assert folded["size"]["share"] < 70 < trained["size"]["share"]
    assert {**folded["code"], "compress": ""} == {**trained["code"], "compress": ""}
    command = json.loads(Path("runs/small-smoke/recognition/dense-int8/3/digits.json").read_text())
    assert "--chunk 320ms --text text --weights int8" in command["measured"]["command"]
    code, out, _ = call("experiment", recipe, "--smoke", "--list")
    assert code == 0
    assert out.count(" done   ") == 3
    assert out.endswith(" of one core; all done\n")
    model = "runs/small-smoke/recognition/dense/3/model"
    code, out, err = call("report", results, "-o", "report.html", "--layers", model, "--markdown")
    assert code == 0, err
    assert "A smoke test, 3 of 3 runs" in out
    assert "Similarity of layers" in Path("report.html").read_text()
    code, out, _ = call("report", recipe)
    assert code == 0
    assert "None of the 3 planned runs has a result yet." in out


def test_mistakes_are_one_line(recipe: Path, call: Call) -> None:
    for words, message in (
        (("experiment", recipe, "--jobs", 0), "--jobs: expected 1 or more, got 0"),
        (("experiment", recipe, "--only", "k9"), "--only k9: matches no run"),
        (
            ("experiment", "nowhere"),
            "nowhere: no such file or folder; expected a folder with experiment.yaml",
        ),
        (("report", "nowhere.jsonl"), "nowhere.jsonl: no such file; expected results"),
        (("report", recipe, "--layers", "m"), "--layers: is a part of the page"),
        (("report", recipe, "-o", recipe), "is a folder; -o names a file"),
        (("report",), "RESULTS: missing; expected results of `foldformer experiment`"),
        (("report", "--markdown", "--update", "a.md"), "RESULTS: missing"),
        (("report", "--update", recipe / "base.yaml"), "base.yaml: quotes no results"),
    ):
        code, out, err = call(*words)
        assert (code, out) == (2, "")
        assert err.startswith("foldformer: error: ")
        assert message in err
        assert err.count("\n") == 1


def test_documents_are_brought_up_to_date(
    tmp_path: Path, write_results: Callable[..., Path], call: Call
) -> None:
    results = write_results(tmp_path)
    document = tmp_path / "README.md"
    mark = "<!-- result: numbers.jsonl recognition/dense spoken wer -->"
    document.write_text(f"WER 1{mark}\n")
    assert call("report", "--update", document) == (0, "", "")
    assert document.read_text() == f"WER 9.53{mark}\n"
    # Results that are named are shown, too.
    code, out, err = call("report", results, "--update", document)
    assert (code, out.splitlines()[0], err) == (0, "## Numbers", "")
    # What a link leads to is written, not the link.
    document.write_text(f"WER 1{mark}\n")
    link = tmp_path / "LINK.md"
    link.symlink_to(document)
    assert call("report", "--update", link) == (0, "", "")
    assert link.is_symlink()
    assert document.read_text() == f"WER 9.53{mark}\n"
    # Of several documents all are written, or none.
    document.write_text(f"WER 1{mark}\n")
    other = tmp_path / "other.md"
    other.write_text(f"WER 1{mark.replace('dense', 'none')}\n")
    code, out, err = call("report", "--update", document, other)
    assert (code, out) == (2, "")
    assert "other.md: quotes wer of recognition/none on spoken, of which there is no result" in err
    assert document.read_text().startswith("WER 1<")
