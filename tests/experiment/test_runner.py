"""The runner: order, crashes, stops, kills, two at once; with commands that are played."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from foldformer.checkpoint import read_model_config
from foldformer.cli.main import main
from foldformer.errors import InputError, Stopped
from foldformer.experiment.plan import Run
from foldformer.experiment.processes import end
from foldformer.experiment.result import Code
from foldformer.experiment.results import read_results
from foldformer.experiment.runner import Runner
from foldformer.experiment.steps import Step
from foldformer.files import sole_process
from foldformer.measure.describe import describe
from foldformer.measure.similarity import similarity_of
from foldformer.spec import write_yaml

Make = Callable[..., tuple[Runner, list[str]]]
Asked = Callable[[], list[list[str]]]


def models(asked: list[list[str]], verb: str) -> list[str]:
    """The runs that a verb was asked for, in the order of the commands."""
    found = []
    for words in asked:
        if words[0] == verb:
            place = words[words.index("--output") + 1].strip('"')
            found.append("/".join(Path(place).parts[2:5]))
    return found


@pytest.mark.parametrize("jobs", [1, 3])
def test_all_runs_are_done_and_recorded_once(runner: Make, asked: Asked, jobs: int) -> None:
    first, said = runner(jobs)
    assert first.run()
    recorded = read_results(first.plan.results)
    assert recorded.results.keys() == first.runs.keys()
    words = asked()
    assert words[0] == ["corpus", "composed", "data/played"]
    trained = models(words, "train")
    assert sorted(trained) == sorted(run.name for run in first.runs.values() if run.trains)
    assert trained.index("recognition/k3/1") < trained.index("translation/k3/1")
    assert sorted(models(words, "evaluate")) == sorted(first.runs)
    (int8, *_) = [each for each in words if "--weights" in each]
    assert int8[1] == "runs/played/recognition/k3/1/model"
    assert any(line.startswith("done    recognition/k3/1: WER digits 50.0;") for line in said)
    result = recorded.results["recognition/k3/1"]
    assert (result.hours, result.seconds, result.machine["jobs"]) == (0.5, 3.0, jobs)
    assert result.data["train"] == "of data/played/train.jsonl.gz"
    assert result.curve[0]["wer"] == 50.0
    described = describe(read_model_config(first.runs["recognition/k3/1"].model).model)
    share = described.encoder_matrix_share
    assert asdict(result.size) == {**asdict(described.total), "share": share}
    alike = similarity_of(first.runs["recognition/k3/1"].model).cosines
    assert (result.similarity, len(alike)) == (alike, 3)
    assert recorded.results["recognition/k3-int8/1"].similarity == ()
    assert {each.id for each in result.examples["digits"]} == {"a", "b"}
    # In the order of the ids: one deletion, then one substitution, of two words each.
    assert recorded.counts(result)["digits"].counts.tolist() == [[0, 0, 1, 2], [1, 0, 0, 2]]
    before, line = len(asked()), first.plan.results.read_bytes()
    assert runner(jobs)[0].run()
    assert len(asked()) == before
    assert first.plan.results.read_bytes() == line


def test_a_run_that_fails_is_reported_and_the_rest_goes_on(runner: Make, asked: Asked) -> None:
    Path("broken").write_text("recognition/k3/1")
    first, said = runner(2)
    assert not first.run()
    assert set(first.failed) == {"recognition/k3/1", "recognition/k3-int8/1", "translation/k3/1"}
    assert "training: the disk is full (log: " in first.failed["recognition/k3/1"]
    assert "recognition/k3/1, whose model it needs, has failed" in first.failed["translation/k3/1"]
    assert sum(line.startswith("failed ") for line in said) == 3
    assert len(read_results(first.plan.results).results) == len(first.runs) - 3
    Path("broken").unlink()
    before = len(models(asked(), "train"))
    second, _ = runner(2)
    assert second.run()
    assert len(read_results(first.plan.results).results) == len(first.runs)
    assert len(models(asked(), "train")) == before + 2


def test_a_run_that_is_killed_says_so_and_not_how_far_it_was(runner: Make) -> None:
    Path("killed").write_text("recognition/k3/1")
    first, _ = runner()
    assert not first.run()
    reason = "training: ended by signal 9, as for want of memory (log: "
    assert first.failed["recognition/k3/1"].startswith(reason)


@pytest.mark.parametrize(
    ("curve", "reason"),
    [
        ("[]", "holds no validation"),
        ('[{"step": 4, "seconds": 1}]', "a validation lacks 'hours'"),
        ('[{"hours": 4, "seconds": 1}]', "a validation lacks 'step'"),
        ('[{"step": 4, "hours": 1, "seconds": 1, "loss": NaN}]', "step 4: loss is nan, no number"),
        ('[{"step": 4, "hours": 1, "seconds": 1, "wer": Infinity}]', "step 4: wer is inf"),
    ],
)
def test_a_curve_that_is_none_fails_its_run_alone(runner: Make, curve: str, reason: str) -> None:
    Path("curve").write_text(curve)
    first, _ = runner()
    assert not first.run()
    assert reason in first.failed["recognition/k3/1"]
    assert "recognition/k3/1/model/training/curve.json: " in first.failed["recognition/k3/1"]
    done = read_results(first.plan.results).results
    assert {"recognition/dense/2", "recognition/k3/2", "translation/k3/2"} <= done.keys()
    # Another start does not stumble over it either, and tries again.
    Path("curve").unlink()
    assert runner()[0].run()


def test_a_log_that_cannot_be_written_fails_its_run_alone(runner: Make) -> None:
    first, _ = runner()
    log = first.runs["recognition/k3/1"].place / "evaluate-digits.log"
    log.mkdir(parents=True)
    assert not first.run()
    assert first.failed["recognition/k3/1"] == f"{log}: cannot be written: Is a directory"
    assert "recognition/k3/2" in read_results(first.plan.results).results


def test_a_corpus_that_cannot_be_made_ends_it(runner: Make) -> None:
    Path("player.py").write_text("import sys; sys.exit('foldformer: error: no network')")
    with pytest.raises(InputError, match=r"corpus composed data/played: failed: .*no network"):
        runner()[0].run()


def test_a_changed_experiment_is_run_again(recipe: Path, runner: Make, asked: Asked) -> None:
    assert runner()[0].run()
    path = recipe / "base.yaml"
    path.write_text(path.read_text().replace("steps: 4", "steps: 4, learning_rate: 0.5"))
    before = len(asked())
    changed, _ = runner()
    assert changed.run()
    assert len(models(asked()[before:], "train")) == 8
    results = read_results(changed.plan.results).results
    assert {result.config["training"]["learning_rate"] for result in results.values()} == {0.5}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sets: {digits: data/played/test.jsonl.gz}}", "sets: {digits: data/other.jsonl.gz}}"),
        ("measure: wer", "measure: bleu"),
    ],
    ids=["manifests", "measure"],
)
def test_what_is_scored_otherwise_is_run_again(
    recipe: Path, runner: Make, asked: Asked, old: str, new: str
) -> None:
    """The sets keep their names, and the trainings their configurations."""
    assert runner()[0].run()
    path = recipe / "experiment.yaml"
    path.write_text(path.read_text().replace(old, new, 1))
    before = len(asked())
    changed, _ = runner()
    assert changed.run()
    runs = {name for name in changed.runs if name.startswith("recognition/")}
    assert sorted(models(asked()[before:], "evaluate")) == sorted(runs)
    before = len(asked())
    assert runner()[0].run()
    assert len(asked()) == before


@pytest.mark.parametrize("noted", [True, False])
def test_what_began_from_a_training_that_has_changed_is_run_again(
    recipe: Path, runner: Make, asked: Asked, noted: bool
) -> None:
    """Its own configuration is as before. Models of before there were notes have none."""
    base, path = recipe / "base.yaml", recipe / "experiment.yaml"
    (recipe / "later.yaml").write_text(base.read_text())
    head, _, tail = path.read_text().rpartition("base.yaml")
    path.write_text(f"{head}later.yaml{tail}")
    first, _ = runner()
    assert first.run()
    translations = {name: run for name, run in first.runs.items() if run.task == "translation"}
    for run in translations.values():
        assert (run.place / "earlier.json").is_file()
        if not noted:
            (run.place / "earlier.json").unlink()
    base.write_text(base.read_text().replace("steps: 4", "steps: 4, learning_rate: 0.5"))
    for _ in range(2):  # also when the earlier ones have results again
        changed, _ = runner()
        assert not changed.run()
        assert changed.failed.keys() == translations.keys()
        assert (
            "runs/played/translation/k3/1/model: was trained from recognition/k3/1 as that was "
            "planned before; remove the folder"
        ) in changed.failed["translation/k3/1"]
    for run in translations.values():
        shutil.rmtree(run.model)
    before = len(asked())
    changed, _ = runner()
    assert changed.run()
    assert sorted(models(asked()[before:], "train")) == sorted(translations)
    before = len(asked())
    assert runner()[0].run()
    assert len(asked()) == before


def test_a_model_that_was_trained_otherwise_than_its_result_says_is_not_begun_from(
    recipe: Path, runner: Make
) -> None:
    """Results and YAML come from elsewhere, and the model here is of an earlier plan."""
    first, _ = runner()
    assert first.run()
    path, needed = first.plan.results, first.runs["recognition/k3/1"]
    config = needed.model / "training" / "config.yaml"
    planned = needed.config.with_vocabulary(9)
    faster = replace(planned.training, learning_rate=0.5)
    write_yaml(config, replace(planned, training=faster))
    gone = ("recognition/k3-int8/1", "translation/k3/1")
    parts = [name.split("/") for name in gone]
    begin = tuple(f'{{"task":"{t}","cell":"{c}","seed":{s}' for t, c, s in parts)
    lines = path.read_text().split("\n")  # not splitlines: a transcript holds U+2028
    path.write_text("\n".join(line for line in lines if not line.startswith(begin)))
    second, _ = runner()
    assert not second.run()
    assert second.failed.keys() == set(gone)
    for name in gone:
        assert second.failed[name].startswith(f"{needed.model}: was trained otherwise than recog")
    write_yaml(config, planned)
    assert runner()[0].run()


def test_results_of_nobody_knows_which_plan_are_finished(runner: Make, asked: Asked) -> None:
    """A file without the line that says what was planned, or without the earlier runs."""
    first, _ = runner()
    assert first.run()
    path = first.plan.results
    lines = path.read_text().split("\n")
    path.write_text("\n".join(line for line in lines if '"plan"' not in line))
    before = len(asked())
    assert runner()[0].run()
    assert len(asked()) == before


def test_a_torn_line_is_cut_and_a_whole_one_that_lacks_its_newline_is_kept(
    runner: Make, asked: Asked
) -> None:
    first, _ = runner()
    assert first.run()
    path, before = first.plan.results, len(asked())
    whole = path.read_bytes()
    path.write_bytes(whole.removesuffix(b"\n"))
    second, said = runner()
    assert second.run()
    assert (path.read_bytes(), len(asked())) == (whole, before)
    assert said[0].startswith("10 runs: 10 done before")
    path.write_bytes(whole + b'{"task":"recog')
    third, said = runner()
    assert third.run()
    assert (path.read_bytes(), len(asked())) == (whole, before)
    assert said[0] == f'cut from {path}: a torn last line, {{"task":"recog…'


def test_a_model_that_is_gone_is_trained_again_for_what_needs_it(
    runner: Make, asked: Asked
) -> None:
    """Results are committed, models are not."""
    first, _ = runner()
    assert first.run()
    path = first.plan.results
    kept = [
        line
        for line in path.read_text().split("\n")  # not splitlines: a transcript holds U+2028
        if '"translation","cell":"k3"' not in line
    ]
    path.write_text("\n".join(kept))
    (first.runs["recognition/k3/1"].model / "training" / "curve.json").unlink()
    before = len(asked())
    second, said = runner()
    assert second.run()
    assert models(asked()[before:], "train") == [
        "recognition/k3/1", "translation/k3/1", "translation/k3/2",
    ]  # fmt: skip
    assert "recognition/k3/1" not in models(asked()[before:], "evaluate")
    assert any(line.startswith("trained recognition/k3/1 again") for line in said)
    assert len(read_results(path).results) == len(first.runs)


def test_models_that_are_gone_are_trained_again_along_the_whole_way(
    recipe: Path, runner: Make, asked: Asked
) -> None:
    """A new cell needs a model that is gone, and so is the one which that began from."""
    first, _ = runner()
    assert first.run()
    for name in ("recognition/k3/1", "translation/k3/1"):
        (first.runs[name].model / "training" / "curve.json").unlink()
    path = recipe / "experiment.yaml"
    path.write_text(path.read_text().replace(", tasks: [recognition]", ""))
    before = len(asked())
    second, _ = runner()
    assert second.run()
    assert models(asked()[before:], "train") == ["recognition/k3/1", "translation/k3/1"]
    assert models(asked()[before:], "evaluate") == [
        "translation/k3-int8/1", "translation/k3-int8/2",
    ]  # fmt: skip


def test_a_compressed_cell_says_what_it_was_made_of(
    compressed: Path, runner: Make, asked: Asked
) -> None:
    first, _ = runner(2)
    assert first.run()
    words = asked()
    (made,) = [each for each in words if each[0] == "compress"]
    model = "runs/played/recognition/k3-short/1/model"
    assert made[:4] == ["compress", "runs/played/recognition/dense/1/model", "--output", model]
    assert made[4:12] == ["--start", "fit", "--uses", "3", "--rank", "2", "--order", "adjacent"]
    assert made[made.index("--training.steps") + 1] == "2"
    assert words.index(made) > models(words, "train").index("recognition/dense/1")
    results = read_results(first.plan.results).results
    result, dense = results["recognition/k3-short/1"], results["recognition/dense/1"]
    assert result.config == {"seed": 1, "found": "by itself"}
    assert (result.compress["of"], result.compress["rank"]) == ("dense", 2)
    assert result.code.digest == dense.code.digest
    assert len(result.code.compress) == 16
    assert dense.compress == {}
    assert dense.code.compress is None
    before = len(words)
    assert runner()[0].run()
    assert len(asked()) == before
    path = compressed / "experiment.yaml"
    path.write_text(path.read_text().replace("rank: 2}", "rank: 1}"))
    assert runner()[0].run()
    assert [each[0] for each in asked()[before:]] == ["corpus", "compress", "evaluate"]
    # What it is made of is made in another way.
    before = len(asked())
    path.write_text(path.read_text().replace("uses: 1}", "uses: 1, training.clip: 2.0}"))
    assert runner()[0].run()
    assert "recognition/k3-short/1" in models(asked()[before:], "compress")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Change the code, which is what a file says: `written("another")`."""

    def write(text: str) -> None:
        Path("code").write_text(text)

    def digests(compressed: bool = False) -> tuple[str, str | None]:
        return Path("code").read_text(), "compresses" if compressed else None

    def code(compressed: bool = False) -> Code:
        digest, compress = digests(compressed)
        return Code(revision=f"revision of {digest}", digest=digest, compress=compress)

    monkeypatch.setattr("foldformer.experiment.begun.digests", digests)
    monkeypatch.setattr("foldformer.experiment.begun.code", code)
    return write


