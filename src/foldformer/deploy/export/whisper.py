"""Whisper of `transformers`, folded or not, as ONNX files in the layout of sherpa-onnx.

    tokens.txt    the bytes of each token, in base 64, and its number
    encoder.onnx  mel (1, M, T) -> cross_k, cross_v (L, 1, T / 2, D)
    decoder.onnx  tokens (1, U), self_k, self_v (L, 1, C, D), cross_k, cross_v, offset (1,)
                  -> logits (1, U, V), self_k, self_v

L are the decoder's layers, M mel bands, D the width, C the longest text. What the encoder heard is
projected for all layers of the decoder at once, and what the decoder has said stays in `self_k` and
`self_v`, of which it writes the rows from `offset` on. Each weight is in one of the files, once.
"""

import base64
import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldformer.compress.foreign.folded_linear import FoldedLinear
from foldformer.deploy.export import linears as linears  # registers their forms
from foldformer.deploy.export.forms import export_form
from foldformer.deploy.export.make import save
from foldformer.deploy.export.parity import call_difference, session
from foldformer.deploy.export.sharing import check_files
from foldformer.deploy.export.trace import trace
from foldformer.errors import SpecError
from foldformer.files import complete_files
from foldformer.nn.linears import Linear

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
TOLERANCE = 1e-3
"""The largest difference to PyTorch, as a share of the largest output."""


