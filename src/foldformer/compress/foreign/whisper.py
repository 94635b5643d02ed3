"""Whisper models of CTranslate2 (faster-whisper), read back into `transformers`."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from foldformer.compress.foreign.ctranslate2 import read_variables
from foldformer.compress.foreign.files import write_model
from foldformer.errors import InputError
from foldformer.files import complete_files

if TYPE_CHECKING:
    from transformers import WhisperConfig, WhisperForConditionalGeneration

_WEIGHTS = "model.bin"
_MULTILINGUAL = 51865
"""Tokens from which on OpenAI's models know more than English."""


def read_whisper(folder: str | Path) -> "WhisperForConditionalGeneration":
    """The model of a CTranslate2 folder, in float32 and evaluation mode, ready to generate.

    Args:
        folder: `model.bin`, `config.json` and `vocabulary.txt` or `vocabulary.json`.

    Raises:
        InputError: a file is missing or damaged, or it is no Whisper model.
    """
    from transformers import WhisperForConditionalGeneration
    from transformers.initialization import no_init_weights

    folder = Path(folder)
    kind, variables = read_variables(folder / _WEIGHTS)
    if kind != "WhisperSpec":
        raise InputError(f"{folder / _WEIGHTS}: holds a {kind}; expected a WhisperSpec")
    weights = dict(_weights(folder / _WEIGHTS, variables))
    vocabulary = _vocabulary(folder)
    config = _config(variables, vocabulary)
    with no_init_weights():
        model = WhisperForConditionalGeneration(config)
    missing = model.state_dict().keys() - weights.keys() - {"proj_out.weight"}
    if missing:
        raise InputError(f"{folder / _WEIGHTS}: weight {min(missing)} is missing")
    model.load_state_dict(weights, strict=False)
    model.tie_weights()
    _set_generation(model, folder, vocabulary)
    return model.eval()


def convert_whisper(source: str | Path, folder: str | Path) -> None:
    """Write a CTranslate2 Whisper as a folder of `transformers`, with tokenizer and features.

    Raises:
        InputError: see `read_whisper`; or the folder cannot be written.
    """
    from transformers import WhisperFeatureExtractor

    source, folder = Path(source), Path(folder)
    model = read_whisper(source)
    tokenizer = source / "tokenizer.json"
    if not tokenizer.is_file():
        raise InputError(f"{tokenizer}: missing; the tokenizer comes with the model")
    with complete_files(folder) as beside:
        write_model(beside, model)
        WhisperFeatureExtractor(feature_size=model.config.num_mel_bins).save_pretrained(beside)
        shutil.copy(tokenizer, beside / tokenizer.name)
        about = {"tokenizer_class": "WhisperTokenizer", "model_max_length": 1024}
        special = {f"{name}_token": "<|endoftext|>" for name in ("bos", "eos", "pad", "unk")}
        (beside / "tokenizer_config.json").write_text(json.dumps(about | special, indent=2))


def _plain(variables: dict[str, Tensor], name: str) -> Tensor:
    """A tensor in float32; integers are divided by the scale of their row."""
    tensor = variables[name].float()
    scale = variables.get(f"{name}_scale")
    return (
        tensor if scale is None else tensor / scale.float().reshape(-1, *[1] * (tensor.dim() - 1))
    )


