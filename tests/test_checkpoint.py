"""Model folders: what is written comes back, and what is damaged is named in one line."""

import ast
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from foldformer.checkpoint import ModelConfig, complete_files, load_model, save_model
from foldformer.errors import InputError
from foldformer.files import whole_file
from foldformer.model import Model, ModelSpec
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.heads.ctc import CtcSpec
from foldformer.nn.heads.transducer import TransducerSpec
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.nn.mixers.attention import AttentionSpec
from foldformer.spec import read_yaml, write_yaml


def spec(d_model: int = 8, heads: int = 2) -> ModelSpec:
    return ModelSpec(
        vocab_size=5,
        encoder=EncoderSpec(
            d_model=d_model,
            num_layers=2,
            uses=2,
            mixer=AttentionSpec(num_heads=2),
            feed_forward=DenseFeedForwardSpec(d_ff=16),
            linear=ResidualSpec(rank=2),
        ),
        heads=(CtcSpec(), TransducerSpec(predictor_dim=8, joiner_dim=8))[:heads],
    )


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    return spec().build()


@pytest.fixture
def folder(tmp_path: Path, model: Model) -> Path:
    about = ModelConfig(model=spec(), text="translation_es", languages=("en",), chunks=(8, 16))
    save_model(tmp_path, model, about)
    return tmp_path


def test_what_is_saved_comes_back(folder: Path, model: Model) -> None:
    loaded, config = load_model(folder)
    assert config.model == spec() == loaded.spec
    assert (config.text, config.languages, config.chunks) == ("translation_es", ("en",), (8, 16))
    assert not loaded.training
    expected = model.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
        assert tensor.device.type == "cpu"


def test_the_file_holds_every_weight_once(folder: Path, model: Model) -> None:
    weights = load_file(folder / "model.safetensors")
    assert sum(t.numel() for t in weights.values()) == sum(
        t.numel() for t in (*model.parameters(), *model.buffers())
    )


@pytest.mark.skipif(sys.platform == "win32", reason="has no such modes")
def test_others_may_read_what_the_user_lets_them_read(tmp_path: Path, model: Model) -> None:
    (tmp_path / "other").touch()
    save_model(tmp_path, model, ModelConfig(model=model.spec))
    modes = {path.name: path.stat().st_mode for path in tmp_path.iterdir()}
    assert modes["model.safetensors"] == modes["config.yaml"] == modes["other"]


def test_an_export_is_no_model_folder(tmp_path: Path) -> None:
    (tmp_path / "export.yaml").touch()
    with pytest.raises(InputError, match=r"is an export, .* foldformer\.deploy\.load"):
        load_model(tmp_path)


