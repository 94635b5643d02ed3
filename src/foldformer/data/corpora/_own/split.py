"""Which utterances train, which validate, which test."""

import hashlib
from collections.abc import Mapping, Sequence

from foldformer.data.corpora._choice import words_of
from foldformer.data.corpora._own.usable import Usable
from foldformer.data.corpora._splits import SPLITS
from foldformer.data.tokens import normalise
from foldformer.errors import InputError

SPEAKERS = 10
"""From so many speakers on, those of dev and test are heard in no other split."""

_MOST = 500  # utterances that a split gets where nothing is said; more of them tell little more


def by_speaker(utterances: Sequence[Usable]) -> bool:
    """Whether speakers are split; texts are where there are too few of them, or none is known."""
    return len({each.speaker for each in utterances if each.speaker}) >= SPEAKERS


def split(
    utterances: Sequence[Usable], dev: int | None, test: int | None
) -> Mapping[str, list[Usable]]:
    """{split: utterances, in their order}; no speaker, or no text, is in two of them.

    A hash decides, so that it is always the same. Speakers are taken whole, so that a split may
    have more utterances than were asked for, at most twice as many where speakers allow it.

    Args:
        utterances: what there is.
        dev: number of utterances; None for a tenth, 500 at most.
        test: number of utterances, as for `dev`.

    Raises:
        InputError: nothing would be left to train on.
    """
    groups: dict[str, list[Usable]] = {}
    speakers = by_speaker(utterances)
    for each in utterances:
        text = normalise(words_of(each.text) or each.text)  # punctuation makes no other text
        key = f"speaker {each.speaker}" if speakers and each.speaker else f"text {text}"
        groups.setdefault(key, []).append(each)
    usual = min(_MOST, len(utterances) // 10)
    left = sorted(groups, key=lambda key: hashlib.sha256(key.encode()).digest())
    place: dict[str, str] = {}
    for name, wanted in (("test", test), ("dev", dev)):
        chosen = _chosen(left, groups, usual if wanted is None else wanted)
        place |= dict.fromkeys(chosen, name)
        left = [key for key in left if key not in place]
    if not left:
        what = "speakers" if speakers else "texts"
        raise InputError(
            f"{len(utterances)} utterances of {len(groups)} {what}: none is left for training; "
            f"take fewer with --dev and --test, or none with 0"
        )
    of = {id(each): place.get(key, "train") for key, group in groups.items() for each in group}
    return {name: [each for each in utterances if of[id(each)] == name] for name in SPLITS}


def _chosen(keys: Sequence[str], groups: Mapping[str, Sequence[Usable]], wanted: int) -> list[str]:
    chosen: list[str] = []
    count = 0
    for key in keys:
        if count < wanted and count + len(groups[key]) <= 2 * wanted:
            chosen.append(key)
            count += len(groups[key])
    if wanted and not chosen and keys:  # all are large
        chosen = [min(keys, key=lambda key: len(groups[key]))]
    return chosen
