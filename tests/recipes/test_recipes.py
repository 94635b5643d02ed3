"""Every command of a recipe's README, from the corpus to the evaluation, on a miniature."""

import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from lhotse import CutSet

from foldformer.experiment.plan import plan
from foldformer.experiment.results import read_results
from foldformer.experiment.spec import read_experiment
from foldformer.presets import preset
from foldformer.train.config import read_config

RECIPES = Path(__file__).parents[2] / "recipes"
EXPERIMENTS = [
    RECIPES / "paper_table" / f"{name}.yaml" for name in ("experiment", "ablations", "rates")
]
TRAINED = sorted({*RECIPES.glob("*/*.yaml")} - {*EXPERIMENTS})

Said = list[tuple[str, str]]
Follow = Callable[[str, int], Said]
Write = Callable[..., None]


def outputs(said: Said, beginning: str) -> list[str]:
    """What the commands that begin like this printed."""
    return [output for command, output in said if command.startswith(f"foldformer {beginning}")]


def utterances(report: str) -> list[int]:
    """Those that a check reports of each manifest, over all languages."""
    tables = re.split(r"^(?:training|validation): ", report, flags=re.M)[1:]
    counted = [re.findall(r"^  (\S+) +(\d+) +\d+\.\d\d ", table, re.M) for table in tables]
    return [int(dict(rows).get("all", rows[0][1])) for rows in counted]


def text_field(model: str) -> str:
    field: str = yaml.safe_load(Path(model, "config.yaml").read_text())["text"]
    return field


def languages(model: str) -> list[str]:
    found: list[str] = yaml.safe_load(Path(model, "config.yaml").read_text())["languages"]
    return found


@pytest.mark.usefixtures("apt")
def test_asterisk(follow: Follow) -> None:
    said = follow("asterisk", 22)
    (check,) = outputs(said, "train recipes/asterisk/asr.yaml --check")
    assert utterances(check) == [25, 10]
    (check,) = outputs(said, "train recipes/asterisk/translate.yaml --check")
    assert utterances(check) == [18, 8]
    assert re.search(r" 2 +\d+\.\d\d%  each has more tokens in its text than frames", check)
    test, unseen, translated = outputs(said, "evaluate")
    assert re.search(r"^all +10 ", test, re.M)
    assert re.search(r"^all +2 ", unseen, re.M)
    assert re.search(r"^all +8 .*\d\.\d \[", translated, re.M)  # BLEU
    assert text_field("runs/asterisk/asr") == "text"
    assert text_field("runs/asterisk/translate") == "translation_en"
    assert languages("runs/asterisk/asr") == ["en", "es", "fr", "it", "ru"]
    assert languages("runs/asterisk/translate") == ["es", "fr", "it", "ru"]
    card = Path("runs/asterisk/asr/README.md").read_text()
    assert "CC-BY-SA-3.0, CC-BY-3.0: see data/asterisk/README.md" in card


@pytest.mark.usefixtures("apt")
def test_tuxpaint(follow: Follow) -> None:
    said = follow("tuxpaint", 22)
    for recipe in ("asr", "translate"):
        (check,) = outputs(said, f"train recipes/tuxpaint/{recipe}.yaml --check")
        assert utterances(check)[1] == 3
    assert len(outputs(said, "evaluate")) == 2
    assert text_field("runs/tuxpaint/translate") == "translation_en"
    assert "GPL: see data/tuxpaint/README.md" in Path("runs/tuxpaint/asr/README.md").read_text()


def test_librispeech(follow: Follow, write_librispeech: Write) -> None:
    parts = {"train-clean-100": 3, "train-clean-360": 4, "train-other-500": 5}
    parts |= {"dev-clean": 2, "dev-other": 1, "test-clean": 2, "test-other": 1}
    parts |= {"train-clean-5": 3, "dev-clean-2": 4}
    write_librispeech(Path("data"), parts)
    said = follow("librispeech", 29)
    (check,) = outputs(said, "train recipes/librispeech/k3-r16.yaml --check")
    assert utterances(check) == [3, 4, 5, 2]
    clean, other = outputs(said, "evaluate")
    assert re.search(r"^all +2 ", clean, re.M)
    assert re.search(r"^all +1 ", other, re.M)
    # The transcripts in capitals are learned in lower case.
    assert "E" not in Path("runs/librispeech/k3-r16/tokens.txt").read_text().replace("<", "")
    assert Path("runs/mini/model.safetensors").exists()


