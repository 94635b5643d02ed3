"""What loading took goes back, and a stream needs no numpy."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foldformer.deploy import memory

Exported = Callable[..., Path]
Script = Callable[..., Any]

LOADED = """
import json
from array import array
import foldformer.deploy
from foldformer.measure.process import held

recognizer = foldformer.deploy.load(sys.argv[1], memory=sys.argv[2])
loaded = held()
stream = recognizer.stream()
wave = array("f", [((i * 7919) % 2003) / 2003 - 0.5 for i in range(16000)])
for _ in range(3):
    stream.accept(wave)
tokens = stream.finish().tokens
print(json.dumps([loaded.rss - loaded.private, held().rss, "numpy" in sys.modules, tokens]))
"""


def test_loading_leaves_little_behind(exported: Exported, script: Script) -> None:
    """Pages of libraries that loading alone has touched: some 20 MB of these processes."""
    folder = exported("ctc", True)
    found = {name: script(LOADED, folder, name) for name in ("quick", "small", "system")}
    for name in ("quick", "small"):
        assert found[name][0] < 8e6 < 20e6 < found["system"][0]
        assert found[name][1] < found["system"][1] - 8e6
    assert all(tokens for *_, tokens in found.values())
    assert found["quick"][2:] == found["small"][2:] == found["system"][2:]
    assert found["quick"][2] is False


FIRST = """
import json
import sherpa_onnx

calls = []
decode = sherpa_onnx.OnlineRecognizer.decode_stream
sherpa_onnx.OnlineRecognizer.decode_stream = lambda self, s: (calls.append(1), decode(self, s))
import foldformer.deploy
recognizer = foldformer.deploy.load(sys.argv[1])
print(json.dumps([len(calls), recognizer.stream().finish().tokens]))
"""


@pytest.mark.parametrize("head", ["ctc", "transducer"])
def test_no_chunk_of_a_user_is_the_first(exported: Exported, script: Script, head: str) -> None:
    calls, tokens = script(FIRST, exported(head, True))
    assert calls >= 1
    assert tokens == []


RESTING = """
import ctypes, json
from foldformer.deploy.memory import Loading, after_call
from foldformer.measure.process import held

memory = sys.argv[1]
Loading(memory).end()
rest = after_call(memory)
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
before = held().rss
blocks = [libc.malloc(100_000) for _ in range(200)]
for block in blocks:
    ctypes.memset(block, 1, 100_000)
for block in blocks[:-1]:  # the last one keeps the others from the end of the heap
    libc.free(block)
rest()
print(json.dumps(held().rss - before))
"""


def test_what_is_kept_between_chunks(script: Script) -> None:
    assert script(RESTING, "small") < 2e6
    assert script(RESTING, "quick") > 18e6


PLAIN = """
import json
from array import array
import numpy as np
import foldformer.deploy
from foldformer.errors import InputError

recognizer = foldformer.deploy.load(sys.argv[1])
wave = (0.3 * np.sin(np.cumsum(np.linspace(0.02, 2, 40000)))).astype(np.float32)
said = []
for kinds in ((np.asarray, np.asarray), (lambda w: array("f", w), lambda w: array("f", w)),
              (lambda w: array("f", w), np.asarray), (np.asarray, lambda w: array("f", w))):
    stream = recognizer.stream()
    for kind, part in zip(kinds, (wave[:17000], wave[17000:])):
        stream.accept(kind(part))
    said.append(stream.finish().tokens)
refused = []
stream = recognizer.stream()
stream.accept(array("f", wave[:17000]))
for bad in ((array("f", [float("nan")]), 16000), (wave, 8000)):
    try:
        stream.accept(*bad)
    except InputError as error:
        refused.append(str(error))
stream.accept(array("f", wave[17000:]))
said.append(stream.finish().tokens)
print(json.dumps([said, refused]))
"""


def test_samples_of_any_kind(exported: Exported, script: Script) -> None:
    said, refused = script(PLAIN, exported("ctc", True))
    assert all(tokens == said[0] for tokens in said)
    assert len(said[0]) >= 2
    assert refused == [
        "the stream holds NaN or infinite samples; expected finite numbers",
        "sampling_rate: the stream began at 16000 Hz, now 8000 Hz",
    ]


def test_where_there_is_no_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda *args, **kwargs: object())
    loading = memory.Loading("small")
    loading.end()
    assert not memory.give_back_above(65536)


def test_pages_that_were_written_are_left_alone() -> None:
    """The data of a library, which differ from its file, and Python itself survive."""
    code = """
import ctypes, decimal, json, sqlite3
from foldformer.deploy.memory import Loading, _unwritten
loading = Loading("quick")
before = len(set(_unwritten()))
loading.end()
assert before > 20
print(json.dumps(str(decimal.Decimal(2).sqrt())), sqlite3.connect(":memory:").execute(
    "select 6 * 7").fetchone())
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == '"1.414213562373095048801688724" (42,)\n'


HOURS = """
import json
from array import array
import foldformer.deploy
from foldformer.measure.process import held

recognizer = foldformer.deploy.load(sys.argv[1], endpoint=0.3, longest=8, memory=sys.argv[2])
stream = recognizer.stream()
wave = [((i * i * 7919) % 2003) / 2003 - 0.5 for i in range(48000)]
blocks = [array("f", wave[i : i + 1600]) for i in range(0, 48000, 1600)]
blocks += 20 * [array("f", bytes(6400))]
segments, rss, last = [], [], 0.0
for minute in range(6):
    for number in range(600):
        stream.accept(blocks[number % len(blocks)])
        if stream.endpoint:
            found = stream.cut()
            assert all(time >= last - 0.2 for time in found.times)
            last = stream.seconds
            segments.append(len(found.tokens))
    rss.append(held().rss)
print(json.dumps([segments, rss]))
"""


@pytest.mark.parametrize("head", ["ctc", "transducer"])
def test_a_stream_without_end_does_not_grow(exported: Exported, script: Script, head: str) -> None:
    """Minutes of sound and silence, cut at each endpoint; benchmarks/day_of_streaming.py: a day."""
    segments, rss = script(HOURS, exported(head, True), "quick")
    assert len(segments) >= 40
    assert sum(segments) >= 40
    assert rss[-1] - rss[0] < 1e6
