"""What the two files of an exported Whisper compute, in the layout of sherpa-onnx.

    encoder.onnx  mel (1, M, T) -> cross_k, cross_v (L, 1, T / 2, D)
    decoder.onnx  tokens (1, U), self_k, self_v (L, 1, C, D), cross_k, cross_v, offset (1,)
                  -> logits (1, U, V), self_k, self_v

L are the decoder's layers, M mel bands, D the width, C the longest text. What the encoder heard is
projected for all layers of the decoder at once, and what the decoder has said stays in `self_k` and
`self_v`, of which it writes the rows from `offset` on.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldformer.deploy.export.part import Axes

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"


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


OUTPUTS = {
    ENCODER: ("n_layer_cross_k", "n_layer_cross_v"),
    DECODER: ("logits", "out_n_layer_self_k_cache", "out_n_layer_self_v_cache"),
}
AXES: dict[str, Axes] = {
    ENCODER: {"mel": {2: 2 * torch.export.Dim("frames", min=2, max=100000)}},
    DECODER: {
        "tokens": {1: torch.export.Dim("tokens", min=1, max=10000)},
        "n_layer_cross_k": {2: torch.export.Dim("heard", min=2, max=100000)},
        "n_layer_cross_v": {2: torch.export.Dim("heard", min=2, max=100000)},
    },
}


def example_inputs(config: Any) -> dict[str, dict[str, Tensor]]:
    """{file: {input: example}}, random and always the same, as sherpa-onnx calls them."""
    layers, width, heard = (
        config.decoder_layers,
        config.d_model,
        2 * (config.max_source_positions // 2),
    )
    cache = (layers, 1, config.max_target_positions, width)
    with torch.random.fork_rng():
        torch.manual_seed(0)
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