class WhisperEncoder(nn.Module):
    """Features to the keys and values of the decoder's layers."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder = model.model.encoder
        across = [layer.encoder_attn for layer in model.model.decoder.layers]
        self.keys = nn.ModuleList(attention.k_proj for attention in across)
        self.values = nn.ModuleList(attention.v_proj for attention in across)

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """(1, M, T), T even -> two of (L, 1, T / 2, D)."""
        x = F.gelu(self.encoder.conv2(F.gelu(self.encoder.conv1(mel)))).transpose(1, 2)
        x = x + self.encoder.embed_positions.weight[: x.shape[1]]
        for layer in self.encoder.layers:
            x = layer(x, None)
        x = self.encoder.layer_norm(x)
        keys, values = ([project(x) for project in maps] for maps in (self.keys, self.values))
        return torch.stack(keys), torch.stack(values)


class WhisperDecoder(nn.Module):
    """The next tokens' scores, and what is remembered of those so far."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.decoder = model.model.decoder

    def forward(
        self,
        tokens: Tensor,
        self_k: Tensor,
        self_v: Tensor,
        cross_k: Tensor,
        cross_v: Tensor,
        offset: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See the module's docstring."""
        places = offset + torch.arange(tokens.shape[1])
        heard = torch.arange(self_k.shape[2]) <= places[:, None]
        mask = torch.zeros(heard.shape).masked_fill(~heard, -torch.inf)
        x = self.decoder.embed_tokens(tokens) + self.decoder.embed_positions.weight[places]
        keys, values = [], []
        for number, layer in enumerate(self.decoder.layers):
            own = layer.self_attn_layer_norm(x)
            keys.append(self_k[number].index_copy(1, places, layer.self_attn.k_proj(own)))
            values.append(self_v[number].index_copy(1, places, layer.self_attn.v_proj(own)))
            x = x + _attend(layer.self_attn, own, keys[-1], values[-1], mask)
            other = layer.encoder_attn_layer_norm(x)
            x = x + _attend(layer.encoder_attn, other, cross_k[number], cross_v[number], None)
            inner = layer.activation_fn(layer.fc1(layer.final_layer_norm(x)))
            x = x + layer.fc2(inner)
        # In this order the table of the embeddings is used as it stands, and not turned each time.
        logits = self.decoder.embed_tokens.weight @ self.decoder.layer_norm(x)[0].t()
        return logits.t()[None], torch.stack(keys), torch.stack(values)


def _attend(attention: Any, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """(1, U, D) over (1, S, D)."""
    heads = attention.num_heads
    query, key, value = (
        each.view(1, -1, heads, attention.head_dim).transpose(1, 2)
        for each in (attention.q_proj(x) * attention.scaling, keys, values)
    )
    scores = query @ key.transpose(2, 3)
    weights = (scores if mask is None else scores + mask).softmax(dim=-1)
    mixed: Tensor = attention.out_proj((weights @ value).transpose(1, 2).flatten(2))
    return mixed


def export_whisper(model: Any, tokenizer: Any, folder: str | Path) -> float:
    """Write the files; returns the largest difference to PyTorch, as a share of the outputs.

    Args:
        model: WhisperForConditionalGeneration, in float32; is left alone.
        tokenizer: of the model.
        folder: where to; it may exist.

    Raises:
        InputError: the folder cannot be written.
        SpecError: a file would hold a weight twice or not at all, or compute something else.
    """
    plain = copy.deepcopy(model).eval()
    chained = _chained(copy.deepcopy(plain))
    makers: dict[str, type[nn.Module]] = {ENCODER: WhisperEncoder, DECODER: WhisperDecoder}
    inputs = _inputs(model.config)
    state: dict[str, Tensor] = {}
    seen: set[int] = set()
    worst = 0.0
    with complete_files(Path(folder)) as beside, torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        for file, make in makers.items():
            part = make(chained)
            graph = trace(part, inputs[file], _OUTPUTS[file], _AXES[file])
            if file == ENCODER:
                graph.metadata_props.update(_metadata(model, tokenizer))
            save(graph, beside / file)
            for name, tensor in part.state_dict(keep_vars=True).items():
                if id(tensor) not in seen:  # the projections are in the encoder's file
                    state[name] = tensor.detach()
                    seen.add(id(tensor))
            run = session(beside / file)
            difference = call_difference(make(plain), run, list(inputs[file].values()))
            if not difference <= TOLERANCE:
                raise SpecError(
                    f"export: {file} differs from PyTorch by {difference:.1e} of its largest "
                    f"output; expected at most {TOLERANCE:.0e}"
                )
            worst = max(worst, difference)
        check_files([beside / file for file in makers], state)
        (beside / "tokens.txt").write_text(_tokens(tokenizer), encoding="utf-8")
    return worst


_OUTPUTS = {
    ENCODER: ("n_layer_cross_k", "n_layer_cross_v"),
    DECODER: ("logits", "out_n_layer_self_k_cache", "out_n_layer_self_v_cache"),
}
_AXES: dict[str, dict[str, dict[int, torch.export.Dim]]] = {
    ENCODER: {"mel": {2: 2 * torch.export.Dim("frames", min=2, max=100000)}},
    DECODER: {
        "tokens": {1: torch.export.Dim("tokens", min=1, max=10000)},
        "n_layer_cross_k": {2: torch.export.Dim("heard", min=2, max=100000)},
        "n_layer_cross_v": {2: torch.export.Dim("heard", min=2, max=100000)},
    },
}


def _inputs(config: Any) -> dict[str, dict[str, Tensor]]:
    """{file: {input: example}}, as sherpa-onnx calls them."""
    layers, width, heard = (
        config.decoder_layers,
        config.d_model,
        2 * (config.max_source_positions // 2),
    )
    cache = (layers, 1, config.max_target_positions, width)
    return {
        ENCODER: {"mel": torch.randn(1, config.num_mel_bins, heard)},
        DECODER: {
            "tokens": torch.randint(config.vocab_size, (1, 3)),
            "in_n_layer_self_k_cache": torch.randn(cache),
            "in_n_layer_self_v_cache": torch.randn(cache),
            "n_layer_cross_k": torch.randn(layers, 1, heard, width),
            "n_layer_cross_v": torch.randn(layers, 1, heard, width),
            "offset": torch.tensor([2]),
        },
    }


def _chained(model: Any) -> Any:
    """The model with its folded maps in the form that graphs are traced in."""
    forms: dict[int, Linear] = {}
    for module in list(model.modules()):
        if isinstance(module, FoldedLinear):
            key = id(module.linear)
            if key not in forms:
                form = export_form(module.linear)
                assert isinstance(form, Linear)
                forms[key] = form
            module.exchange(forms[key])
    return model


def _metadata(model: Any, tokenizer: Any) -> dict[str, str]:
    """What sherpa-onnx wants to know of the model."""
    config, generation = model.config, model.generation_config
    number = tokenizer.convert_tokens_to_ids
    start = config.decoder_start_token_id
    found = {
        "model_type": "whisper",
        "n_mels": config.num_mel_bins,
        "n_text_layer": config.decoder_layers,
        "n_text_ctx": config.max_target_positions,
        "n_text_state": config.d_model,
        "n_vocab": config.vocab_size,
        "sot": start,
        "eot": config.eos_token_id,
        "blank_id": number("\u0120"),
        "translate": number("<|translate|>"),
        "transcribe": number("<|transcribe|>"),
        "no_timestamps": number("<|notimestamps|>"),
        "no_speech": number("<|nocaptions|>"),
        "is_multilingual": int(bool(getattr(generation, "is_multilingual", False))),
        "sot_sequence": start,
    }
    if found["is_multilingual"]:
        languages = generation.lang_to_id
        first = next(iter(languages.values()))
        found["sot_sequence"] = f"{start},{first},{found['transcribe']}"
        found["all_language_tokens"] = ",".join(map(str, languages.values()))
        found["all_language_codes"] = ",".join(name.strip("<|>") for name in languages)
    return {key: str(value) for key, value in found.items()}


def _tokens(tokenizer: Any) -> str:
    """A line for each token that is text, in order of their numbers."""
    letters = {letter: byte for byte, letter in _byte_letters().items()}
    special = set(tokenizer.get_added_vocab())
    lines = []
    for token, number in sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1]):
        if token not in special:
            text = base64.b64encode(bytes(letters[letter] for letter in token)).decode()
            lines.append(f"{text} {number}\n")
    return "".join(lines)


def _byte_letters() -> dict[int, str]:
    """The letter that stands for each byte in the vocabularies of byte-level BPE (GPT-2)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {
        byte: chr(256 + place) for place, byte in enumerate(hidden)
    }
