"""Tables of experiments: figures against plain computation; missing, foreign, mixed results."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foldformer.decode.compare import compare
from foldformer.decode.measures import MEASURES
from foldformer.decode.score import score_text
from foldformer.errors import InputError
from foldformer.experiment.results import Counted, Recorded, append_plan, read_results
from foldformer.experiment.spec import CellSpec
from foldformer.report.estimates import Estimate, Figures
from foldformer.report.evidence import Evidence, read_evidence
from foldformer.report.markdown import markdown, markdown_table
from foldformer.report.paper import paper
from foldformer.report.tables import Row, Table, tables_of
from foldformer.spec import from_dict

Write = Callable[..., Path]


def table(evidence: Evidence, task: str = "recognition", name: str = "spoken") -> Table:
    (found,) = [each for each in evidence.tables if (each.task, each.set) == (task, name)]
    return found


def rows(evidence: Evidence, task: str = "recognition", name: str = "spoken") -> dict[str, Row]:
    return {row.cell: row for row in table(evidence, task, name).rows}


def counts_of(recorded: Recorded, cell: str, seed: int) -> np.ndarray:
    result = recorded.results[f"recognition/{cell}/{seed}"]
    return recorded.counts(result)["spoken"].counts


def test_scores_and_changes_are_means_over_seeds_resampled_together(
    tmp_path: Path, write_results: Write
) -> None:
    path = write_results(tmp_path)
    recorded, found = read_results(path), rows(read_evidence(path))
    here, there = ([counts_of(recorded, cell, s) for s in (1, 2)] for cell in ("k3-r16", "dense"))
    # Error rates of seeds of the same references: the rate over all of them.
    rate = 100 * sum(c[:, :3].sum() for c in here) / sum(c[:, 3].sum() for c in here)
    other = 100 * sum(c[:, :3].sum() for c in there) / sum(c[:, 3].sum() for c in there)
    score, change = found["k3-r16"].score, found["k3-r16"].change
    assert score is not None
    assert change is not None
    assert score.value == pytest.approx(rate)
    assert change.value == pytest.approx(100 * (rate / other - 1))
    errors = [sum(c[:, :3].sum(1) for c in side) for side in (here, there)]
    drawn = np.random.default_rng(1).integers(0, 40, size=(20000, 40))
    ratios = 100 * (errors[0][drawn].sum(1) / errors[1][drawn].sum(1) - 1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    assert change.low == pytest.approx(low, abs=2.5)
    assert change.high == pytest.approx(high, abs=2.5)
    single = [100 * c[:, :3].sum() / c[:, 3].sum() for c in here]
    assert list(score.seeds.values()) == pytest.approx(single)
    assert score.spread == pytest.approx(np.std(single, ddof=1))
    assert found["dense"].change is None
    assert found["dense"].refused is None


def test_a_figure_of_one_run_is_that_of_an_evaluation() -> None:
    """The same texts scored by `foldformer evaluate` have the same interval."""
    said = [(f"a b c {n}", f"a x c {n}" if n % 3 else f"a b c {n}") for n in range(30)]
    texts = list(zip(*said, strict=True))
    score = score_text(*texts).words
    counts = MEASURES["wer"].counts(*texts)
    figures = Figures("wer", {"r": Counted(utterances="", counts=counts)})
    found = figures.score({1: "r"})
    assert (found.value, found.low, found.high) == (score.percent, score.low, score.high)
    assert found.spread is None
    # A score of itself never changes, however it is resampled.
    same = figures.change({1: "r"}, {1: "r"})
    assert same is not None
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_no_change_against_nothing_wrong() -> None:
    perfect = Counted(utterances="", counts=np.array([[0.0, 0, 0, 4]] * 5))
    assert Figures("wer", {"r": perfect}).change({1: "r"}, {1: "r"}) is None


def test_sets_without_a_word_say_nothing_of_a_change() -> None:
    """As `compare` has it; a figure of no words at all has none."""
    counts = [[[n, 0, 0, 4], [0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]] for n in (2, 3)]
    named = {
        name: Counted(utterances="", counts=np.array(each, float))
        for name, each in zip("ab", counts, strict=True)
    }
    change = Figures("wer", named).change({1: "a"}, {1: "b"})
    expected = compare(MEASURES["wer"], *(np.array(each, float) for each in counts)).relative
    assert change is not None
    assert expected is not None
    assert (change.value, change.low) == pytest.approx((expected.value, expected.low))
    assert change.high == pytest.approx(expected.high)
    silent = Counted(utterances="", counts=np.zeros((1, 4)))
    assert Figures("wer", {"r": silent}).change({1: "r"}, {1: "r"}) is None


def test_missing_cells_are_missing(tmp_path: Path, write_results: Write) -> None:
    gone = ("recognition/k9-r16/1", "recognition/k9-r16/2", "recognition/k3-r16/2")
    evidence = read_evidence(write_results(tmp_path, without=gone))
    assert (evidence.done, evidence.planned) == (9, 12)
    found = rows(evidence)
    assert found["k9-r16"].score is None
    assert found["k9-r16"].change is None
    assert list(found["k3-r16"].score.seeds) == list(found["k3-r16"].change.seeds) == [1]
    shown = markdown([evidence])
    assert "9 of 12 planned runs have a result." in shown
    assert "| K = 9, R = 16 |  |  | missing |  | 0 of 2 | 14.62 | +10.1 |" in shown
    assert "Missing: planned, and not run yet." in shown


def test_a_change_over_fewer_seeds_than_the_scores_says_so(
    tmp_path: Path, write_results: Write
) -> None:
    """Its cell has seed 1 alone; so the score of dense is over more than the change is."""
    evidence = read_evidence(write_results(tmp_path, without=("recognition/k3-r16/2",)))
    found = rows(evidence)
    assert (found["k3-r16"].fewer, found["k9-r16"].fewer) == ((1,), ())
    shown = markdown([evidence])
    lines = [each for each in shown.splitlines() if "| 1 of 2 |" in each]
    assert len(lines) == 2  # of recognition: spoken, new voices
    assert all("] (seed 1) | 1 of 2 | 13.52 |" in each for each in lines)
    note = "A change with seeds behind it is of those alone, which both models have"
    assert shown.count(note) == 2
    assert note not in markdown([read_evidence(write_results(tmp_path / "whole"))])


def test_shares_are_of_the_dense_model_that_a_table_compares_with(
    tmp_path: Path, write_results: Write
) -> None:
    """A dense model of half of the layers is half of it, and not all of its own."""
    path = write_results(tmp_path)
    recorded = read_results(path)
    assert recorded.spec is not None
    dense = recorded.results["recognition/dense/1"]
    encoder = dense.config["model"]["encoder"]
    shallow = {
        "config": {"model": {"encoder": {**encoder, "num_layers": 9}}},
        "size": replace(dense.size, share=100.0),
    }
    cells = {
        **recorded.spec.cells,
        "k9-r16": replace(recorded.spec.cells["k9-r16"], against="k3-r16"),
    }
    path.unlink()
    write_results(
        tmp_path,
        changed={f"recognition/k9-r16/{seed}": shallow for seed in (1, 2)},
        spec=replace(recorded.spec, cells=cells),
    )
    found = rows(read_evidence(path))
    assert {cell: row.share for cell, row in found.items()} == {
        "dense": 100.0, "k3-r16": 50.0, "k9-r16": 50.0,
    }  # fmt: skip
    foreign = {"config": {"model": {"encoder": {"layers": 3}}}}
    changed = {f"recognition/k3-r16/{seed}": foreign for seed in (1, 2)}
    other = rows(read_evidence(write_results(tmp_path / "other", changed=changed)))
    assert other["k3-r16"].share is None


def test_without_a_baseline_there_is_no_change(tmp_path: Path, write_results: Write) -> None:
    gone = ("recognition/dense/1", "recognition/dense/2")
    row = rows(read_evidence(write_results(tmp_path, without=gone)))["k3-r16"]
    assert (row.change, row.refused) == (None, "nothing to compare with")


of_another_origin = pytest.mark.parametrize(
    ("key", "value", "mark"),
    [
        ("data", {"train": "x", "valid": "v", "spoken": "s", "new voices": "n"}, "other data"),
        ("data", {"train": "t", "valid": "v", "spoken": "x", "new voices": "n"}, "other data"),
        ("code", {"revision": "r", "digest": "x"}, "other code"),
    ],
)


@of_another_origin
def test_other_data_or_code_is_marked_and_not_compared(
    tmp_path: Path, write_results: Write, key: str, value: dict[str, str], mark: str
) -> None:
    """A row of its own by itself, and only beside the others."""
    changed = {f"recognition/k3-r16/{seed}": {key: value} for seed in (1, 2)}
    evidence = read_evidence(write_results(tmp_path, changed=changed))
    found = rows(evidence)
    assert found["k3-r16"].marks == (mark,)
    assert found["k3-r16"].apart
    assert list(found["k3-r16"].score.seeds) == [1, 2]
    assert (found["k3-r16"].change, found["k3-r16"].refused) == (None, mark)
    assert found["k9-r16"].marks == found["dense"].marks == ()
    assert found["k9-r16"].change is not None
    shown = markdown([evidence])
    assert f"| K = 3, R = 16 ({mark}) | 50.0 %" in shown
    assert f"none: {mark}" in shown


@of_another_origin
def test_a_seed_of_other_data_or_code_is_named_and_in_no_figure(
    tmp_path: Path, write_results: Write, key: str, value: dict[str, str], mark: str
) -> None:
    evidence = read_evidence(
        write_results(tmp_path, changed={"recognition/k3-r16/2": {key: value}})
    )
    alone = read_evidence(write_results(tmp_path / "alone", without=("recognition/k3-r16/2",)))
    row, same = rows(evidence)["k3-r16"], rows(alone)["k3-r16"]
    assert (row.marks, row.apart) == ((f"seed 2: {mark}",), False)
    assert [each.seed for each in row.results] == [1]
    assert row.score.value == same.score.value
    assert row.score.spread is None
    assert row.change.value == same.change.value
    assert row.fewer == (1,)
    assert f"| K = 3, R = 16 (seed 2: {mark}) | 50.0 % | 2.00 |" in markdown([evidence])
    # Of the model that others are compared with, too.
    path = write_results(tmp_path / "dense", changed={"recognition/dense/1": {key: value}})
    found = rows(read_evidence(path))
    assert list(found["dense"].score.seeds) == list(found["k3-r16"].change.seeds) == [2]


def test_models_compressed_by_other_code_are_marked(tmp_path: Path, write_results: Write) -> None:
    """Models that are trained from scratch do not depend on it, and stay comparable with both."""
    code = {"revision": "r", "digest": "fedcba9876543210"}
    by = {"k3-r16": ("x", "x"), "k9-r16": ("x", "y")}
    changed = {
        f"recognition/{cell}/{seed}": {"code": {**code, "compress": digests[seed - 1]}}
        for cell, digests in by.items()
        for seed in (1, 2)
    }
    found = rows(read_evidence(write_results(tmp_path, changed=changed)))
    assert found["dense"].marks == found["k3-r16"].marks == ()
    assert found["k3-r16"].change is not None
    assert found["k9-r16"].marks == ("seed 2: other code",)
    assert list(found["k9-r16"].change.seeds) == [1]


def test_what_another_experiment_has_done_is_said_to_be_its(
    tmp_path: Path, write_results: Write
) -> None:
    taken = {f"recognition/{cell}/1": {"run_of": "b.yaml"} for cell in ("dense", "k9-r16")}
    shown = markdown([read_evidence(write_results(tmp_path, changed=taken))])
    note = "- Runs of b.yaml, the same in all that decides a result, and not done again: "
    assert shown.count(f"{note}dense; K = 9, R = 16.\n") == 2  # recognition: spoken, new voices
    assert shown.count("Runs of") == 2


@pytest.mark.parametrize(("task", "measure"), [("recognition", "bleu"), ("translation", "wer")])
def test_what_was_scored_by_another_measure_is_left_out_and_said(
    tmp_path: Path, write_results: Write, task: str, measure: str
) -> None:
    """Counts of errors make no BLEU, nor the other way round."""
    path = write_results(tmp_path)
    spec = read_results(path).spec
    assert spec is not None
    tasks = {**spec.tasks, task: replace(spec.tasks[task], measure=measure)}
    append_plan(path, replace(spec, tasks=tasks))
    evidence = read_evidence(path)
    assert (evidence.done, evidence.planned) == (6, 12)
    assert all(row.score is None for row in table(evidence, task).rows)
    shown = markdown([evidence])
    assert (
        "6 of 12 planned runs have a result. Left out, since they were trained, heard or scored in "
        f"another way than the experiment says: {task}/dense/1, {task}/dense/2," in shown
    )


def test_a_seed_that_was_left_over_when_its_cell_was_changed_is_left_out_and_said(
    tmp_path: Path, write_results: Write
) -> None:
    """Nothing says what a cell is but the newest line of it."""
    older = {"config": {"model": {"encoder": {"layers": 3}}, "seed": 1, "output": "a"}}
    evidence = read_evidence(write_results(tmp_path, changed={"recognition/k3-r16/1": older}))
    assert evidence.otherwise == ("recognition/k3-r16/1",)
    assert [each.seed for each in rows(evidence)["k3-r16"].results] == [2]
    shown = markdown([evidence])
    assert "11 of 12 planned runs have a result. Left out, since they were trained, heard" in shown


def test_results_of_an_earlier_plan_are_left_out_and_said(
    tmp_path: Path, write_results: Write
) -> None:
    """A title is no other plan; a rank is."""
    path = write_results(tmp_path)
    spec = read_results(path).spec
    assert spec is not None
    cells = {
        **spec.cells,
        "dense": replace(spec.cells["dense"], title="whole"),
        "k3-r16": replace(spec.cells["k3-r16"], set={"model.encoder.linear.rank": 64}),
    }
    append_plan(path, replace(spec, cells=cells))
    evidence = read_evidence(path)
    assert {name.split("/")[1] for name in evidence.otherwise} == {"k3-r16"}
    assert rows(evidence)["k3-r16"].score is None
    assert rows(evidence)["dense"].title == "whole"


def test_results_of_what_the_recipe_said_before_are_left_out_and_said(
    tmp_path: Path, recipes: Path
) -> None:
    """As `foldformer experiment --list` has them: to be run again. Named by recipe or by results.

    A file of results by itself has only its own plan, and is shown as that."""
    recipe = tmp_path / "paper_table"
    shutil.copytree(recipes / "paper_table", recipe)
    results = recipe / "results" / "experiment.jsonl"
    whole = read_evidence(recipe)
    assert whole.otherwise == ()
    (recipe / "recognition.yaml").rename(recipe / "other.yaml")
    text = (recipe / "experiment.yaml").read_text()
    for old, new in (
        ("recognition.yaml", "other.yaml"),
        ("linear.rank: 16}\n  k6", "linear.rank: 64}\n  k6"),
        ("    paper: k6-r16\n", "    paper: k6-r16\n    decode: {weights: int8}\n"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    (recipe / "experiment.yaml").write_text(text)
    for place in (recipe, results):
        evidence = read_evidence(place)
        cells = {name.split("/")[1] for name in evidence.otherwise}
        assert cells == {"k3-r16", "k6-r16"}
        assert evidence.done == whole.done - len(evidence.otherwise)
        scored = {row.cell for each in evidence.tables for row in each.rows if row.score}
        assert (
            scored == {row.cell for each in whole.tables for row in each.rows if row.score} - cells
        )
        assert f"experiment says: {', '.join(evidence.otherwise)}." in markdown([evidence])
    (recipe / "experiment.yaml").unlink()
    assert read_evidence(results).done == whole.done


@pytest.mark.parametrize(("score", "learnt"), [(90.0, False), (89.0, True)])
def test_a_set_of_which_nothing_was_learnt_says_so(
    tmp_path: Path, write_results: Write, score: float, learnt: bool
) -> None:
    """And the paper's figures, of models that have learnt, do not stand beside."""
    found = table(read_evidence(write_results(tmp_path)))
    best = Estimate(value=score, low=score, high=score, seeds={1: score})
    worst = replace(best, value=120.0)
    figures = (worst, best, None)
    same = [replace(row, score=each) for row, each in zip(found.rows, figures, strict=True)]
    found = replace(found, rows=tuple(same))
    assert found.learnt == learnt
    shown = markdown_table(found)
    assert ("Not learnt (no WER is below 90 %): differences mean nothing." in shown) != learnt
    assert ("paper: WER %" in shown) == ("arXiv" in shown) == learnt


