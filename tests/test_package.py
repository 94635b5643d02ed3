"""What an installed package promises: names, files, dependencies, a core that needs no torch."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import foldformer
from foldformer.cli.main import _EXTRAS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "foldformer"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Top-level module -> the distribution that brings it, where the two have different names.
DISTRIBUTIONS = {
    "yaml": "pyyaml",
    "kaldi_native_fbank": "kaldi-native-fbank",
    "onnx_ir": "onnx-ir",
    "sherpa_onnx": "sherpa-onnx",
}
# Declared for another package's sake: Lhotse imports urllib3, Lightning's logger
# tensorboard.
NOT_IMPORTED_BY_US = {"urllib3", "tensorboard"}


def names_of(requirements: list[str]) -> set[str]:
    """The distributions that requirements name, without foldformer's own extras."""
    names = {re.split(r"[^A-Za-z0-9_-]", requirement)[0] for requirement in requirements}
    return names - {"foldformer"}


def imported(path: Path) -> set[str]:
    """Third-party top-level modules that a file imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"foldformer"}


def without_extras(*words: str) -> subprocess.CompletedProcess[str]:
    """The command in a Python where no optional dependency can be imported."""
    blocked = sorted(_EXTRAS)
    code = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
from foldformer.cli.main import main
sys.exit(main({list(words)}))
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_public_names() -> None:
    assert foldformer.__all__ == sorted(foldformer.__all__, key=lambda n: (n[0].islower(), n))
    for name in foldformer.__all__:
        assert getattr(foldformer, name).__doc__, name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = foldformer.nothing


def test_import_is_light() -> None:
    code = "import sys, foldformer; print(sorted(set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in ast.literal_eval(found.stdout)}
    assert "foldformer" in loaded
    assert not loaded & {*_EXTRAS, "numpy", "onnx"}


@pytest.mark.parametrize("words", [("--help",), ("transcribe", "--help"), ("train", "--help")])
def test_help_needs_no_extra(words: tuple[str, ...]) -> None:
    ran = without_extras(*words)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("usage: foldformer")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("transcribe", "model", "a.wav"), "torch is not installed"),
        (("describe", "paper-dense"), "torch is not installed"),
        (("evaluate", "model", "cuts.jsonl.gz"), r"is not installed.*foldformer\[train\]"),
        (("train", "a.yaml"), "is not installed"),
        (("corpus", "composed", "out"), "lhotse is not installed"),
        (("export", "model"), r"is not installed.*foldformer\[export\]"),
    ],
)
def test_a_missing_extra_is_one_line(
    words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = without_extras(*words)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert re.fullmatch(
        r"foldformer: error: .*pip install 'foldformer\[(torch|train|export)\]'\n", ran.stderr
    )
    assert re.search(message, ran.stderr)


def test_dependencies_are_those_that_are_imported() -> None:
    extras = PROJECT["optional-dependencies"]
    users = ("torch", "hub", "transformers", "train", "export", "device")
    declared = names_of(PROJECT["dependencies"] + [r for extra in users for r in extras[extra]])
    modules = {name for path in PACKAGE.rglob("*.py") for name in imported(path)}
    assert {DISTRIBUTIONS.get(m, m) for m in modules} | NOT_IMPORTED_BY_US == declared


def test_the_missing_extra_that_a_message_names_brings_the_package() -> None:
    for package, extra in _EXTRAS.values():
        assert package in names_of(PROJECT["optional-dependencies"][extra])


def test_data_files_are_packaged() -> None:
    """Every file that is no code is matched by a pattern of the package data."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = tool["package-data"]["foldformer"]
    packaged = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    others = {
        path
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
    assert {"py.typed", "CREDITS.md", "en.flac", "en.tsv"} <= {path.name for path in others}
    assert others <= packaged


def test_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"].split(" AND ")[0]
    (paper,) = citation["references"]
    assert [each["value"] for each in paper["identifiers"]] == ["arXiv:2310.02489"]


def test_changelog_has_a_place_for_what_comes_next() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)
    assert releases[0] == "Unreleased"
    assert re.search(r"^### Model format$", text, re.MULTILINE)
