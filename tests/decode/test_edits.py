"""Words beside those written for them."""

from collections import Counter

import kaldialign
from hypothesis import given
from hypothesis import strategies as st

from foldformer.decode.edits import Mistaken, aligned, confusions, mistaken
from foldformer.decode.utterances import Utterance

words = st.lists(st.sampled_from(["a", "b", "c", "*", "ε"]), max_size=7)


@given(words, words)
def test_both_texts_are_in_it_with_as_few_errors_as_there_can_be(
    reference: list[str], hypothesis: list[str]
) -> None:
    pairs = aligned(reference, hypothesis)
    assert [r for r, _ in pairs if r is not None] == reference
    assert [h for _, h in pairs if h is not None] == hypothesis
    errors = kaldialign.edit_distance(reference, hypothesis)
    assert sum(r != h for r, h in pairs) == errors["total"]
    assert (None, None) not in pairs


def test_most_errors_first_then_in_order_of_ids() -> None:
    rows = [("d", "x y", "x z"), ("b", "a, B", "a b"), ("c", "x y", "z z z"), ("a", "q", "")]
    found = mistaken(Utterance(id_, "", said, heard) for id_, said, heard in rows)
    assert [(each.utterance.id, each.errors) for each in found] == [("c", 3), ("a", 1), ("d", 1)]
    assert found[1].pairs == [("q", None)]


def test_frequent_confusions() -> None:
    none = Utterance("", "", "", "")
    found = [
        Mistaken(none, [("a", "b"), ("x", "x"), ("a", "b")], 2),
        Mistaken(none, [("a", None), (None, "c"), ("a", None)], 3),
    ]
    counts = Counter({("a", "b"): 2, ("a", None): 2, (None, "c"): 1})
    assert dict(confusions(found, 10)) == counts
    assert confusions(found, 2) == [(("a", "b"), 2), (("a", None), 2)]
