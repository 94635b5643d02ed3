"""What is wrong with an experiment is one line, before anything runs."""

from pathlib import Path

import pytest

from foldformer.errors import InputError, SpecError
from foldformer.experiment.plan import chosen, plan
from foldformer.experiment.spec import read_experiment


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title: Played", "titel: Played", "titel: unknown key; did you mean 'title'"),
        ("against: dense", "against: dens", "cells.k3.against: there is no 'dens'; did you mean"),
        ("model_of: k3", "model_of: k4", "cells.k3-int8.model_of: there is no 'k4'"),
        ("after: recognition", "after: recognise", "tasks.translation.after: there is no"),
        ("after: recognition", "after: translation", "itself comes after another task"),
        ("tasks: [recognition]", "tasks: [asr]", "cells.k3-int8.tasks: there is no 'asr'"),
        ("tasks: [recognition]", "tasks: []", "cells.k3-int8.tasks: expected different ones, one"),
        ("title: K = 3,", "title: K = 3, seeds: [1, 1],", r"cells.k3.seeds: .* got \[1, 1\]"),
        ("title: K = 3,", "title: K = 3, seeds: [],", r"cells.k3.seeds: .* or more, got \[\]"),
        ("  dense: {", "  Dense: {", "cells.Dense: expected a name of lower-case letters"),
        ("seeds: [1, 2]", "seeds: [1, 1]", "seeds: expected different numbers"),
        ("model_of: k3,", "model_of: k3, set: {seed: 1},", "a cell with model_of trains nothing"),
        ("model_of: k3,", "model_of: k3, task_set: {recognition: {seed: 1}},",
         "task_set: a cell with model_of trains nothing"),
        ("title: K = 3,", "title: K = 3, task_set: {asr: {seed: 1}},",
         "cells.k3.task_set.asr: there is no 'asr'"),
        ("set: {model.encoder.uses: 1}", "compress: {of: k3, uses: 3, rank: 2}, "
         "task_set: {translation: {model.encoder.uses: 1}}",
         "cells.dense: task_set.translation.model.encoder.uses: is given by the model that is"),
        ("model_of: k3,", "compress: {of: k4, uses: 3, rank: 2},",
         "cells.k3-int8.compress.of: there is no 'k4'"),
        ("title: K = 3,", "title: K = 3, compress: {of: k3-int8, uses: 3, rank: 2},",
         "cells.k3: set.model.encoder.uses: is given by the model that is compressed"),
        ("model_of: k3,", "model_of: k3, compress: {of: dense, uses: 3, rank: 2},",
         "compress: a cell with model_of makes no model"),
        ("set: {model.encoder.uses: 1}", "compress: {of: k3-int8, uses: 3, rank: 2}",
         "cells.dense.compress.of: k3-int8 is not trained from scratch"),
        ("title: Played", "title: Played\nabout_sets: {digit: spoken}",
         "about_sets.digit: there is no 'digit'; did you mean 'digits'"),
        ("title: Played", "title: Played\nruns_of: ../other/experiment.yaml",
         "runs_of: expected the name of a YAML file beside this one"),
        ("measure: wer", "measure: cer", "'cer' is none of wer, bleu"),
        ("config: base.yaml, measure: wer", "config: base.yaml, minutes: 0, measure: wer",
         "minutes: expected more than 0"),
        ("sets: {digits: data/played/test.jsonl.gz}}\n  tr", "sets: {}}\n  tr", "one manifest or"),
        ("sets: {digits: ", "sets: {'< 5 s': a.jsonl, '> 5 s': ",
         "tasks.recognition: sets.> 5 s: becomes the file --5-s.json, as '< 5 s' does"),
        ("sets: {digits: ", "sets: {train: ", "sets.train: is what something else of a run is cal"),
        ("sets: {digits: ", "sets: {valid: ", "sets.valid: is what something else of a run is cal"),
        ("smoke:\n", "smoke:\n  sets: {earlier: a.jsonl}\n", "smoke: sets.earlier: is what someth"),
        ("title: K = 3,", "title: K = 3, paper: k3-r1,",
         "cells.k3.paper: 'k3-r1' is none of dense, k3-r2, k3-r16, k6-r16, k9-r16"),
        ("title: K = 3,", "title: K = 3, decode: {beam: 0},", "cells.k3.decode: beam: expected 1"),
        ("title: K = 3,", "title: K = 3, decode: {chunk: bla},", "decode: chunk: 'bla' is not a d"),
        ('["composed data/played"]', "[\"digits 'my speech\"]",
         "corpora: a quote is not closed in \"digits 'my speech\""),
        ("{model.encoder.uses: 3}", "{model.encoder.uses: 3, seed: 7}",
         "cells.k3: seed cannot be set here: `seeds` says with which ones"),
        ("{model.encoder.uses: 3}", "{training.threads: 7}", "cells.k3: training.threads cannot"),
        ("title: K = 3,", "title: K = 3, task_set: {translation: {training.initialise_from: m}},",
         "cells.k3: training.initialise_from cannot be set here: `tasks.translation.after` says"),
    ],
)  # fmt: skip
def test_a_wrong_experiment_is_named(recipe: Path, old: str, new: str, message: str) -> None:
    path = recipe / "experiment.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(SpecError, match=message):
        read_experiment(recipe)


