import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from foldformer.compress.foreign.originals import batches_of, load_original, load_tokenizer
from foldformer.errors import InputError

WORDS = ["[PAD]", "[UNK]", *"abcdefghijklmnopqrstuvwxyz"]
Make = Callable[[str], Any]
Compute = Callable[[Any], Tensor]


def in_several_files(model: Any, folder: Path) -> list[Path]:
    """Save a model as transformers saves large ones."""
    model.save_pretrained(folder, max_shard_size="4KB")
    files = sorted(folder.glob("*.safetensors"))
    assert len(files) > 1
    return files


@pytest.mark.parametrize("name", ["bert", "whisper", "llama", "gpt2"])
@pytest.mark.parametrize("parts", [False, True])
def test_computes_what_was_saved(
    name: str, parts: bool, tiny: Make, outputs: Compute, tmp_path: Path
) -> None:
    model = tiny(name)
    if parts:
        in_several_files(model, tmp_path)
    else:
        model.save_pretrained(tmp_path)
    torch.testing.assert_close(outputs(load_original(tmp_path)), outputs(model), rtol=0, atol=0)


def test_files_beside_those_of_the_index_are_no_part_of_it(
    tiny: Make, outputs: Compute, tmp_path: Path
) -> None:
    model = tiny("bert")
    in_several_files(model, tmp_path)
    save_file(
        {"embeddings.word_embeddings.weight": torch.zeros(32, 16)}, tmp_path / "z.safetensors"
    )
    torch.testing.assert_close(outputs(load_original(tmp_path)), outputs(model), rtol=0, atol=0)


def test_a_file_that_the_index_names_is_missing(tiny: Make, tmp_path: Path) -> None:
    gone = in_several_files(tiny("bert"), tmp_path)[0]
    gone.unlink()
    with pytest.raises(InputError, match=gone.name):
        load_original(tmp_path)


def test_a_damaged_index_is_named(tiny: Make, tmp_path: Path) -> None:
    in_several_files(tiny("bert"), tmp_path)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weights": {}}))
    with pytest.raises(InputError, match=r"index\.json: is damaged"):
        load_original(tmp_path)


def test_numbers_that_are_not_finite_are_named(tiny: Make, tmp_path: Path) -> None:
    model = tiny("bert")
    files = in_several_files(model, tmp_path)
    weights = load_file(files[-1])
    name, tensor = next(iter(weights.items()))
    save_file(weights | {name: torch.full_like(tensor, torch.nan)}, files[-1], {"format": "pt"})
    with pytest.raises(InputError, match=f"{name} holds NaN"):
        load_original(tmp_path)


@pytest.mark.parametrize("name", ["bert", "whisper", "llama", "gpt2"])
def test_a_tokenizer_that_is_not_there_is_missed(name: str, tiny: Make, tmp_path: Path) -> None:
    """For some classes `transformers` makes one that knows no word."""
    tiny(name).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="has no tokenizer to read lines with"):
        load_tokenizer(tmp_path, "to read lines with")


@pytest.mark.parametrize(
    ("name", "key", "lost"),
    [
        ("bert", "num_hidden_layers", "encoder.layer.2.attention.output.LayerNorm.bias"),
        ("llama", "num_hidden_layers", "model.layers.2.input_layernorm.weight"),
        ("gpt2", "n_layer", "transformer.h.2.attn.c_attn.weight"),
        ("whisper", "encoder_layers", "model.encoder.layers.2.fc1.bias"),
    ],
)
def test_no_layer_is_lost(name: str, key: str, lost: str, tiny: Make, tmp_path: Path) -> None:
    """A configuration of fewer layers than the file has is that of another model."""
    tiny(name).save_pretrained(tmp_path)
    change_config(tmp_path, **{key: 2})
    with pytest.raises(InputError, match=rf"another model: .* \d\d of the weights, {lost} first"):
        load_original(tmp_path)


def change_config(folder: Path, **keys: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


@pytest.mark.parametrize("layers", [4, 2])
def test_heads_that_the_class_has_not_are_left_out(
    layers: int, tiny: Make, outputs: Compute, tmp_path: Path
) -> None:
    """Whose weights have another prefix, too."""
    llama = tiny("llama")
    llama.save_pretrained(tmp_path)
    change_config(tmp_path, architectures=["LlamaModel"], num_hidden_layers=layers)
    if layers == 2:
        with pytest.raises(InputError, match=r"18 of the weights, model\.layers\.2\.input"):
            load_original(tmp_path)
    else:
        torch.testing.assert_close(outputs(load_original(tmp_path)), outputs(llama.model))


@pytest.mark.parametrize(("least", "lines"), [(200, 512), (300, 1024), (900, 2048), (9000, 3000)])
def test_as_many_lines_as_give_enough_tokens(
    least: int, lines: int, tiny: Make, tmp_path: Path
) -> None:
    """Of one token each: lines alone say nothing of what a map is given."""
    model = tiny("bert")
    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, "[UNK]"))
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(tmp_path)
    (tmp_path / "said.txt").write_text("a\nb\n" * 1500)
    found = batches_of(tmp_path, model, [str(tmp_path / "said.txt")], least=least)
    assert sum(len(batch["input_ids"]) for batch in found) == lines