def test_there_is_no_change_against_a_bleu_of_0(tmp_path: Path, write_results: Write) -> None:
    path = write_results(tmp_path)
    spec = read_results(path).spec
    assert spec is not None

    class Nothing(Recorded):
        def counts(self, result):
            found = super().counts(result)
            if result.task != "translation":
                return found
            return {name: replace(each, counts=0 * each.counts) for name, each in found.items()}

    nothing = Nothing(path=path, spec=spec, results=read_results(path).results)
    last = list(tables_of(spec, nothing))[-1]
    assert last.rows[1].refused == "BLEU of dense is 0"
    shown = markdown_table(last)
    assert "| none: BLEU of dense is 0 |" in shown
    assert "Not learnt (no BLEU is 1 or more): differences mean nothing." in shown


def test_other_utterances_are_not_compared(tmp_path: Path, write_results: Write) -> None:
    path = write_results(tmp_path)
    recorded = read_results(path)
    spec = recorded.spec
    assert spec is not None

    class Shorter(Recorded):
        def counts(self, result):
            found = super().counts(result)
            if result.cell == "k3-r16":
                found = {
                    name: replace(each, utterances="others", counts=each.counts[:20])
                    for name, each in found.items()
                }
            return found

    shorter = Shorter(path=path, spec=spec, results=recorded.results)
    first = next(tables_of(spec, shorter))
    row = first.rows[1]
    assert row.score is not None
    assert (row.change, row.refused) == (None, "other utterances")


