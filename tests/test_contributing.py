"""The worked example of CONTRIBUTING.md: the files in it work, and pass the contract."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MIXER, TEST = "src/foldformer/nn/mixers/conv.py", "tests/nn/mixers/test_conv.py"

# A pytest plugin: the folder of the mixers goes on in a second place.
PLUGIN = """
from pathlib import Path
from foldformer.nn import mixers
mixers.__path__.append(str(Path(__file__).parent / "mixers"))
"""


def files_in(document: Path) -> dict[str, str]:
    """{path: content} of each code block that stands below a line with its path in bold."""
    blocks = re.findall(
        r"^\*\*(\S+)\*\*\n\n```python\n(.*?)^```$",
        document.read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    return dict(blocks)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A folder with the example's mixer in `mixers/`, its test, and the plugin."""
    files = files_in(ROOT / "CONTRIBUTING.md")
    assert set(files) == {MIXER, TEST}
    (tmp_path / "mixers").mkdir()
    (tmp_path / "mixers" / "conv.py").write_text(files[MIXER], encoding="utf-8")
    (tmp_path / "test_conv.py").write_text(files[TEST], encoding="utf-8")
    (tmp_path / "example_plugin.py").write_text(PLUGIN, encoding="utf-8")
    return tmp_path


def test_example_passes_its_test_and_the_contract(example: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "example_plugin",
        "-p",
        "no:cacheprovider",
    ]
    contract = ROOT / "tests" / "contract"
    ran = subprocess.run(
        [*command, "-k", "conv", "--no-cov", str(contract), str(example / "test_conv.py")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(example), str(ROOT / "src")])},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = re.search(r"(\d+) passed", ran.stdout)
    assert found is not None
    own, kind = 6, 16
    assert int(found[1]) >= own + kind
    assert not re.search(r"skipped|xfailed", ran.stdout)


def test_example_keeps_to_the_house_style(example: Path) -> None:
    files = files_in(ROOT / "CONTRIBUTING.md")
    for path, text in files.items():
        for check in (["check"], ["format", "--check"]):
            ran = subprocess.run(
                [sys.executable, "-m", "ruff", *check, "--stdin-filename", path, "-"],
                input=text,
                capture_output=True,
                text=True,
                cwd=ROOT,
            )
            assert ran.returncode == 0, ran.stdout + ran.stderr