def other_code(run: Run) -> str:
    """How it is said that a model is of the code `first`, which is no longer there."""
    return (
        f"{run.model}: its training began by other code than that of now: revision of first, "
        "digest first; go back to that, or remove the folder to train it anew"
    )


@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_code_that_changes_during_a_run_fails_it(
    compressed: Path, runner: Make, written: Callable[[str], None], asked: Asked, verb: str
) -> None:
    """No line says that a model of the old code is one of the new."""
    written("first")
    Path("changes").write_text(verb)
    first, _ = runner()
    assert not first.run()
    run = first.runs["recognition/dense/1"]
    assert first.failed[run.name] == other_code(run)
    assert (run.name in models(asked(), "evaluate")) == (verb == "evaluate")
    assert run.name not in read_results(first.plan.results).results
    Path("changes").unlink()
    before = len(asked())
    second, _ = runner()
    assert not second.run()
    assert second.failed[run.name] == other_code(run)
    assert len(asked()) == before + 1  # the corpus
    written("first")
    assert runner()[0].run()
    results = read_results(first.plan.results).results
    assert results[run.name].code == Code(revision="revision of first", digest="first")
    assert results["recognition/k3/1"].code.digest == "another"
    assert results["recognition/k3-short/1"].code.compress == "compresses"