def _weights(path: Path, variables: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of transformers' Whisper."""

    def of(ours: str, theirs: str) -> Iterator[tuple[str, Tensor]]:
        for part, name in (("weight", "weight"), ("bias", "bias")):
            yield f"{ours}.{part}", _plain(variables, f"{theirs}/{name}")

    def norm(ours: str, theirs: str) -> Iterator[tuple[str, Tensor]]:
        yield f"{ours}.weight", _plain(variables, f"{theirs}/gamma")
        yield f"{ours}.bias", _plain(variables, f"{theirs}/beta")

    def fused(ours: str, theirs: str, parts: str) -> Iterator[tuple[str, Tensor]]:
        weights = _plain(variables, f"{theirs}/weight").chunk(len(parts))
        biases = _plain(variables, f"{theirs}/bias").chunk(len(parts))
        for part, weight, bias in zip(parts, weights, biases, strict=True):
            yield f"{ours}.{part}_proj.weight", weight
            if part != "k":  # Whisper's keys have none, and here it is zero
                yield f"{ours}.{part}_proj.bias", bias
            elif bias.count_nonzero():
                raise InputError(f"{path}: {theirs} has a bias of the keys; Whisper has none")

    try:
        for side in ("encoder", "decoder"):
            ours = f"model.{side}"
            yield (
                f"{ours}.embed_positions.weight",
                _plain(variables, f"{side}/position_encodings/encodings"),
            )
            yield from norm(f"{ours}.layer_norm", f"{side}/layer_norm")
            for layer in range(_num_layers(variables, side)):
                at, own = f"{side}/layer_{layer}", f"{ours}.layers.{layer}"
                yield from fused(f"{own}.self_attn", f"{at}/self_attention/linear_0", "qkv")
                yield from of(f"{own}.self_attn.out_proj", f"{at}/self_attention/linear_1")
                yield from norm(f"{own}.self_attn_layer_norm", f"{at}/self_attention/layer_norm")
                if side == "decoder":
                    yield from fused(f"{own}.encoder_attn", f"{at}/attention/linear_0", "q")
                    yield from fused(f"{own}.encoder_attn", f"{at}/attention/linear_1", "kv")
                    yield from of(f"{own}.encoder_attn.out_proj", f"{at}/attention/linear_2")
                    yield from norm(f"{own}.encoder_attn_layer_norm", f"{at}/attention/layer_norm")
                yield from of(f"{own}.fc1", f"{at}/ffn/linear_0")
                yield from of(f"{own}.fc2", f"{at}/ffn/linear_1")
                yield from norm(f"{own}.final_layer_norm", f"{at}/ffn/layer_norm")
        for conv in ("conv1", "conv2"):
            yield from of(f"model.encoder.{conv}", f"encoder/{conv}")
        yield "model.decoder.embed_tokens.weight", _plain(variables, "decoder/embeddings/weight")
    except KeyError as error:
        raise InputError(f"{path}: no Whisper model: {error} is missing") from None


def _num_layers(variables: dict[str, Tensor], side: str) -> int:
    return len(
        {name.split("/")[1] for name in variables if name.startswith(f"{side}/layer_")}
        - {"layer_norm"}
    )


def _config(variables: dict[str, Tensor], vocabulary: dict[str, int]) -> "WhisperConfig":
    from transformers import WhisperConfig

    def each(of: str, number: Callable[[str], int]) -> dict[str, int]:
        return {f"{side}_{of}": number(side) for side in ("encoder", "decoder")}

    size, d_model = variables["decoder/embeddings/weight"].shape
    end = vocabulary["<|endoftext|>"]
    return WhisperConfig(
        vocab_size=size,
        num_mel_bins=variables["encoder/conv1/weight"].shape[1],
        d_model=d_model,
        max_source_positions=len(variables["encoder/position_encodings/encodings"]),
        max_target_positions=len(variables["decoder/position_encodings/encodings"]),
        decoder_start_token_id=vocabulary["<|startoftranscript|>"],
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        **each("layers", lambda side: _num_layers(variables, side)),
        **each("attention_heads", lambda side: int(variables[f"{side}/num_heads"])),
        **each("ffn_dim", lambda side: len(variables[f"{side}/layer_0/ffn/linear_0/weight"])),
    )


def _vocabulary(folder: Path) -> dict[str, int]:
    """{token: number}.

    Raises:
        InputError: there is no vocabulary, or it is damaged or lacks a token of Whisper's.
    """
    plain, listed = folder / "vocabulary.txt", folder / "vocabulary.json"
    if listed.is_file():
        try:
            tokens = json.loads(listed.read_text(encoding="utf-8"))
        except ValueError:
            raise InputError(f"{listed}: is damaged; it comes with the model") from None
    elif plain.is_file():
        tokens = plain.read_text(encoding="utf-8").split("\n")
    else:
        raise InputError(f"{plain}: missing; the vocabulary comes with the model")
    vocabulary = {token: number for number, token in enumerate(tokens)}
    for token in ("<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"):
        if token not in vocabulary:
            raise InputError(f"{plain}: has no {token}: not the vocabulary of a Whisper model")
    return vocabulary


def _set_generation(
    model: "WhisperForConditionalGeneration", folder: Path, vocabulary: dict[str, int]
) -> None:
    """What `generate` has to know: special tokens, and tokens that are never written."""
    from transformers import GenerationConfig

    path = folder / "config.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"{path}: missing or damaged; it comes with the model") from None
    config = model.config
    multilingual = config.vocab_size >= _MULTILINGUAL
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
        decoder_start_token_id=config.decoder_start_token_id,
        max_length=config.max_target_positions,
        no_timestamps_token_id=vocabulary["<|notimestamps|>"],
        prev_sot_token_id=vocabulary.get("<|startofprev|>"),
        suppress_tokens=about.get("suppress_ids"),
        begin_suppress_tokens=about.get("suppress_ids_begin"),
        alignment_heads=about.get("alignment_heads"),
        is_multilingual=multilingual,
        max_initial_timestamp_index=50,
        return_timestamps=False,
    )
    if multilingual:
        names = {number: token for token, number in vocabulary.items()}
        model.generation_config.lang_to_id = {names[n]: n for n in about["lang_ids"]}
        model.generation_config.task_to_id = {
            task: vocabulary[f"<|{task}|>"] for task in ("transcribe", "translate")
        }
