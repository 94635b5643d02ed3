"""Making an export: what is checked, and that nothing is left where something is wrong."""

import os
import zlib
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
import yaml
from onnx import numpy_helper

from foldformer.checkpoint import ModelConfig
from foldformer.data.tokens import Tokens
from foldformer.deploy.export import make
from foldformer.deploy.export.heads import JoinerPart, check_head
from foldformer.deploy.export.make import export, save
from foldformer.deploy.export.parity import difference, session
from foldformer.deploy.export.part import Part
from foldformer.deploy.export.place import check_new
from foldformer.deploy.export.precision import to_fp16
from foldformer.deploy.export.sharing import check_files, stored_state
from foldformer.deploy.export.untrained import untrained
from foldformer.deploy.folder import read_export
from foldformer.deploy.pieces import find_vocabulary
from foldformer.errors import InputError, SpecError
from foldformer.model import Model, ModelSpec
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.heads import Head
from foldformer.nn.mixers.attention import AttentionSpec
from foldformer.nn.subsampling import SubsamplingSpec


@pytest.fixture
def joiner(model: Model) -> Part:
    return JoinerPart(model, "transducer")


def weights(model: Model, part: str) -> dict[str, torch.Tensor]:
    return {name: t for name, t in model.state_dict().items() if name.startswith(part)}


def test_what_lies_in_the_folder(exported, model: Model, tokens: Tokens) -> None:
    folder = exported("ctc", streaming=True)
    assert {path.name for path in folder.iterdir()} == {
        "README.md", "export.yaml", "model.onnx", "model.yaml", "provider.cfg", "tokens.txt",
    }  # fmt: skip
    spec = read_export(folder)
    assert (spec.kind, spec.model_type, spec.precision) == (
        "streaming-ctc",
        "zipformer2_ctc",
        "fp32",
    )
    expected = sum(t.numel() for t in weights(model, "encoder.").values())
    expected += sum(t.numel() for t in weights(model, "heads.ctc.").values())
    assert spec.source.parameters == expected
    # Tables of angles, and numbers for shapes, are none of the weights.
    assert spec.weight_bytes == 4 * expected
    assert 0 < spec.difference < 1e-4
    assert Tokens.load(folder).symbols == tokens.symbols
    assert (folder / "provider.cfg").read_text() == "EnableCpuMemArena=0\nEnableMemPattern=0\n"
    assert yaml.safe_load((folder / "model.yaml").read_text())["languages"] == ["xx"]
    assert spec.checksums == {
        name: f"{zlib.crc32((folder / name).read_bytes()):08x}"
        for name in ("model.onnx", "tokens.txt")
    }
    card = (folder / "README.md").read_text()
    assert f"{(folder / 'model.onnx').stat().st_size:,}" in card
    assert "in chunks of 160ms, remembering 400ms" in card
    compile(card.split("```python\n")[1].split("```")[0], "README.md", "exec")


def test_names_that_the_runtime_would_keep_for_nobody(exported) -> None:
    """Weights, inputs and outputs have their names; all else has the shortest there are."""
    graph = onnx.load(exported("ctc", streaming=True) / "model.onnx").graph
    assert not any(node.name for node in graph.node)
    outputs = {value.name for value in graph.output}
    between = [name for node in graph.node for name in node.output if name not in outputs and name]
    assert between == [f"v{number}" for number in range(len(between))]
    assert {value.name for value in graph.input} >= {"x", "processed_lens", "key_0"}
    assert "encoder.depth.layers.0.mixer.query.weight" in {each.name for each in graph.initializer}


def test_a_transducer(exported, tokens: Tokens) -> None:
    """It can take phrases; and there is little in its files but weights."""
    folder = exported("transducer", streaming=False)
    spec = read_export(folder)
    assert find_vocabulary(folder, tokens) == folder / "bpe.vocab"
    total = sum((folder / name).stat().st_size for name in spec.files)
    assert total < spec.weight_bytes + 12000 * 3


def test_fp16_halves_matrices_and_computes_in_fp32(
    joiner: Part, model: Model, tmp_path: Path
) -> None:
    graph = joiner.graph()
    to_fp16(graph.graph)
    save(graph, tmp_path / "a.onnx")
    types = {
        tensor.name: numpy_helper.to_array(tensor).dtype
        for tensor in onnx.load(tmp_path / "a.onnx").graph.initializer
    }
    name = "heads.transducer.joiner.output"
    assert types == {f"{name}.weight": np.float16, f"{name}.bias": np.float32}
    state = weights(model, "heads.transducer.joiner.")
    stored = stored_state([graph.graph], state)
    rounded = state[f"{name}.weight"].half().float()
    assert torch.equal(torch.from_numpy(stored[f"{name}.weight"]), rounded)
    run = session(tmp_path / "a.onnx")
    inputs = [torch.randn(2, 12) for _ in range(2)]
    expected = (inputs[0] + inputs[1]).tanh() @ rounded.T + state[f"{name}.bias"]
    assert difference(run([x.numpy() for x in inputs]), [expected]) < 1e-6


def test_fp16_does_not_hold_everything(joiner: Part) -> None:
    graph = joiner.graph()
    value = graph.graph.initializers["heads.transducer.joiner.output.weight"]
    value.const_value = ir.tensor(np.full((8, 12), 1e5, np.float32))
    with pytest.raises(SpecError, match=r"joiner.output.weight has weights beyond 65504"):
        to_fp16(graph.graph)


