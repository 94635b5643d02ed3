"""A layer's norms and branches."""

import torch

from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.layer import UseNorm
from foldformer.nn.mask import utterance_mask
from foldformer.nn.mixers.attention import AttentionSpec


def test_use_norm_is_torch_layer_norm_with_weights_by_use() -> None:
    norm = UseNorm(6, 3).double()
    torch.nn.init.normal_(norm.scale)
    torch.nn.init.normal_(norm.shift)
    x = torch.randn(2, 4, 6, dtype=torch.float64)
    for use in range(3):
        theirs = torch.nn.LayerNorm(6, dtype=torch.float64)
        with torch.no_grad():
            theirs.weight.copy_(norm.scale[use])
            theirs.bias.copy_(norm.shift[use])
        torch.testing.assert_close(norm(x, use), theirs(x))


def test_branches_leave_the_skip_connection_to_the_depth() -> None:
    spec = EncoderSpec(
        d_model=8,
        num_layers=2,
        uses=2,
        mixer=AttentionSpec(num_heads=2),
        feed_forward=DenseFeedForwardSpec(d_ff=12),
    )
    layer = spec.build().depth.layers[0]
    x = torch.randn(2, 5, 8)
    mask = utterance_mask(torch.tensor([5, 5]), 5, None, 0)
    torch.testing.assert_close(layer.mix(x, 1, mask), layer.mixer(layer.mixer_norm(x, 1), 1, mask))
    torch.testing.assert_close(
        layer.feed(x, 1), layer.feed_forward(layer.feed_forward_norm(x, 1), 1)
    )