def test_covost(follow: Follow, write_covost: Write) -> None:
    write_covost(Path("data"))
    said = follow("covost", 36)
    assert said[0][1].splitlines() == [
        "train: 7 utterances, 0.01 hours",
        "dev: 3 utterances, 0.00 hours",
        "test: 3 utterances, 0.00 hours",
        "left out: 2 clips that are missing or cannot be read",
        "left out: 1 clips without a translation",
        "left out: 1 translations without a clip in validated.tsv",
    ]
    train = {
        cut.id: cut.supervisions[0] for cut in CutSet.from_file("data/covost/de_en/train.jsonl.gz")
    }
    assert sorted(train) == [f"common_voice_de_{i}" for i in (0, 1, 3, 4, 5, 6, 7)]
    said_so = train["common_voice_de_1"]
    assert (said_so.text, said_so.language, said_so.speaker) == (
        'Er sagte: "Komm herein',
        "de",
        "speaker1",
    )
    assert said_so.custom == {"translation_en": 'He said: "Come in'}
    for recipe in ("asr", "translate"):
        (check,) = outputs(said, f"train recipes/covost/{recipe}.yaml --check")
        assert utterances(check) == [7, 3]
        assert "48000 Hz 100.0%" in check
    assert text_field("runs/covost/asr-de") == "text"
    assert text_field("runs/covost/de-en") == "translation_en"


def test_other_tables_are_refused(
    tmp_path: Path, write_covost: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_covost(tmp_path)
    voices = tmp_path / "cv-corpus-4-2019-12-10" / "de"
    table = tmp_path / "covost_v2.de_en.tsv"
    table.with_name("other.tsv").write_text("path\ttranslation\n")
    table.with_name("none.de_en.tsv").write_text("path\ttranslation\n")
    for name, message in (
        ("other.tsv", "expected a name like covost_v2.de_en.tsv"),
        ("none.de_en.tsv", "has no column split"),
    ):
        words = ["prepare.py", str(voices), str(table.with_name(name)), str(tmp_path / "out")]
        monkeypatch.setattr("sys.argv", words)
        with pytest.raises(SystemExit, match=message):
            runpy.run_path(str(RECIPES / "covost" / "prepare.py"), run_name="__main__")
    assert not (tmp_path / "out").exists()


def test_paper_table(follow: Follow) -> None:
    listed, smoke = follow("paper_table", 0)
    assert re.search(r"\n54 runs, [0-9.]+ h of one core; all done\n", listed[1])
    assert "done    recognition/k3-r2/1: WER composed " in smoke[1]
    results = read_results(Path("runs/paper_table-smoke/results/experiment.jsonl")).results
    assert list(results) == ["recognition/k3-r2/1"]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_cell_of_an_experiment_can_be_trained_and_heard(path: Path) -> None:
    """A step of each, as small as in a smoke test; the first seed of recognition."""
    assert path.stem in (path.with_name("README.md").read_text())
    runs = plan(read_experiment(path), path, smoke=True).runs.values()
    features, lengths = torch.randn(1, 160, 80), torch.tensor([160])
    targets = torch.tensor([[3, 4, 5]])
    for run in runs:
        if run.task != "recognition" or not run.trains:
            continue
        config = run.config.with_vocabulary(8)
        model = config.model.build().train()
        for chunk in config.training.chunk_frames or (None,):
            model(features, lengths, targets, torch.tensor([3]), chunk).sum().backward()
        assert all(p.grad is not None for p in model.encoder.parameters())
        model.head(run.decode.head or next(iter(model.heads)))
        if run.decode.chunk is not None:  # heard as it was trained
            assert run.decode.chunk in config.training.chunks


@pytest.mark.parametrize("recipe", TRAINED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_recipe_is_a_whole_configuration_and_its_readme_names_it(recipe: Path) -> None:
    config = read_config(recipe, [])
    assert config.output.startswith(("runs/", "demo/"))
    readme = (recipe.parent / "README.md").read_text()
    assert recipe.name in readme
    begun = config.training.initialise_from
    if begun is not None and recipe.parent.name != "demo":  # whose models are made by its script
        first = read_config(recipe.with_name("asr.yaml"), [])
        assert first.output == begun
        assert first.model.encoder == config.model.encoder


@pytest.mark.parametrize("name", ["librispeech/k3-r16", "covost/asr", "covost/translate"])
def test_the_paper_is_the_paper(name: str) -> None:
    model = read_config(RECIPES / f"{name}.yaml", []).with_vocabulary(500).model
    assert model == preset("paper-k3-r16")
    assert read_config(RECIPES / f"{name}.yaml", []).training.chunks
    dense = [("model.encoder.uses", "1"), ("model.encoder.linear.rank", "0")]
    dense_model = read_config(RECIPES / f"{name}.yaml", dense).with_vocabulary(500).model
    assert dense_model == preset("paper-dense")
