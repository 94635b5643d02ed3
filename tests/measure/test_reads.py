"""Which weights come from outside the cache, on graphs small enough to count by hand."""

import pytest

from foldformer.deploy.onnx_file import Node, OnnxFile, Tensor
from foldformer.measure.reads import fetched, weight_reads

FLOAT, INT8, HALF = 1, 3, 10


def graph(*products: str, cast: str = "") -> OnnxFile:
    """Products with these weights, of 100 bytes each in fp32."""
    weights = {name: Tensor(name, FLOAT, (5, 5)) for name in products}
    nodes = [Node("MatMul", ("x", name), (f"y{i}",), {}) for i, name in enumerate(products)]
    if cast:
        weights["h"] = Tensor("h", HALF, (5, 5))
        nodes[:0] = [Node("Cast", ("h",), (cast,), {"to": FLOAT})]
        del weights[cast]
    return OnnxFile({}, (), (), weights, tuple(nodes))


def test_reads_in_their_order() -> None:
    assert list(weight_reads(graph("a", "b", "a"))) == [("a", 100), ("b", 100), ("a", 100)]


def test_a_weight_in_whole_numbers_is_read_in_fp32() -> None:
    found = graph("wide", "b")
    nodes = (Node("DequantizeLinear", ("q", "s"), ("wide",), {"axis": 0}), *found.nodes)
    weights = {"q": Tensor("q", INT8, (5, 5)), "s": Tensor("s", FLOAT, (5,))}
    weights["b"] = found.weights["b"]
    whole = OnnxFile({}, (), (), weights, nodes)
    assert list(weight_reads(whole, widened_at_once=True)) == [("q", 100), ("b", 100)]
    in_each_call = list(weight_reads(whole, widened_at_once=False))
    assert in_each_call == [("q", 25), ("s", 20), ("b", 100)]


def test_a_weight_that_is_cast_when_it_is_loaded_is_read_at_its_new_size() -> None:
    assert list(weight_reads(graph("wide", "b", "wide", cast="wide"))) == [
        ("h", 100),
        ("b", 100),
        ("h", 100),
    ]


def test_a_node_reads_a_weight_once() -> None:
    twice = OnnxFile(
        {}, (), (), {"a": Tensor("a", FLOAT, (5, 5))}, (Node("Mul", ("a", "a"), ("y",), {}),)
    )
    assert list(weight_reads(twice)) == [("a", 100)]


@pytest.mark.parametrize(
    ("order", "cache", "expected"),
    [
        ("aaabbb", 100, 200),  # adjacent uses of one matrix: once
        ("aaabbb", 99, 600),  # which fits in nowhere
        ("ababab", 100, 600),  # a cycle: the other one comes between
        ("ababab", 200, 200),
        ("abcabc", 200, 600),
        ("abacab", 200, 400),  # the least recently used goes
        ("abab", 0, 400),
    ],
)
def test_what_the_cache_holds(order: str, cache: int, expected: int) -> None:
    assert fetched(weight_reads(graph(*order)), cache) == expected
