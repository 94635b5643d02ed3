"""The recorded units in the package: size, index, sound, and the texts they came with."""

import unicodedata

import numpy as np
import pytest
import soundfile

from foldformer.data.corpora._composed.grammars import languages
from foldformer.data.corpora._composed.index import FOLDER, load_index
from foldformer.data.corpora._composed.units import RATE, load_units

# Where our words differ from the texts of Debian's packages by more than case and accents: it is
# they that are wrong, or missing (""). Those of fr and ru are other spellings of the same word.
CORRECTED = {
    "es": {
        "digits/0": "diez",  # the line of ten bears the number of zero
        "digits/10": "",
        "digits/at_s": "",
        "digits/20-and": "",
        "digits/hundred": "cient",
    },
    "fr": {
        "digits/at": "",
        "digits/et": "",
        "phonetic/j_p": "juliet",
        "phonetic/u_p": "uniform",
    },
    "it": {
        "digits/hundred": "centinaia",
        "digits/thousands": "migliaia",
        "digits/ore-1900": "millenovecento... (data)",
        "digits/ore-2000": "duemila... (data)",
    },
    "ru": {
        "letters/a": "ей",
        "letters/j": "Джэй",
        "letters/k": "Кэй",
        "letters/z": "Зэт",
        "letters/ww": "",
        "phonetic/d_p": "Дэльта",
        "phonetic/s_p": "Съерра",
    },
}


def plain(text: str) -> str:
    letters = unicodedata.normalize("NFD", text.lower())
    return "".join(letter for letter in letters if letter.isalnum())


def prompts(language: str) -> dict[str, str]:
    lines = (FOLDER / f"{language}.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[0].split("\t") == ["unit", "words", "start", "length", "prompt"]
    return {row.split("\t")[0]: row.split("\t")[4] for row in lines[1:]}


def test_all_units_are_small_and_credited():
    files = {path.name for path in FOLDER.iterdir()}
    per_language = {f"{code}.{end}" for code in languages() for end in ("flac", "tsv")}
    assert files == per_language | {"CREDITS.md"}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 5 * 2**20
    credits_text = (FOLDER / "CREDITS.md").read_text(encoding="utf-8")
    for name in ("Allison Smith", "June Wallack", "Carlo Flora", "Maxim Topal", "by-sa/3.0"):
        assert name in credits_text


@pytest.mark.parametrize("language", languages())
def test_words_are_those_of_the_prompts_but_for_known_errors(language):
    index = load_index(language)
    differing = {
        unit: prompt
        for unit, prompt in prompts(language).items()
        if plain(prompt) != plain(index[unit].words)
    }
    assert differing == CORRECTED.get(language, {})


@pytest.mark.parametrize("language", languages())
def test_the_index_covers_the_recording_without_gap_or_overlap(language):
    information = soundfile.info(FOLDER / f"{language}.flac")
    assert (information.samplerate, information.channels) == (RATE, 1) == (8000, 1)
    position = 0
    for entry in load_index(language).values():
        assert entry.start == position
        position += entry.length
    assert position == information.frames


@pytest.mark.parametrize("language", languages())
def test_units_are_words_with_little_silence_around_them(language):
    for name, samples in load_units(language).items():
        assert 0.12 < len(samples) / RATE < 1.7, name
        assert 6_000 < np.abs(samples.astype(int)).max() <= 32_768, name
        frames = samples[: len(samples) // 80 * 80].reshape(-1, 80).astype(float)
        (loud,) = np.nonzero((frames**2).mean(axis=1) > 1e-4 * (frames**2).mean(axis=1).max())
        assert loud[0] * 10 <= 40, name
        assert (len(frames) - loud[-1]) * 10 <= 60, name


def test_units_are_not_to_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        load_units("en")["digits/0"][0] = 1