@pytest.mark.parametrize("same", [True, False])
def test_what_a_rounded_model_is_compared_with_is_of_the_same_training(
    tmp_path: Path, write_results: Write, same: bool
) -> None:
    """A model that was gone is trained again for what needs it, and is not the same one."""
    path = write_results(tmp_path)
    recorded = read_results(path)
    assert recorded.spec is not None
    cells = dict(recorded.spec.cells)
    rounded = list(cells)[-1]
    cells[rounded] = replace(cells[rounded], set={}, model_of="k3-r16", against="k3-r16")
    results = dict(recorded.results)
    for name, result in recorded.results.items():
        task, cell, seed = name.split("/")
        if cell == rounded:
            curve = recorded.results[f"{task}/k3-r16/{seed}"].curve
            rows = curve if same else tuple({**row, "loss": 9.0} for row in curve)
            results[name] = replace(result, curve=rows)
    spec = replace(recorded.spec, cells=cells)
    found = next(tables_of(spec, Recorded(path=path, spec=spec, results=results)))
    (row,) = [row for row in found.rows if row.cell == rounded]
    assert row.refused == (None if same else "another training of the same cell")
    assert (row.change is None) != same


def test_a_cell_of_another_table_stands_first_where_others_are_compared_with_it(
    tmp_path: Path, write_results: Write
) -> None:
    path = write_results(tmp_path)
    spec = read_results(path).spec
    assert spec is not None
    cells = {**spec.cells, "k9-r16": replace(spec.cells["k9-r16"], table="other")}
    write_results(tmp_path, spec=replace(spec, cells=cells))
    evidence = read_evidence(path)
    other = next(each for each in evidence.tables if each.table == "other")
    assert [row.cell for row in other.rows] == ["dense", "k9-r16"]