def test_a_training_that_was_stopped_goes_on_by_the_same_code_alone(
    runner: Make, written: Callable[[str], None]
) -> None:
    written("first")
    Path("broken").write_text("recognition/k3/1")
    first, _ = runner()
    run = first.runs["recognition/k3/1"]
    (run.model / "training").mkdir(parents=True)  # of before there were notes
    assert not first.run()
    written("another")
    Path("broken").unlink()
    second, _ = runner()
    assert not second.run()
    assert second.failed[run.name] == other_code(run)
    written("first")
    third, _ = runner()
    assert third.run()
    assert read_results(third.plan.results).results[run.name].code == Code(
        revision="revision of first", digest="first"
    )


@pytest.mark.parametrize("needing", ["translation/k3/1", "recognition/k3-int8/1"])
def test_what_is_made_of_a_model_is_made_by_the_same_code(
    runner: Make, written: Callable[[str], None], needing: str
) -> None:
    written("first")
    first, _ = runner()
    assert first.run()
    path = first.plan.results
    task, cell, _ = needing.split("/")
    lines = path.read_text().split("\n")
    path.write_text("\n".join(x for x in lines if f'"{task}","cell":"{cell}","seed":1' not in x))
    if first.runs[needing].trains:
        shutil.rmtree(first.runs[needing].place)
    written("another")
    second, _ = runner()
    assert not second.run()
    assert second.failed == {needing: other_code(first.runs["recognition/k3/1"])}
    shutil.rmtree(first.runs["recognition/k3/1"].model)
    third, said = runner()
    assert third.run()
    assert any(line.startswith("trained recognition/k3/1 again") for line in said)
    assert read_results(path).results[needing].code.digest == "another"


