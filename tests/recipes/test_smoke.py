"""Cells of the experiments of recipes: trained, or compressed, and heard, by real commands.

The commands are those of `foldformer experiment --smoke`, but for the start of Python and the
imports, which take most of the time of a command so small: each is a fork of one process that has
imported all. How a command is really started is the business of `tests/e2e/test_experiment.py`.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from foldformer.experiment.plan import plan
from foldformer.experiment.results import read_results
from foldformer.experiment.runner import Runner
from foldformer.experiment.spec import read_experiment

RECIPES = Path(__file__).parents[2] / "recipes"
SERVER = """
import json, os, signal, socket, sys
import foldformer.compress.folder, foldformer.decode.evaluate, foldformer.report.scores
import foldformer.train.recovery, foldformer.train.run
from foldformer.cli.main import main

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
with socket.socket(socket.AF_UNIX) as listening:
    listening.bind("server")
    listening.listen()
    print("ready", flush=True)
    while True:
        connection, _ = listening.accept()
        if os.fork():
            connection.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        words, outputs, _, _ = socket.recv_fds(connection, 65536, 2)
        for number, output in enumerate(outputs, start=1):
            os.dup2(output, number)
        code = main(json.loads(words))
        sys.stdout.flush()
        connection.send(bytes([code]))
        os._exit(0)
"""

CLIENT = """
import json, socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect("server")
    socket.send_fds(connection, [json.dumps(sys.argv[2:]).encode()], [1, 2])
    code = connection.recv(1)
sys.exit(code[0] if code else "foldformer: error: the process has died")
"""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ...]]:
    """What runs the steps of an experiment, in a folder of its own with the recipes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "recipes").symlink_to(RECIPES)
    (tmp_path / "client.py").write_text(CLIENT)
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield (sys.executable, "-I", "-S", "client.py")
    finally:
        server.kill()
        server.communicate()


@pytest.mark.parametrize("name", ["experiment", "ablations", "rates"])
def test_every_cell_runs(name: str, command: tuple[str, ...]) -> None:
    """In each task, with its first seed."""
    path = RECIPES / "paper_table" / f"{name}.yaml"
    planned = plan(read_experiment(path), path, smoke=True)
    cells = {name.rpartition("/")[0]: name for name in reversed(planned.runs)}
    runs = {name: planned.runs[name] for name in planned.runs if name in cells.values()}
    runner = Runner(planned, runs, 2, print, lambda line: None, command)
    assert runner.run(), runner.failed
    results = read_results(planned.results).results
    assert results.keys() == runs.keys()
    for each, result in results.items():
        run = runs[each]
        assert result.smoke
        assert result.scores.keys() == run.sets.keys()
        assert len(result.similarity) == (run.config.model.encoder.num_layers if run.trains else 0)
