"""Composed speech without a corpus: what something is to be tried on."""

from collections.abc import Iterator
from random import Random

from foldformer.data.audio import SAMPLING_RATE, Samples, to_mono_16k
from foldformer.data.corpora._composed.drawing import KINDS, draw_meanings
from foldformer.data.corpora._composed.grammars import grammar_of
from foldformer.data.corpora._composed.sound import assemble
from foldformer.data.corpora._composed.units import RATE, load_units


def composed_speech(language: str, seconds: float, seed: int = 0) -> Iterator[Samples]:
    """Utterances (N,) at 16 kHz, together so long at least; the same ones for the same seed."""
    random, units = Random(seed), load_units(language)
    length = 0
    for _, words in draw_meanings(grammar_of(language), KINDS, "test", random, repeat=True):
        samples = to_mono_16k(assemble(words, units, random)[0], RATE)
        yield samples
        length += len(samples)
        if length >= seconds * SAMPLING_RATE:
            return
