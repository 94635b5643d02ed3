"""Which weights a call reads, by arithmetic on the graph: fetching them is what costs energy.

Energy on a device is dominated by weights that come from outside the cache (arXiv:2102.11531).
Nodes run in the order of the file, and a node reads each of its weights once. It is fetched unless
it is still in a cache that holds the weights read last, whole ones alone (LRU): so it is if those
read since its last use, each counted once, and itself fit in together. Activations take no room.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from foldformer.deploy.onnx_file import OnnxFile, Tensor

_CAST_TO = "to"
_FLOAT = 1


def weight_reads(graph: OnnxFile, *, widened_at_once: bool = True) -> Iterator[tuple[str, int]]:
    """(weight, bytes) of each read of one call, in their order.

    A weight that is only cast to another type is so once, when the file is loaded, and is read at
    its new size.

    Args:
        graph: what is called.
        widened_at_once: whether that holds for weights that are taken to fp32 from whole numbers,
            too. If not, they are in each call: the whole numbers are read then, and what comes of
            them is an activation.
    """
    at_once = ("Cast", "DequantizeLinear") if widened_at_once else ("Cast",)
    weights = dict(graph.weights)
    names = {name: name for name in weights}
    for node in graph.nodes:
        if node.op_type in at_once and node.inputs[0] in weights:
            source, target = node.inputs[0], node.outputs[0]
            dtype = node.attributes.get(_CAST_TO, _FLOAT)
            weights[target] = Tensor(source, dtype, weights[source].shape)
            names[target] = names[source]
            continue
        for name in dict.fromkeys(node.inputs):
            if name in weights:
                yield names[name], weights[name].bytes


def fetched(reads: Iterable[tuple[str, int]], cache: int) -> int:
    """Bytes that come from outside a cache of so many bytes, which is empty at the start."""
    held: OrderedDict[str, int] = OrderedDict()
    total = room = 0
    for name, size in reads:
        if name in held:
            held.move_to_end(name)
            continue
        total += size
        if size <= cache:
            held[name] = size
            room += size
        while room > cache:
            room -= held.popitem(last=False)[1]
    return total