def test_smoke_tests_are_kept_apart(tmp_path: Path, write_results: Write) -> None:
    path = write_results(tmp_path, changed={"recognition/dense/1": {"smoke": True}})
    with pytest.raises(InputError, match="holds results of a smoke test beside real ones"):
        read_evidence(path)


def test_a_recipe_without_results_says_so(recipes: Path) -> None:
    for name in ("experiment.yaml", "ablations.yaml", "rates.yaml"):
        evidence = read_evidence(recipes / "paper_table" / name)
        assert evidence.planned > 0
        for each in evidence.tables:
            assert {row.cell for row in each.rows} <= set(evidence.spec.cells)


@pytest.fixture
def recipes() -> Path:
    return Path(__file__).parents[2] / "recipes"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; expected results"):
        read_evidence(tmp_path / "none.jsonl")
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    with pytest.raises(InputError, match="does not say what was planned"):
        read_evidence(empty)


def test_a_cell_can_name_each_row_of_the_paper() -> None:
    for name in paper().rows:
        assert from_dict(CellSpec, {"title": "", "table": "", "paper": name}).paper == name


def test_the_paper_agrees_with_itself() -> None:
    """Its changes follow from its error rates, its shares from its presets (see test_size)."""
    found = paper().rows
    for row in found.values():
        if row.wer_change is not None:
            assert row.wer is not None
            assert row.wer_change == round(100 * (row.wer / found["dense"].wer - 1), 1)
    assert [row.share for row in found.values()] == [100.0, 34.0, 38.1, 21.5, 15.9]
