"""Options for ONNX Runtime: what stays in whole numbers in memory, with the same text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch

from foldformer.checkpoint import ModelConfig
from foldformer.data.tokens import Tokens
from foldformer.deploy.check import check_export, read_provider
from foldformer.deploy.export.make import export
from foldformer.deploy.folder import PROVIDER, SMALL_PROVIDER, StreamSpec
from foldformer.deploy.memory import Memory
from foldformer.deploy.runtime import Decoding, opening
from foldformer.errors import InputError
from foldformer.measure.process import Task, _session_options
from foldformer.model import ModelSpec
from foldformer.spec import from_dict

Script = Callable[..., Any]

SYMBOLS = ["<blk>", "<unk>", "▁", *"abcdefgh"]
CHANNELS = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stream in int8."""
    encoder = {
        "d_model": 32,
        "num_layers": 2,
        "uses": 2,
        "mixer": {"kind": "attention", "num_heads": 2},
        "feed_forward": {"kind": "dense", "d_ff": 32},
        "linear": {"kind": "residual", "rank": 2},
        "subsampling": {"channels": CHANNELS},
        "left_context": 8,
    }
    torch.manual_seed(1)
    spec = {"vocab_size": len(SYMBOLS), "encoder": encoder, "heads": [{"kind": "ctc"}]}
    model = from_dict(ModelSpec, spec).build().eval()
    with torch.no_grad():
        model.head("ctc").output.bias[:2] -= 9  # neither blanks nor <unk>
    folder = tmp_path_factory.mktemp("provider") / "export"
    export(
        model,
        Tokens(SYMBOLS),
        ModelConfig(model=model.spec),
        folder,
        name="convolutions",
        stream=StreamSpec(chunk=4, left_context=8),
        precision="int8",
    )
    return folder


def run_as(folder: Path, memory: Memory, path: Path) -> list[str]:
    """The operators that `foldformer measure` runs in ONNX Runtime."""
    provider = read_provider(folder, memory)
    task = Task("onnxruntime", "", "", "", {}, provider, 1, 4, 0, "", "", [], 1.0, memory)
    options = _session_options(task)
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(folder / "model.onnx", options)
    return [node.op_type for node in onnx.load(path).graph.node]


def test_the_graph_that_runs(folder: Path, tmp_path: Path) -> None:
    """Two convolutions and the `up` factors of six maps and two uses."""
    in_file = [node.op_type for node in onnx.load(folder / "model.onnx").graph.node]
    assert in_file.count("DequantizeLinear") == 2 + 6 * 2
    found = {
        memory: run_as(folder, memory, tmp_path / memory) for memory in ("small", "quick", "system")
    }
    assert found["small"].count("DequantizeLinear") == 2 + 6 * 2
    assert "DequantizeLinear" not in found["quick"] + found["system"]


HEARD = """
import json
from array import array
import foldformer.deploy

recognizer = foldformer.deploy.load(sys.argv[1], memory="small")
stream = recognizer.stream()
wave = array("f", [((i * i * 7919) % 2003) / 2003 - 0.5 for i in range(16000)])
for _ in range(3):
    stream.accept(wave)
tokens = stream.finish().tokens
print(json.dumps(tokens))
"""


def test_small_writes_the_same(folder: Path, script: Script, tmp_path: Path) -> None:
    """In sherpa-onnx, against the same without the options for it."""
    without = tmp_path / "without"
    without.mkdir()
    for path in folder.iterdir():
        if path.name != SMALL_PROVIDER:
            (without / path.name).write_bytes(path.read_bytes())
    tokens, same = (script(HEARD, each) for each in (folder, without))
    assert tokens == same
    assert len(set(tokens)) > 1


def test_which_file_is_taken(folder: Path, exported: Callable[..., Path]) -> None:
    def provider(folder: Path, memory: Memory) -> str:
        spec, _ = check_export(folder)
        words: str = opening(folder, spec, Decoding(memory=memory)).options["provider"]
        return words

    assert provider(folder, "small") == f"cpu:{folder / SMALL_PROVIDER}"
    plain = exported("ctc", True)  # fp32: all is the same for it
    for memory in ("quick", "system"):
        assert provider(folder, memory) == f"cpu:{folder / PROVIDER}"
    assert provider(plain, "small") == f"cpu:{plain / PROVIDER}"


def test_a_damaged_file_is_found(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / SMALL_PROVIDER).write_text("whole numbers\n")
    with pytest.raises(InputError, match=r"provider-small\.cfg: line 1"):
        check_export(tmp_path)


def test_the_level_is_that_of_sherpa() -> None:
    """`GraphOptimizationLevel`, where somebody writes it into the file."""
    task = Task(
        "", "", "", "", {}, {"GraphOptimizationLevel": "0"}, 1, 0, 0, "", "", [], 1.0, "quick"
    )
    level = _session_options(task).graph_optimization_level
    assert level == onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
