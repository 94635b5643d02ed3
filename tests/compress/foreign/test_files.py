import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from foldformer.compress.foreign import ForeignPlan, fold, load, read_plan, save
from foldformer.compress.plan import Plan
from foldformer.errors import InputError, SpecError
from foldformer.nn.linears.low_rank import LowRankSpec
from foldformer.nn.linears.residual import ResidualSpec

Make = Callable[[str], Any]
Compute = Callable[[Any], Tensor]
LISTS = {
    "bert": ("encoder.layer",),
    "whisper": ("model.encoder.layers",),
    "llama": ("model.layers",),
    "gpt2": ("transformer.h",),
}


def folded(model: nn.Module, name: str) -> ForeignPlan:
    part = Plan(uses=(3, 1), linear=ResidualSpec(rank=2))
    plan = ForeignPlan(stacks=dict.fromkeys(LISTS[name], part))
    fold(model, plan)
    return plan


@pytest.mark.parametrize("name", LISTS)
def test_loads_as_it_was(name: str, tiny: Make, outputs: Compute, tmp_path: Path) -> None:
    model = tiny(name)
    plan = folded(model, name)
    expected = outputs(model)
    save(tmp_path, model, plan)
    again = load(tmp_path)
    assert type(again) is type(model)
    assert not again.training
    assert torch.equal(outputs(again), expected)
    assert read_plan(tmp_path) == plan


def test_a_model_that_is_not_folded_is_not_saved(tiny: Make, tmp_path: Path) -> None:
    """Unless its plan keeps all layers, so that there is nothing to fold."""
    name = "encoder.layer"
    shares = ForeignPlan(stacks={name: Plan(uses=(3, 1), linear=ResidualSpec(rank=2))})
    with pytest.raises(SpecError, match=r"nothing in it is folded, .* fold\(model, plan\) first"):
        save(tmp_path / "new", tiny("bert"), shares)
    assert not (tmp_path / "new").exists()
    save(tmp_path / "kept", tiny("bert"), ForeignPlan(stacks={name: Plan(uses=(1,) * 4)}))
    load(tmp_path / "kept")


@pytest.mark.parametrize("name", LISTS)
def test_each_number_is_in_the_file_once(name: str, tiny: Make, tmp_path: Path) -> None:
    model = tiny(name)
    save(tmp_path, model, folded(model, name))
    stored = sum(tensor.numel() for tensor in load_file(tmp_path / "model.safetensors").values())
    buffers = sum(b.numel() for n, b in model.named_buffers() if n in model.state_dict())
    assert stored == sum(p.numel() for p in model.parameters()) + buffers


def test_the_tied_output_stays_tied(tiny: Make, tmp_path: Path) -> None:
    model = tiny("whisper")
    save(tmp_path, model, folded(model, "whisper"))
    again = load(tmp_path)
    assert again.proj_out.weight is again.model.decoder.embed_tokens.weight


def test_tokenizer_and_generation_come_along(tiny: Make, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("tokenizer.json", "preprocessor_config.json", "model.safetensors", "notes.txt"):
        (source / name).write_text(name)
    model = tiny("whisper")
    model.generation_config.suppress_tokens = [3]
    save(tmp_path / "new", model, folded(model, "whisper"), source=source)
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "config.json",
        "foldformer.yaml",
        "generation_config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer.json",
    }
    assert load(tmp_path / "new").generation_config.suppress_tokens == [3]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.GELU()) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = x + block(x)
        return x


def test_a_model_of_no_library(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = Net(), torch.randn(3, 4)
    plan = ForeignPlan(stacks={"blocks": Plan(uses=(2, 2), linear=LowRankSpec(rank=2))})
    fold(model, plan)
    save(tmp_path, model, plan)
    assert torch.equal(load(tmp_path, Net())(x), model(x))
    with pytest.raises(InputError, match=r"config.json: is missing .*give it to load\(folder, mod"):
        load(tmp_path)


def change_weights(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def change_config(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


NORM = "encoder.layer.0.output.LayerNorm.bias"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "foldformer.yaml").unlink(), "foldformer.yaml: missing; a folded model"),
        (
            lambda f: (f / "foldformer.yaml").write_text("stack: {}"),
            "foldformer.yaml: stack: unknown key; did you mean 'stacks'",
        ),
        (
            lambda f: (f / "foldformer.yaml").write_text("{format: 2, stacks: {}}"),
            "foldformer.yaml: format: 2 is newer than this version knows",
        ),
        (lambda f: (f / "model.safetensors").unlink(), "model.safetensors: is damaged"),
        (
            lambda f: (f / "model.safetensors").write_bytes(b"12345678"),
            "model.safetensors: is damaged or no safetensors file",
        ),
        (
            lambda f: change_weights(f, lambda w: w.pop(NORM)),
            f"does not fit foldformer.yaml beside it: weight {NORM} is missing",
        ),
        (
            lambda f: change_weights(f, lambda w: w.update(other=w[NORM].clone())),
            "weight other does not belong to it",
        ),
        (
            lambda f: change_weights(f, lambda w: w.update({NORM: w[NORM].half()})),
            f"weight {NORM} is of type torch.float16, expected torch.float32",
        ),
        (
            lambda f: change_config(f, num_hidden_layers=5),
            "are 4 layers together, and the model has 5",
        ),
        (lambda f: change_config(f, hidden_size=8), "weight .* has shape"),
        (lambda f: change_config(f, architectures=["BertFoo"]), "transformers has no BertFoo"),
        (lambda f: (f / "config.json").write_text("{"), "config.json: is missing or no config"),
    ],
)
def test_a_damaged_folder(
    damage: Callable[[Path], object], message: str, tiny: Make, tmp_path: Path
) -> None:
    model = tiny("bert")
    save(tmp_path, model, folded(model, "bert"))
    damage(tmp_path)
    with pytest.raises(InputError, match=message):
        load(tmp_path)
