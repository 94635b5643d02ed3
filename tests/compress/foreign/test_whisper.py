"""A Whisper in the form of CTranslate2, written here as its format is defined, and read back."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import WhisperForConditionalGeneration

from foldformer.compress.foreign.ctranslate2 import read_variables
from foldformer.compress.foreign.whisper import convert_whisper, read_whisper
from foldformer.errors import InputError

TYPES = {torch.float32: 0, torch.int8: 1, torch.int16: 2, torch.float16: 4, torch.bfloat16: 5}


def name(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def written(variables: dict[str, Tensor], aliases: dict[str, str], version: int = 6) -> bytes:
    """As ModelSpec._serialize of ctranslate2 writes a model."""
    data = [struct.pack("<I", version), name("WhisperSpec"), struct.pack("<II", 3, len(variables))]
    for key, tensor in variables.items():
        content = (
            tensor.contiguous().view(torch.uint8)
            if tensor.dim()
            else tensor.view(1).view(torch.uint8)
        )
        raw = bytes(content.flatten().tolist())
        data += [name(key), struct.pack(f"<B{tensor.dim()}I", tensor.dim(), *tensor.shape)]
        data += [struct.pack("<BI", TYPES[tensor.dtype], len(raw)), raw]
    data.append(struct.pack("<I", len(aliases)))
    data += [name(alias) + name(key) for alias, key in aliases.items()]
    return b"".join(data)


def variables_of(model: Any) -> dict[str, Tensor]:
    """The tensors of a model under CTranslate2's names, fused as its converter fuses them."""
    state, found = model.state_dict(), {}

    def linear(theirs: str, *ours: str) -> None:
        weights = [state[f"{each}.weight"] for each in ours]
        biases = [state.get(f"{each}.bias", torch.zeros(16)) for each in ours]
        found[f"{theirs}/weight"] = torch.cat(weights)
        found[f"{theirs}/bias"] = torch.cat(biases)

    def norm(theirs: str, ours: str) -> None:
        found[f"{theirs}/gamma"] = state[f"{ours}.weight"]
        found[f"{theirs}/beta"] = state[f"{ours}.bias"]

    for side, count in (("encoder", 4), ("decoder", 2)):
        found[f"{side}/num_heads"] = torch.tensor(2, dtype=torch.int16)
        found[f"{side}/position_encodings/encodings"] = state[
            f"model.{side}.embed_positions.weight"
        ]
        norm(f"{side}/layer_norm", f"model.{side}.layer_norm")
        for layer in range(count):
            at, own = f"{side}/layer_{layer}", f"model.{side}.layers.{layer}"
            linear(f"{at}/self_attention/linear_0", *(f"{own}.self_attn.{p}_proj" for p in "qkv"))
            linear(f"{at}/self_attention/linear_1", f"{own}.self_attn.out_proj")
            norm(f"{at}/self_attention/layer_norm", f"{own}.self_attn_layer_norm")
            if side == "decoder":
                linear(f"{at}/attention/linear_0", f"{own}.encoder_attn.q_proj")
                linear(f"{at}/attention/linear_1", *(f"{own}.encoder_attn.{p}_proj" for p in "kv"))
                linear(f"{at}/attention/linear_2", f"{own}.encoder_attn.out_proj")
                norm(f"{at}/attention/layer_norm", f"{own}.encoder_attn_layer_norm")
            linear(f"{at}/ffn/linear_0", f"{own}.fc1")
            linear(f"{at}/ffn/linear_1", f"{own}.fc2")
            norm(f"{at}/ffn/layer_norm", f"{own}.final_layer_norm")
    for conv in ("conv1", "conv2"):
        linear(f"encoder/{conv}", f"model.encoder.{conv}")
    found["decoder/embeddings/weight"] = state["model.decoder.embed_tokens.weight"]
    return found


TOKENS = ["a", "<|startoftranscript|>", "<|endoftext|>", "<|notimestamps|>", "<|startofprev|>"]
ALIASES = {"decoder/projection/weight": "decoder/embeddings/weight"}


@pytest.fixture
def source(tmp_path: Path) -> Callable[[dict[str, Tensor]], Path]:
    def make(variables: dict[str, Tensor]) -> Path:
        folder = tmp_path / "source"
        folder.mkdir()
        (folder / "model.bin").write_bytes(written(variables, ALIASES))
        (folder / "vocabulary.txt").write_text("\n".join([*TOKENS, *map(str, range(27))]) + "\n")
        config = {"suppress_ids": [4], "suppress_ids_begin": [0], "alignment_heads": [[1, 0]]}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "tokenizer.json").write_text("{}")
        return folder

    return make