def test_loading_does_not_import_the_compiler(folder: Path) -> None:
    """Which takes more than a second, and nothing needs it."""
    code = "import sys; from foldformer.checkpoint import load_model; load_model(sys.argv[1]); "
    code += "print(sorted(sys.modules))"
    command = [sys.executable, "-c", code, str(folder)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    modules = ast.literal_eval(found.stdout)
    assert "foldformer.nn.heads.transducer" in modules
    assert "torch._dynamo" not in modules


def test_a_loaded_model_can_be_trained(folder: Path) -> None:
    loaded, _ = load_model(folder)
    features, lengths = torch.randn(1, 40, 80), torch.tensor([40])
    loaded(features, lengths, torch.tensor([[1, 2]]), torch.tensor([2])).sum().backward()
    assert all(p.grad is not None for p in loaded.parameters())


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def rename_weight(path: Path) -> None:
    weights = load_file(path)
    weights["another"] = weights.pop(min(weights))
    save_file(weights, path)


def halve_precision(path: Path) -> None:
    save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Path.unlink, "model.safetensors: missing; a model folder needs"),
        (truncate, "is damaged or no safetensors file"),
        (lambda path: path.write_bytes(b""), "is damaged or no safetensors file"),
        (lambda path: path.write_bytes(pickle.dumps({"a": 1})), "is damaged or no safetensors"),
        (lambda path: path.write_bytes(bytes(range(256)) * 9), "is damaged or no safetensors"),
        (lambda path: torch.save({"a": torch.ones(9)}, path), "is damaged or no safetensors"),
        (lambda path: save_model(path.parent, spec(heads=1).build(), ModelConfig(model=spec())),
         "does not fit config.yaml beside it: weight heads.transducer"),
        (lambda path: save_model(path.parent, spec().build(), ModelConfig(model=spec(heads=1))),
         "does not belong to it"),
        (lambda path: save_model(path.parent, spec(16).build(), ModelConfig(model=spec())),
         "has shape (2, 16), expected (2, 8)"),
        (rename_weight, "is missing"),
        (halve_precision, "is of type torch.float16, expected torch.float32"),
    ],
)  # fmt: skip
def test_damaged_weights_are_named(folder: Path, change, message: str) -> None:
    change(folder / "model.safetensors")
    with pytest.raises(InputError) as caught:
        load_model(folder)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(folder / "model.safetensors"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Path.unlink, "missing; a model folder needs"),
        (truncate, ""),
        (lambda path: path.write_text(""), "expected a mapping of keys"),
        (lambda path: path.write_text("output: m\n"), "is not the configuration of a model"),
        (lambda path: path.write_bytes(bytes(range(256))), "is not readable as YAML"),
        (lambda path: path.write_text(path.read_text().replace("format: 1", "format: 99")),
         "format 99 is newer than this version knows (1); update foldformer"),
        (lambda path: path.write_text(path.read_text().replace("format: 1", "format: one")),
         "format: expected a whole number, got 'one'"),
        (lambda path: path.write_text(path.read_text().replace("languages", "langages")),
         "langages: unknown key; did you mean 'languages'?"),
        (lambda path: path.write_text(path.read_text().replace("vocab_size: 5", "vocab_size:")),
         "model: vocab_size: missing"),
        (lambda path: path.write_text(path.read_text().replace("rank: 2", "rank: 9")),
         "is larger than the matrix allows"),
    ],
)  # fmt: skip
def test_a_damaged_configuration_is_named(folder: Path, change, message: str) -> None:
    change(folder / "config.yaml")
    with pytest.raises(InputError) as caught:
        load_model(folder)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(folder / "config.yaml"))
    assert "\n" not in str(caught.value)


def test_what_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder; expected a model folder"):
        load_model(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not a folder"):
        load_model(tmp_path / "file")


def test_the_configuration_is_plain_yaml(folder: Path) -> None:
    data = read_yaml(folder / "config.yaml")
    assert data["format"] == 1
    assert list(data) == ["format", "model", "text", "languages", "chunks"]
    write_yaml(folder / "again.yaml", load_model(folder)[1])
    assert (folder / "again.yaml").read_text() == (folder / "config.yaml").read_text()


def test_complete_files_come_all_at_once(tmp_path: Path) -> None:
    place = tmp_path / "new" / "folder"
    with complete_files(place) as beside:
        (beside / "a").write_text("first")
        assert not (place / "a").exists()
    assert [path.name for path in place.iterdir()] == ["a"]

    def interrupted() -> None:
        with complete_files(place) as beside:
            (beside / "a").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in place.iterdir()] == ["a"]
    assert (place / "a").read_text() == "first"


def test_an_error_of_reading_is_not_laid_on_the_place_written(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"audio\.wav: No such file or directory"),
        complete_files(tmp_path / "out"),
    ):
        (tmp_path / "audio.wav").read_bytes()
    with (
        pytest.raises(InputError, match="out: cannot be written: No such file or directory"),
        complete_files(tmp_path / "out") as beside,
    ):
        (beside / "none" / "a").touch()
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes of this kind")
def test_a_device_is_written_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with whole_file(pipe, "--output") as path:
        assert path is not None
        path.write_text("heard")
    assert os.read(reader, 100) == b"heard"
    os.close(reader)
    assert pipe.is_fifo()


def test_what_a_link_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "there" / "file.txt")
    for text in ("first", "second"):
        with whole_file(link, "--output") as path:
            assert path is not None
            path.write_text(text)
        assert link.is_symlink()
        assert (tmp_path / "there" / "file.txt").read_text() == text


def test_complete_files_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match="file/folder: cannot be written: Not a directory"),
        complete_files(tmp_path / "file" / "folder"),
    ):
        pass
