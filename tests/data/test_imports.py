import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["audio", "features", "tokens"])
def test_a_device_needs_neither_torch_nor_lhotse(module: str) -> None:
    code = (
        f"import sys, foldformer.data.{module}\n"
        "print(sorted({'torch', 'lhotse', 'lightning', 'sentencepiece'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
