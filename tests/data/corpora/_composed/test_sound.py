"""One utterance: its length, its words where they are said to be, its loudness and its noise."""

import hashlib
from random import Random

import numpy as np
import pytest

from foldformer.data.corpora._composed.grammars import grammar_of, languages
from foldformer.data.corpora._composed.meanings import parse
from foldformer.data.corpora._composed.sound import assemble
from foldformer.data.corpora._composed.units import load_units

MILLISECOND = 8


def utterance(language, meaning, seed=0):
    words = grammar_of(language).say(parse(meaning))
    return words, *assemble(words, load_units(language), Random(seed))


@pytest.mark.parametrize("language", languages())
def test_the_length_is_that_of_the_units_and_the_pauses(language):
    words, sound, placed = utterance(language, "number:104123")
    units = load_units(language)
    assert sound.dtype == np.int16
    assert [place.word for place in placed] == words
    starts = [place.start for place in placed]
    ends = [place.start + place.length for place in placed]
    assert 100 * MILLISECOND <= starts[0] <= 400 * MILLISECOND
    assert 100 * MILLISECOND <= len(sound) - ends[-1] <= 400 * MILLISECOND
    for end, start in zip(ends[:-1], starts[1:], strict=True):
        assert 20 * MILLISECOND <= start - end <= 250 * MILLISECOND
    for place in placed:
        spoken = sum(len(units[unit]) for unit in place.word.units)
        joints = len(place.word.units) - 1
        assert 20 * MILLISECOND * joints <= place.length - spoken <= 80 * MILLISECOND * joints


@pytest.mark.parametrize("language", languages())
def test_a_word_sounds_where_it_is_placed_as_it_was_recorded(language):
    _, sound, placed = utterance(language, "digits:0123456789")
    units = load_units(language)
    gains = []
    for place in placed:
        recorded = units[place.word.units[0]].astype(float)
        heard = sound[place.start : place.start + place.length].astype(float)
        assert np.corrcoef(recorded, heard)[0, 1] > 0.999
        gains.append(heard @ recorded / (recorded @ recorded))
    assert len(set(gains)) == len(gains)
    assert max(gains) / min(gains) <= 1.12 / 0.88 * 1.001


def test_pauses_are_quiet_but_never_digital_silence():
    _, sound, placed = utterance("en", "number:40")
    before = sound[: placed[0].start]
    assert np.abs(before).max() <= 12
    assert np.count_nonzero(before) > len(before) / 4


def test_no_utterance_clips():
    for seed in range(40):
        _, sound, _ = utterance("it", "number:888", seed)
        assert np.abs(sound.astype(int)).max() <= 32_012


def test_edition_1_gives_these_samples_everywhere():
    # Made once on Linux x86-64, numpy 2: if they change, `edition` in `ComposedSpec` has to rise.
    digest = hashlib.sha256()
    for language in languages():
        for seed in range(3):
            _, sound, _ = utterance(language, "number:104123", f"0 {seed}")
            digest.update(sound.astype("<i2").tobytes())
    assert digest.hexdigest() == (
        "2fd20874007fd86cc18c2c5ffdd9f3e2bb57fb615bbab6d8946446b767b1bdfa"
    )


def test_seeds_change_the_sound_and_nothing_else_does():
    _, first, _ = utterance("ru", "digits:905", seed="a")
    _, second, _ = utterance("ru", "digits:905", seed="a")
    _, other, _ = utterance("ru", "digits:905", seed="b")
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