def test_files_with_a_weight_too_often_are_refused(
    joiner: Part, model: Model, tmp_path: Path
) -> None:
    graph = joiner.graph()
    path, state = tmp_path / "a.onnx", weights(model, "heads.transducer.joiner.")
    save(graph, path)
    assert check_files([path], state) == 4 * sum(t.numel() for t in state.values())
    with pytest.raises(SpecError, match=r"hold 192 numbers of .*weight, which has 96"):
        check_files([path, path], state)
    proto = onnx.load(path)
    numbers = np.random.default_rng(0).random((40, 50), np.float32)
    for name, array in (("table", numbers), ("turned", numbers.T)):
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
        onnx.save(proto, path)
    with pytest.raises(SpecError, match="table holds the same numbers as turned"):
        check_files([path], state)


def try_to_export(model: Model, tokens: Tokens, folder: Path, **options: object) -> None:
    export(model, tokens, ModelConfig(model=model.spec), folder, name="a", **options)


def test_a_folder_with_something_in_it_stays_as_it_is(
    model: Model, tokens: Tokens, tmp_path: Path
) -> None:
    (tmp_path / "letter").touch()
    with pytest.raises(InputError, match="is not empty; choose a new folder with --output"):
        try_to_export(model, tokens, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]


def test_a_place_that_can_never_be_written(tmp_path: Path) -> None:
    """It is found before the work."""
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for folder in ("file", "file/new", "link", "link/new"):
        with pytest.raises(InputError, match=f"{folder}: cannot be written: {tmp_path}/[fl]i"):
            check_new(tmp_path / folder)
    with pytest.raises(InputError, match=r"cannot be written: /proc: "):
        check_new(Path("/proc/new/folder"))
    with pytest.raises(InputError, match=r"its name is not UTF-8"):
        check_new(tmp_path / os.fsdecode(b"\xff"))
    before = sorted(tmp_path.iterdir())
    check_new(tmp_path / "new" / "folder")
    assert sorted(tmp_path.iterdir()) == before


def test_what_a_killed_call_has_left_is_in_nobodys_way(
    model: Model, tokens: Tokens, tmp_path: Path
) -> None:
    left = tmp_path / ".partial-abc"
    left.mkdir()
    (left / "model.onnx").write_bytes(b"half")
    try_to_export(model, tokens, tmp_path)
    assert not left.exists()
    assert read_export(tmp_path).kind == "offline-ctc"


@pytest.fixture
def joiner_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Export one small part in place of all, which takes no time."""
    monkeypatch.setattr(
        make, "_parts", lambda model, head, stream: {"joiner.onnx": JoinerPart(model, head)}
    )


@pytest.mark.usefixtures("joiner_alone")
def test_a_parameter_that_is_nowhere_is_missed(
    model: Model, tokens: Tokens, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=r"numbers of encoder\..* are not all there"):
        try_to_export(model, tokens, tmp_path / "a", head="transducer")
    assert not (tmp_path / "a").exists()


@pytest.mark.usefixtures("joiner_alone")
def test_files_that_compute_something_else_are_not_kept(
    model: Model, tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = weights(model, "heads.transducer.joiner.")
    monkeypatch.setattr(make, "_weights", lambda model, head: kept)
    monkeypatch.setattr(JoinerPart, "difference", lambda self, run: float("nan"))
    said: list[str] = []
    with pytest.raises(SpecError, match=r"joiner.onnx differs from PyTorch by nan"):
        try_to_export(model, tokens, tmp_path / "a", head="transducer", progress=said.append)
    assert said == ["joiner.onnx: making the graph", "comparing with PyTorch"]
    assert not (tmp_path / "a").exists()


def test_a_head_that_the_model_has_not(model: Model, tokens: Tokens, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no 'rnn' head"):
        try_to_export(model, tokens, tmp_path / "a", head="rnn")
    assert not (tmp_path / "a").exists()


def test_a_head_that_the_runtime_has_no_place_for() -> None:
    class Other(Head):
        def loss(self, *_: torch.Tensor) -> torch.Tensor:
            raise NotImplementedError

        outputs = loss

    with pytest.raises(SpecError, match="sherpa-onnx has no place for a Other"):
        check_head(Other())


def test_features_that_the_runtime_does_not_make(tokens: Tokens, tmp_path: Path) -> None:
    encoder = EncoderSpec(
        d_model=8,
        num_layers=1,
        mixer=AttentionSpec(num_heads=2),
        subsampling=SubsamplingSpec(num_mels=40),
    )
    spec = ModelSpec(vocab_size=tokens.vocab_size, encoder=encoder)
    with pytest.raises(SpecError, match="makes 80 features, and the model takes 40"):
        try_to_export(spec.build().eval(), tokens, tmp_path / "a")


def test_random_weights_are_all_random_and_the_same_each_time() -> None:
    (model, tokens, config), (again, _, _) = untrained("paper-k9-r16"), untrained("paper-k9-r16")
    assert tokens.vocab_size == config.model.vocab_size == 500
    for parameter, same in zip(model.parameters(), again.parameters(), strict=True):
        assert parameter.any()
        assert torch.equal(parameter, same)
