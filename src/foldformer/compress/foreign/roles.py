"""Which linear maps of a layer of `transformers` are an attention, and which a feed-forward."""

from dataclasses import dataclass
from itertools import chain, takewhile

from torch import nn

from foldformer.compress.foreign.stacks import Stack, model_type


@dataclass(frozen=True, kw_only=True)
class Attention:
    """Names inside of a layer of the maps of an attention, and what is known of its heads."""

    query: str
    key: str
    value: str
    output: str
    heads: int
    """Heads of the queries."""
    groups: int
    """Heads of the keys and values: fewer where several queries share them (GQA)."""
    rotary: bool
    """Whether queries and keys are turned by their position before they meet, pair i with
    i + P / 2 of a head; else nothing lies between the maps and their products."""


@dataclass(frozen=True, kw_only=True)
class FeedForward:
    """Names inside of a layer of a feed-forward's maps, with a function of each unit between."""

    enter: tuple[str, ...]
    """One map, or with a gate two."""
    leave: str


_ATTENTIONS = (
    ("self.query", "self.key", "self.value", "output.dense"),
    ("q_proj", "k_proj", "v_proj", "out_proj"),
    ("q_proj", "k_proj", "v_proj", "o_proj"),
    ("q_lin", "k_lin", "v_lin", "out_lin"),
)
_PLACES = ("attention.", "crossattention.", "self_attn.", "encoder_attn.")
_FEED_FORWARDS = (
    (("intermediate.dense",), "output.dense"),
    (("fc1",), "fc2"),
    (("mlp.gate_proj", "mlp.up_proj"), "mlp.down_proj"),
    (("mlp.c_fc",), "mlp.c_proj"),
    (("ffn.lin1",), "ffn.lin2"),
    (("feed_forward.intermediate_dense",), "feed_forward.output_dense"),
)
# Models with nothing else in an attention that belongs to one head, as far as has been read; in
# others (relative positions, norms of queries) more than the maps may tell heads apart.
_ABSOLUTE = (
    "bert",
    "roberta",
    "xlm-roberta",
    "camembert",
    "electra",
    "distilbert",
    "whisper",
    "bart",
)
_ROTARY = ("llama", "mistral", "qwen2")


def roles(model: nn.Module, stack: Stack) -> list[Attention | FeedForward]:
    """The attentions and feed-forwards of a list of layers, as far as their names are known.

    A feed-forward counts where nothing but a function of each unit lies between its maps.

    Whoever builds layers of their own gives these to `align` instead.
    """
    found: list[Attention | FeedForward] = [
        role
        for role in (FeedForward(enter=enter, leave=leave) for enter, leave in _FEED_FORWARDS)
        if {*role.enter, role.leave} <= set(stack.shapes) and _units_alike(stack, role)
    ]
    config, kind = getattr(model, "config", None), model_type(model)
    heads = _heads(config, stack.name)
    absolute = getattr(config, "position_embedding_type", "absolute") == "absolute"
    if not heads or kind not in (*_ABSOLUTE, *_ROTARY) or not absolute:
        return found
    for names in _ATTENTIONS:
        for place in _PLACES:
            query, key, value, output = (place + name for name in names)
            if {query, key, value, output} <= set(stack.shapes):
                found.append(
                    Attention(
                        query=query,
                        key=key,
                        value=value,
                        output=output,
                        heads=heads,
                        groups=stack.shapes[key][1] * heads // stack.shapes[query][1],
                        rotary=kind in _ROTARY,
                    )
                )
    return found


def _units_alike(stack: Stack, role: FeedForward) -> bool:
    """Whether the units of a feed-forward can change places: nothing else there knows them apart.

    The names are those of many models, and some of these have a norm or a convolution with weights
    of each unit between the maps. It stands beside them, and has a side as long as there are units.
    """
    units = stack.shapes[role.leave][0]
    if any(stack.shapes[name][1] != units for name in role.enter):
        return False
    names = (*role.enter, role.leave)
    levels = zip(*(name.split(".")[:-1] for name in names), strict=False)
    place = "".join(f"{parts[0]}." for parts in takewhile(lambda each: len({*each}) == 1, levels))
    maps = tuple(f"{name}." for name in names)
    return not any(
        units in tensor.shape and name.startswith(place) and not name.startswith(maps)
        for layer in stack.layers
        for name, tensor in chain(layer.named_parameters(), layer.named_buffers())
    )


def _heads(config: object, name: str) -> int:
    side = "decoder" if "decoder" in name.split(".") else "encoder"
    for field in (f"{side}_attention_heads", "num_attention_heads"):
        number = getattr(config, field, None)
        if isinstance(number, int):
            return number
    return 0