Source = Callable[[dict[str, Tensor]], Path]
Make = Callable[[str], Any]


def test_reads_the_model_that_was_written(
    tiny: Make, source: Source, outputs: Callable[[Any], Tensor]
) -> None:
    model = tiny("whisper")
    again = read_whisper(source(variables_of(model)))
    assert torch.equal(outputs(again), outputs(model))
    assert again.proj_out.weight is again.model.decoder.embed_tokens.weight
    config = again.generation_config
    assert (config.decoder_start_token_id, config.eos_token_id) == (1, 2)
    assert (config.no_timestamps_token_id, config.suppress_tokens) == (3, [4])
    assert not config.is_multilingual


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.int8], ids=str)
def test_reads_other_precisions(kind: torch.dtype, tiny: Make, source: Source) -> None:
    model = tiny("whisper")
    variables = variables_of(model)
    key = "encoder/layer_1/ffn/linear_0/weight"
    exact = variables[key].clone()
    if kind == torch.int8:
        scale = 127 / exact.abs().amax(dim=1)
        variables[f"{key}_scale"] = scale
        variables[key] = (exact * scale[:, None]).round().to(torch.int8)
    else:
        variables[key] = exact.to(kind)
    found = read_whisper(source(variables)).model.encoder.layers[1].fc1.weight
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, atol=0.02, rtol=0.02)


def test_converts_to_a_folder_of_transformers(
    tiny: Make, source: Source, outputs: Callable[[Any], Tensor], tmp_path: Path
) -> None:
    model = tiny("whisper")
    convert_whisper(source(variables_of(model)), tmp_path / "out")
    again = WhisperForConditionalGeneration.from_pretrained(tmp_path / "out").eval()
    assert torch.equal(outputs(again), outputs(model))
    assert again.generation_config.suppress_tokens == [4]
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "model.bin").unlink(), "model.bin: cannot be read: No such file"),
        (
            lambda f: (f / "model.bin").write_bytes(b"\5\0\0\0"),
            r"no CTranslate2 model of version 6",
        ),
        (
            lambda f: (f / "model.bin").write_bytes((f / "model.bin").read_bytes()[:5000]),
            "model.bin: is damaged or no CTranslate2 model",
        ),
        (lambda f: (f / "model.bin").write_bytes(b""), "is damaged or no CTranslate2 model"),
        (lambda f: (f / "vocabulary.txt").unlink(), "vocabulary.txt: missing"),
        (lambda f: (f / "vocabulary.txt").write_text("a"), r"has no <\|endoftext\|>"),
        (lambda f: (f / "vocabulary.json").write_text('["a",'), "vocabulary.json: is damaged"),
        (lambda f: (f / "config.json").write_text("{"), "config.json: missing or damaged"),
    ],
)
def test_a_damaged_folder(
    damage: Callable[[Path], object], message: str, tiny: Make, source: Source
) -> None:
    folder = source(variables_of(tiny("whisper")))
    damage(folder)
    with pytest.raises(InputError, match=message):
        read_whisper(folder)


def test_another_model_is_refused(tiny: Make, source: Source) -> None:
    variables = variables_of(tiny("whisper"))
    folder = source({key: t for key, t in variables.items() if "ffn/linear_1" not in key})
    with pytest.raises(InputError, match=r"no Whisper model: .*ffn/linear_1/weight' is missing"):
        read_whisper(folder)
    data = (folder / "model.bin").read_bytes()
    (folder / "model.bin").write_bytes(data.replace(b"WhisperSpec", b"AnotherSpec"))
    with pytest.raises(InputError, match="holds a AnotherSpec; expected a WhisperSpec"):
        read_whisper(folder)
    assert read_variables(folder / "model.bin")[0] == "AnotherSpec"


def test_a_tensor_of_half_a_number_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    data = written({"a": torch.zeros(1)}, {})
    size = struct.pack("<I", 4)
    path.write_bytes(data.replace(size + bytes(4), struct.pack("<I", 3) + bytes(3)))
    with pytest.raises(InputError, match=r"model\.bin: is damaged or no CTranslate2 model"):
        read_variables(path)
