"""What `export.yaml` says, read without PyTorch."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from foldformer.deploy.folder import ExportSpec, SourceSpec, StreamSpec, read_export
from foldformer.errors import InputError, SpecError
from foldformer.spec import from_dict, to_dict, write_yaml

SPEC = ExportSpec(
    kind="streaming-transducer",
    model_type="zipformer2",
    vocab_size=9,
    stream=StreamSpec(chunk=8, left_context=128),
    provider={"EnableCpuMemArena": "0"},
    weight_bytes=1000,
    difference=1e-6,
    source=SourceSpec(name="a", trained=True, parameters=250, foldformer="0.1.0"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_yaml(tmp_path / "export.yaml", SPEC)
    for name in (*SPEC.files, "tokens.txt", "provider.cfg"):
        (tmp_path / name).touch()
    return tmp_path


def test_what_was_written_is_read(folder: Path) -> None:
    assert read_export(folder) == SPEC


def test_kind_says_what_is_in_the_folder() -> None:
    assert SPEC.streams
    assert SPEC.head == "transducer"
    assert SPEC.files == ("encoder.onnx", "decoder.onnx", "joiner.onnx")
    data = to_dict(SPEC) | {"kind": "offline-ctc", "model_type": "zipformer_ctc", "stream": None}
    other = from_dict(ExportSpec, data)
    assert (other.streams, other.head, other.files) == (False, "ctc", ("model.onnx",))


@pytest.mark.parametrize("kind", ["offline-ctc", "streaming-ctc"])
def test_a_stream_belongs_to_streaming_kinds(kind: str) -> None:
    stream = None if kind.startswith("streaming") else {"chunk": 8, "left_context": 0}
    with pytest.raises(SpecError, match="stream: expected for streaming kinds alone"):
        from_dict(ExportSpec, to_dict(SPEC) | {"kind": kind, "stream": stream})


def change(**values: object) -> Callable[[Path], object]:
    text = yaml.safe_dump(to_dict(SPEC) | values)
    return lambda folder: (folder / "export.yaml").write_text(text)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change(format=2), "format 2 is newer than this version knows"),
        (change(format=True), "format: expected a whole number, got True"),
        (change(kind="offline-rnn"), "kind: 'offline-rnn' is none of"),
        (change(chunk=8), "chunk: unknown key"),
        (lambda folder: (folder / "export.yaml").write_text("- a"), "expected a mapping of keys"),
        (lambda folder: (folder / "export.yaml").unlink(), "export.yaml: missing; is this an exp"),
        (lambda folder: (folder / "decoder.onnx").unlink(), "decoder.onnx: missing; export the"),
        (lambda folder: (folder / "tokens.txt").unlink(), "tokens.txt: missing"),
    ],
)
def test_damage_is_found(folder: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(folder)
    with pytest.raises(InputError, match=message):
        read_export(folder)


def test_what_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder; expected an export"):
        read_export(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not a folder"):
        read_export(tmp_path / "file")
    with pytest.raises(InputError, match="its name is not UTF-8"):
        read_export(tmp_path / os.fsdecode(b"\xff"))


def test_the_device_side_needs_neither_torch_nor_onnx() -> None:
    code = """
import importlib, pkgutil, sys
from foldformer import deploy
for info in pkgutil.iter_modules(deploy.__path__):
    if info.name not in ("export", "evaluate"):  # which want the extras export and train
        importlib.import_module(f"foldformer.deploy.{info.name}")
print({"torch", "onnx", "onnx_ir", "onnxscript"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
