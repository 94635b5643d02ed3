"""The bar of a command, where its output is no terminal."""

import re
import time

import pytest

from foldformer.cli._bar import bar


def test_a_logged_bar_counts_what_this_call_has_done(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("steps", logged=True) as advance:
        for done in range(1000, 1003):
            time.sleep(0.05)
            advance(done, 1002, f"loss {done}")
    last = capsys.readouterr().err.rstrip().split("\r")[-1]
    found = re.fullmatch(r"100%\|.*\| 1002/1002 \[.*?([\d.]+) steps/s, loss 1002\]", last)
    assert found is not None, last
    assert float(found[1]) < 100  # and not a thousand in a moment


def test_other_bars_are_for_terminals(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("steps") as advance:
        advance(7, 7)
    assert capsys.readouterr().err == ""