def test_data_are_those_that_a_training_began_with_and_an_evaluation_heard(
    recipe: Path, runner: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Path("runs/played/recognition/dense/1/evaluate-digits.log")
    log.mkdir(parents=True)
    assert not runner()[0].run()
    log.rmdir()
    for module in ("begun", "runner"):
        monkeypatch.setattr(f"foldformer.experiment.{module}.fingerprint", "other {}".format)
    second, _ = runner()
    assert second.run()
    assert read_results(second.plan.results).results["recognition/dense/1"].data == {
        "train": "of data/played/train.jsonl.gz",
        "valid": "of data/played/dev.jsonl.gz",
        "digits": "other data/played/test.jsonl.gz",
    }


def test_a_note_that_is_damaged_fails_its_run_alone(runner: Make) -> None:
    Path("broken").write_text("recognition/k3/1")
    first, _ = runner()
    assert not first.run()
    note = first.runs["recognition/k3/1"].place / "begun.json"
    (note.parent / "model" / "training").mkdir(parents=True)
    note.write_text("{}")
    Path("broken").unlink()
    second, _ = runner()
    assert not second.run()
    assert (
        second.failed["recognition/k3/1"]
        == f"{note}: cannot be read: code: missing; it has no default"
    )


def test_a_smoke_test_is_done_again_by_other_code(
    compressed: Path, runner: Make, written: Callable[[str], None], asked: Asked
) -> None:
    """From nothing: a model that is there, whole or not, would show nothing of the code."""
    written("first")
    Path("broken").write_text("recognition/k3/1")
    first, _ = runner(smoke=True)
    half = first.runs["recognition/k3/1"].model / "training"
    half.mkdir(parents=True)
    assert not first.run()
    assert not half.exists()
    Path("broken").unlink()
    assert runner(smoke=True)[0].run()
    before, trained = len(asked()), [run.name for run in first.runs.values() if run.trains]
    second, said = runner(smoke=True)
    assert second.run()
    assert (len(asked()), said[0][:21]) == (before, "6 runs: 6 done before")
    written("another")
    (first.runs["recognition/dense/1"].model / "old").write_text("")
    third, said = runner(smoke=True)
    assert third.run()
    assert said[0].startswith("6 runs: 0 done before")
    again = asked()[before:]
    assert sorted(models(again, "train") + models(again, "compress")) == sorted(trained)
    assert not (first.runs["recognition/dense/1"].model / "old").exists()
    codes = {each.code.digest for each in read_results(third.plan.results).results.values()}
    assert codes == {"another"}


def ablations(recipe: Path, old: str, new: str) -> None:
    """An experiment beside, with another `output` and one change; it takes runs of the first."""
    text = (recipe / "experiment.yaml").read_text().replace("runs/played", "runs/other")
    assert old in text
    (recipe / "ablations.yaml").write_text(f"runs_of: experiment.yaml\n{text.replace(old, new)}")


def test_finished_runs_of_the_experiment_beside_are_taken(
    recipe: Path, runner: Make, asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = runner()
    assert first.run()
    ablations(recipe, "{model.encoder.uses: 3}", "{model.encoder.uses: 3, training.clip: 2.0}")
    assert main(["experiment", str(recipe / "ablations.yaml"), "--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed if "taken" in line] == [
        "recognition/dense/1",
        "translation/dense/1",
        "recognition/dense/2",
        "translation/dense/2",
    ]
    before = len(asked())
    second, said = runner(name="ablations.yaml")
    assert second.run()
    assert said[0].startswith("10 runs: 0 done before, 4 by experiment.yaml; 1 at a time; about ")
    assert "taken   recognition/dense/1 of experiment.yaml: WER digits 50.0" in said
    assert {name.split("/")[1] for name in models(asked()[before:], "train")} == {"k3"}
    assert not any("/dense/" in name for name in models(asked()[before:], "evaluate"))
    recorded = read_results(second.plan.results)
    assert recorded.results.keys() == second.runs.keys()
    done = read_results(first.plan.results).results["translation/dense/1"]
    taken = recorded.results["translation/dense/1"]
    counts = "ablations/translation.dense.1.json.gz"
    assert taken == replace(done, run_of="experiment.yaml", counts=counts)
    (first.plan.results.parent / done.counts).unlink()  # as if it were done again in another way
    assert len(recorded.counts(taken)["digits"].counts) == 2
    assert recorded.results["translation/k3/1"].run_of is None
    line = second.plan.results.read_bytes()
    assert runner(name="ablations.yaml")[0].run()
    assert second.plan.results.read_bytes() == line


@pytest.mark.parametrize("other", ["code", "data", "start"])
def test_a_run_that_is_not_the_same_is_not_taken(
    recipe: Path, runner: Make, asked: Asked, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    first, _ = runner()
    assert first.run()
    ablations(recipe, "title: Played", "title: Again")
    path = first.plan.results
    if other == "code":
        digest = read_results(path).results["recognition/dense/1"].code.digest
        path.write_text(path.read_text().replace(digest, "0" * 16))
    elif other == "data":
        monkeypatch.setattr("foldformer.experiment.runner.fingerprint", "other {}".format)
    else:  # the translations alone have the configuration that they had
        base = (recipe / "base.yaml").read_text()
        (recipe / "later.yaml").write_text(base.replace("steps: 4", "steps: 3"))
        ablations(recipe, "recognition: {config: base.yaml", "recognition: {config: later.yaml")
    before = len(asked())
    second, said = runner(name="ablations.yaml")
    assert second.run()
    assert sorted(models(asked()[before:], "evaluate")) == sorted(second.runs)
    assert not any(line.startswith("taken") for line in said)
    found = "not taken recognition/dense/1 of experiment.yaml: it heard other data"
    assert (found in said) == (other == "data")


def test_a_model_that_a_taken_run_has_not_left_here_is_trained_for_what_needs_it(
    recipe: Path, runner: Make, asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner()[0].run()
    ablations(recipe, "decode: {weights: int8}", "decode: {weights: int4}")
    before = len(asked())
    assert main(["experiment", str(recipe / "ablations.yaml"), "--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed if "taken, train" in line] == [
        "recognition/k3/1",
        "recognition/k3/2",
    ]
    assert listed[-1].startswith("10 runs, 1.7 h of one core; left: 40 min, ")
    second, said = runner(name="ablations.yaml")
    assert second.run()
    assert models(asked()[before:], "train") == ["recognition/k3/1", "recognition/k3/2"]
    assert set(models(asked()[before:], "evaluate")) == {
        "recognition/k3-int8/1",
        "recognition/k3-int8/2",
    }
    assert any(line.startswith("trained recognition/k3/1 again") for line in said)
    assert read_results(second.plan.results).results.keys() == second.runs.keys()


def test_a_second_runner_is_refused(runner: Make) -> None:
    first, _ = runner()
    with (
        sole_process(first.plan.output, "experiment.lock", "busy"),
        pytest.raises(InputError, match="runs/played: another `foldformer experiment` is at work"),
    ):
        first.run()


def test_a_second_runner_with_the_same_results_is_refused(
    recipe: Path, runner: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`output` is a path from the current folder, the results lie beside the recipe."""
    first, _ = runner()
    elsewhere = recipe.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    place = first.plan.results.resolve()
    lock = place.with_name("experiment.jsonl.lock")
    with sole_process(place.parent, lock.name, "busy"):
        second = Runner(replace(first.plan, results=place), first.runs, 1, print, print)
        with pytest.raises(
            InputError, match=r"experiment\.jsonl: another `foldformer experiment` w"
        ):
            second.run()
    assert not place.exists()


def test_a_training_whose_runner_is_gone_keeps_others_out(tmp_path: Path) -> None:
    step = Step(what="training", words=(), log=tmp_path / "log")
    with sole_process(tmp_path, "lock", "busy") as lock:
        sleep = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)")
        process = step.start(sleep, held=[lock.fileno()])
    with pytest.raises(InputError, match="busy"), sole_process(tmp_path, "lock", "busy"):
        pass
    end([process])
    with sole_process(tmp_path, "lock", "busy"):
        pass


def waiting(until: float = 30.0) -> int:
    """The process that is stuck, as soon as there is one."""
    latest = time.monotonic() + until
    while not (path := Path("waiting")).exists() or not path.read_text():
        assert time.monotonic() < latest
        time.sleep(0.02)
    return int(path.read_text())


def test_a_signal_lets_trainings_save_and_the_next_start_goes_on(
    runner: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("stuck").write_text("recognition/k3/1")
    first, _ = runner()

    def interrupt() -> None:
        waiting()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Stopped, match="the same command goes on from there"):
        first.run()
    thread.join()
    assert Path("saved").exists()
    assert "stopping: trainings save first; once more: stop at once" in capfd.readouterr().err
    assert list(read_results(first.plan.results).results) == ["recognition/dense/1"]
    Path("stuck").unlink()
    second, _ = runner()
    assert second.run()
    assert len(read_results(first.plan.results).results) == len(first.runs)


def test_children_end_with_a_runner_that_is_killed(tmp_path: Path) -> None:
    """The real way to start a command, whose place a process takes that waits for ever."""
    code = (
        "import subprocess, sys, os, time\n"
        "from foldformer.experiment.child import end_with_parent\n"
        "if len(sys.argv) > 1:\n"
        "    end_with_parent(int(sys.argv[1])); print(os.getpid(), flush=True); time.sleep(60)\n"
        "subprocess.Popen([sys.executable, __file__, str(os.getpid())]).wait()\n"
    )
    (tmp_path / "parent.py").write_text(code)
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py")], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    latest = time.monotonic() + 30
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text():
        assert time.monotonic() < latest
        time.sleep(0.02)
    parent.stdout.close()