def test_a_cell_that_fits_no_configuration_is_named(recipe: Path) -> None:
    path = recipe / "experiment.yaml"
    path.write_text(path.read_text().replace("uses: 3", "uses: 2"))
    with pytest.raises(
        SpecError, match=r"recognition/k3/1: .*base.yaml: model\.encoder: uses: 3 l"
    ):
        plan(read_experiment(recipe), recipe)


def test_a_head_that_the_model_does_not_have_is_named(recipe: Path) -> None:
    path = recipe / "experiment.yaml"
    path.write_text(path.read_text().replace("title: K = 3,", "title: K = 3, decode: {head: ctx},"))
    with pytest.raises(SpecError, match=r"recognition/k3/1: decode\.head: there is no 'ctx'; did"):
        plan(read_experiment(recipe), recipe)


@pytest.mark.parametrize("other", ["experiment.yaml", "others.yaml"])
def test_an_experiment_takes_runs_of_another_one_that_is_there(recipe: Path, other: str) -> None:
    path = recipe / "experiment.yaml"
    path.write_text(f"runs_of: {other}\n{path.read_text()}")
    with pytest.raises(SpecError, match=r"experiment\.yaml: runs_of: expected the YAML of another"):
        plan(read_experiment(recipe), recipe)


def test_a_folder_without_an_experiment(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no experiment\.yaml"):
        read_experiment(tmp_path)


def test_a_task_has_settings_of_its_own(recipe: Path) -> None:
    path = recipe / "experiment.yaml"
    own = "title: K = 3, task_set: {translation: {training.steps: 7}},"
    path.write_text(path.read_text().replace("title: K = 3,", own, 1))
    runs = plan(read_experiment(recipe), recipe).runs
    both = [runs[f"{task}/k3/1"].config for task in ("recognition", "translation")]
    assert [config.model.encoder.uses for config in both] == [3, 3]
    assert both[0].training.steps != both[1].training.steps == 7
    assert runs["translation/dense/1"].config.training.steps != 7


def test_every_run_is_planned_with_what_it_needs(recipe: Path) -> None:
    planned = plan(read_experiment(recipe), recipe)
    cells = {"recognition": ("dense", "k3", "k3-int8"), "translation": ("dense", "k3")}
    assert list(planned.runs) == [
        f"{task}/{cell}/{seed}" for seed in (1, 2) for task, own in cells.items() for cell in own
    ]
    runs = planned.runs
    assert planned.results == recipe / "results" / "experiment.jsonl"
    assert runs["recognition/k3/2"].needs is None
    assert runs["recognition/k3-int8/2"].needs == "recognition/k3/2"
    assert runs["recognition/k3-int8/2"].model == runs["recognition/k3/2"].model
    assert runs["translation/k3/2"].needs == "recognition/k3/2"
    config = runs["translation/k3/2"].config
    assert config.training.initialise_from == "runs/played/recognition/k3/2/model"
    assert (config.seed, config.training.threads, config.model.encoder.uses) == (2, 1, 3)


def test_the_settings_of_a_run_give_its_configuration(recipe: Path) -> None:
    from foldformer.train.config import read_config

    for run in plan(read_experiment(recipe), recipe).runs.values():
        assert read_config(run.base, list(run.settings)) == run.config


def test_patterns_choose_runs_and_what_they_need(recipe: Path) -> None:
    planned = plan(read_experiment(recipe), recipe)
    assert list(chosen(planned, ["translation/k3/2"])) == ["recognition/k3/2", "translation/k3/2"]
    assert list(chosen(planned, ["k3-int*"])) == [
        "recognition/k3/1", "recognition/k3-int8/1", "recognition/k3/2", "recognition/k3-int8/2",
    ]  # fmt: skip
    assert chosen(planned, []) == planned.runs
    with pytest.raises(
        SpecError, match="--only k4: matches no run TASK/CELL/SEED and no cell; one of"
    ):
        chosen(planned, ["k4"])


def test_what_is_needed_is_found_wherever_its_cell_stands(recipe: Path) -> None:
    path = recipe / "experiment.yaml"
    text = path.read_text().replace(", tasks: [recognition]", "")
    first, last = text.index("  dense: {"), text.index("smoke:")
    cells = text[first:last]
    int8 = cells.index("  k3-int8")
    path.write_text(text[:first] + cells[int8:] + cells[:int8] + text[last:])
    planned = plan(read_experiment(recipe), recipe)
    assert set(chosen(planned, ["translation/k3-int8/1"])) == {
        "translation/k3-int8/1", "translation/k3/1", "recognition/k3/1",
    }  # fmt: skip


def test_a_smoke_test_is_small_and_apart(recipe: Path) -> None:
    planned = plan(read_experiment(recipe), recipe, smoke=True)
    assert list(planned.runs) == [
        "recognition/dense/1", "recognition/k3/1", "recognition/k3-int8/1",
        "translation/dense/1", "translation/k3/1",
    ]  # fmt: skip
    assert planned.results == Path("runs/played-smoke/results/experiment.jsonl")
    assert planned.spec.about_sets == {}  # which tell of the real ones
    assert planned.beside is None  # so that every cell runs
    for run in planned.runs.values():
        assert run.config.training.steps == 1
        assert Path("runs/played-smoke") in run.place.parents


def test_a_compressed_cell_is_planned_with_the_model_that_it_is_made_of(compressed: Path) -> None:
    run = plan(read_experiment(compressed), compressed).runs["recognition/k3-short/1"]
    assert run.needs == "recognition/dense/1"
    assert run.source == Path("runs/played/recognition/dense/1/model")
    assert (run.config.model.encoder.uses, run.config.training.steps) == (3, 2)
    assert dict(run.settings) == {
        "data.train": '"data/played/train.jsonl.gz"',
        "data.valid": '"data/played/dev.jsonl.gz"',
        "training.steps": "2",
        "training.threads": "1",
    }
    small = plan(read_experiment(compressed), compressed, smoke=True).runs["recognition/k3-short/1"]
    assert small.config.training.steps == 1
    assert not any(key.startswith("model") for key, _ in small.settings)
    path = compressed / "experiment.yaml"
    path.write_text(path.read_text().replace("of: dense, uses: 3", "of: dense, uses: 2"))
    with pytest.raises(SpecError, match=r"recognition/k3-short/1: .*uses: 3 layers"):
        plan(read_experiment(compressed), compressed)
