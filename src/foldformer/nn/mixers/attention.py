"""Multi-head self-attention with rotary positions."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldformer.errors import SpecError
from foldformer.nn.linears import Linear, LinearFactory, Map, prepared
from foldformer.nn.mask import Mask
from foldformer.nn.mixers import Mixer, MixerSpec, State


class Attention(Mixer):
    """softmax(Q K^T / sqrt(P)) V over the frames that the mask allows (Vaswani et al. 2017).

    Positions are rotary (Su et al., RoFormer, arXiv:2104.09864): only distances count. A stream
    remembers keys before their rotation and numbers positions anew in each chunk, so that no
    number grows with the length of the stream.
    """

    def __init__(
        self, d_model: int, num_heads: int, rotary_base: float, linear: LinearFactory
    ) -> None:
        super().__init__()
        self.d_model = d_model
        self.num_heads = num_heads
        self.weighing = RotaryWeighing(num_heads, rotary_base)
        self.query = linear("query", d_model, d_model)
        self.key = linear("key", d_model, d_model)
        self.value = linear("value", d_model, d_model)
        self.output = linear("output", d_model, d_model)

    @property
    def last(self) -> Linear:
        """See Mixer."""
        return self.output

    def forward(self, x: Tensor, use: int, mask: Mask) -> Tensor:
        """See Mixer."""
        query, key, value, output = self._maps(x, use)
        return output(self.weighing(query(x), key(x), value(x), mask))

    def init_state(self, batch: int, left_context: int) -> State:
        """Keys and values of the remembered frames, each (B, left_context, D)."""
        zeros = next(self.parameters()).new_zeros(batch, left_context, self.d_model)
        return zeros, zeros.clone()

    def step(self, x: Tensor, use: int, state: State, mask: Mask) -> tuple[Tensor, State]:
        """See Mixer."""
        query, key, value, output = self._maps(x, use)
        left_context = state[0].shape[1]
        keys = torch.cat([state[0], key(x)], dim=1)
        values = torch.cat([state[1], value(x)], dim=1)
        y = output(self.weighing(query(x), keys, values, mask))
        kept = keys.shape[1] - left_context
        return y, (keys[:, kept:], values[:, kept:])

    def _maps(self, x: Tensor, use: int) -> list[Map]:
        return prepared((self.query, self.key, self.value, self.output), use, x)


class RotaryWeighing(nn.Module):
    """Attention between its four maps: rotation, softmax, weighted sum. It has no parameters."""

    def __init__(self, num_heads: int, rotary_base: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.rotary_base = rotary_base

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Mask) -> Tensor:
        """The last T of S frames are the queries, (B, T, D); keys and values (B, S, D)."""
        batch, frames, d_model = queries.shape
        heads = (self.num_heads, d_model // self.num_heads)
        queries = queries.view(batch, frames, *heads).transpose(1, 2)
        keys = keys.view(batch, -1, *heads).transpose(1, 2)
        values = values.view(batch, -1, *heads).transpose(1, 2)
        cos, sin = rotary_table(keys.shape[2], heads[1], self.rotary_base, queries)
        y = F.scaled_dot_product_attention(
            rotate(queries, cos[-frames:], sin[-frames:]),
            rotate(keys, cos, sin),
            values,
            attn_mask=mask.attention,
        )
        return y.transpose(1, 2).reshape(batch, frames, d_model)


def rotary_table(frames: int, width: int, base: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines of position x frequency, each (frames, width / 2), typed as `like`.

    Frequencies are base^(-2 i / width), i = 0..width/2-1. The angles are formed in float64: in
    float32 those of a ten-minute recording would be off by 1e-3.
    """
    frequencies = base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.outer(torch.arange(frames, dtype=torch.float64), frequencies)
    return angles.cos().to(like), angles.sin().to(like)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (x_i, x_{i + P/2}) of (B, H, T, P) by the angles of their frame."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


@dataclass(frozen=True, kw_only=True)
class AttentionSpec(MixerSpec):
    """Multi-head self-attention."""

    num_heads: int = 8
    """Heads, H; the width must be divisible by twice their number."""
    rotary_base: float = 10000.0
    """The wavelengths of the rotary positions reach from 2 pi frames to about 2 pi x this base."""

    def __post_init__(self) -> None:
        if self.num_heads < 1:
            raise SpecError(f"num_heads: expected 1 or more, got {self.num_heads}")
        if self.rotary_base <= 1:
            raise SpecError(f"rotary_base: expected more than 1, got {self.rotary_base}")

    def build(self, d_model: int, linear: LinearFactory) -> Attention:
        """See MixerSpec."""
        if d_model % self.num_heads or d_model // self.num_heads % 2:
            fitting = [h for h in range(1, d_model + 1) if d_model % (2 * h) == 0]
            raise SpecError(
                f"num_heads: {self.num_heads} heads do not divide a width of {d_model} into even "
                f"parts; possible: {', '.join(map(str, fitting)) or 'none, choose an even width'}"
            )
        return Attention(d_model, self.num_heads, self.rotary_base, linear)
