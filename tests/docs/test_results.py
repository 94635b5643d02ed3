"""Every figure that a document quotes of results is what the committed results say."""

import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from foldformer.experiment.origin import digests
from foldformer.experiment.plan import plan
from foldformer.experiment.results import read_results
from foldformer.experiment.spec import read_experiment, results_file
from foldformer.report.evidence import read_evidence
from foldformer.report.quoted import copied, quotes, updated

cached_plan = cache(lambda path: plan(read_experiment(path), path).runs)

ROOT = Path(__file__).parents[2]
ALL = [ROOT / "README.md", *ROOT.glob("recipes/**/*.md"), *ROOT.glob("docs/**/*.md")]
DOCUMENTS = [document for document in ALL if quotes(document)]
EXPERIMENTS = [
    path for path in sorted(ROOT.glob("recipes/*/*.yaml")) if "\ncells:\n" in path.read_text()
]


def test_there_is_something_to_check() -> None:
    assert ROOT / "recipes" / "paper_table" / "README.md" in DOCUMENTS
    names = [path.name for path in EXPERIMENTS]
    assert names == ["ablations.yaml", "experiment.yaml", "rates.yaml"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_agree_with_results(document: Path) -> None:
    assert updated(document) == document.read_text(encoding="utf-8"), (
        f"foldformer report --update {document.relative_to(ROOT)}"
    )


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_no_figure_is_copied_by_hand(path: Path) -> None:
    """A log of what was tried tells of its day, and may."""
    evidence = read_evidence(path)
    found = {str(each): copied(each, evidence) for each in ALL if each.name != "LOG.md"}
    assert not any(found.values()), f"quote by a mark, see docs/how-to/experiments.md: {found}"


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_committed_results_are_real_and_whole(path: Path) -> None:
    """None of a smoke test, each of a run that is planned, each with its counts."""
    recorded = read_results(results_file(path))
    planned = cached_plan(path)
    for name, result in recorded.results.items():
        assert not result.smoke
        assert name in planned
        assert not result.code.revision.endswith("+"), "made by code that is in no commit"
        assert recorded.counts(result).keys() == planned[name].sets.keys()


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The package as it was at a revision."""

    @cache
    def at(revision: str) -> Path:
        folder = tmp_path_factory.mktemp(revision)
        packed = folder / "sources.tar"
        words = (
            "git",
            "-C",
            str(ROOT),
            "archive",
            f"--output={packed}",
            revision,
            "src/foldformer",
        )
        subprocess.run(words, check=True)
        subprocess.run(("tar", "-xf", str(packed), "-C", str(folder)), check=True)
        return folder / "src" / "foldformer" / "__init__.py"

    return at


def _has_history() -> bool:
    words = ("git", "-C", str(ROOT), "rev-parse", "--is-shallow-repository")
    return subprocess.run(words, capture_output=True, text=True).stdout.strip() == "false"


@pytest.mark.skipif(not _has_history(), reason="the history of the sources is not here, or cut")
@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_digests_of_code_are_those_of_the_revisions(
    path: Path, sources: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the rule of now, so that lines of several revisions can be told alike or not."""
    results = read_results(results_file(path)).results.values()
    for code in {each.code for each in results}:
        monkeypatch.setattr("foldformer.__file__", str(sources(code.revision)))
        assert digests(code.compress is not None) == (code.digest, code.compress)


@pytest.mark.parametrize(
    ("pair", "cells"),
    [
        (("ablations", "experiment"), {"dense", "k3-r2", "k3-r16", "k6-r16", "k9-r16"}),
        (("ablations", "rates"), {"dense", "dense-5000", "k3-r16-5000"}),
        (("experiment", "rates"), {"dense"}),
    ],
)
def test_cells_of_the_same_name_are_the_same_models(pair: tuple[str, str], cells: set[str]) -> None:
    """So that the second experiment takes the models of the first, and no reader is misled."""
    first, second = (read_experiment(path) for path in EXPERIMENTS if path.stem in pair)
    assert first.cells.keys() & second.cells.keys() == cells
    for task in first.tasks.keys() & second.tasks.keys():
        a, b = first.tasks[task], second.tasks[task]
        assert (a.config, a.measure, a.after) == (b.config, b.measure, b.after)
        assert all(a.sets[name] == b.sets[name] for name in a.sets.keys() & b.sets.keys())
        for name in cells:
            c, d = first.cells[name], second.cells[name]
            assert c.set_for(task) == d.set_for(task)
            assert (c.compress, c.model_of, c.decode) == (d.compress, d.model_of, d.decode)


def test_models_of_the_same_bytes_have_about_the_same() -> None:
    import torch

    from foldformer.measure.size import sizes, total

    runs = cached_plan(EXPERIMENTS[0])

    def size(cell: str) -> int:
        spec = runs[f"recognition/{cell}/1"].config.with_vocabulary(80).model
        with torch.device("meta"):
            return total(each for _, each in sizes(spec.build())).fp32

    for shared in ("k3-r16", "k9-r16"):
        for kind in ("narrow", "shallow", "low-rank"):
            assert abs(size(f"{kind}-as-{shared}") / size(shared) - 1) < 0.03
