"""The verb finds its corpora by the folder, and costs no heavy import."""

import subprocess
import sys

import pytest

from foldformer.cli.main import main


def test_lists_the_corpora(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["corpus", "--help"])
    assert stop.value.code == 0
    assert "composed" in capsys.readouterr().out


def test_an_unknown_corpus_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["corpus", "librispeach", "x"])
    assert stop.value.code == 2
    assert "librispeach" in capsys.readouterr().err


def test_help_imports_nothing_heavy():
    program = (
        "import sys\n"
        "from foldformer.cli.main import build_parser\n"
        "build_parser()\n"
        "print(sorted({'numpy', 'torch', 'lhotse', 'soundfile', 'lightning'} & set(sys.modules)))"
    )
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert outcome.stdout.strip() == "[]", outcome.stderr
