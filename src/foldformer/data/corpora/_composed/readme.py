"""The README.md of a composed corpus: what it is, what it is not, counts, credits."""

from collections.abc import Sequence

from foldformer.data.corpora._composed.units import FOLDER
from foldformer.data.corpora.composed import ComposedSpec, SplitSize, table

_TEXT = """# Composed speech: {languages}

Utterances composed from recorded words: {kinds}. The words are real speech, one
professional speaker a language, 8 kHz; the sentences are not: recordings of single words were
played one after the other with random pauses, loudness and a quiet noise floor. The same recordings
serve in train, dev and test, and the speaker is the same; what is held out are the word sequences.
So a figure measured here is a figure on composed speech, and says little about free speech.

Made by `foldformer corpus composed OUT_DIR --languages {language_list} --hours {hours:g}
--dev {dev} --test {test} --kinds {kind_list} --seed {seed}`.

{table}

- `train.jsonl.gz`, `dev.jsonl.gz`, `test.jsonl.gz`: Lhotse cuts of all languages. A supervision has
  the transcript (`text`), `language`, `speaker`, the times of the words (`alignment`), and in
  `custom` the `meaning` and `translation_XX` for each language that can say the meaning. The
  recordings of a language may lack a word (Russian has no hundreds above one and no days of
  the month), and then there is neither an utterance nor a translation.
- Splits: a hash of the meaning decides, the same for all languages and seeds. No number, date, time
  or string of test, nor its translation, occurs in train or dev, not even as half of an utterance.
  A weekday does not count: Monday 3:45 and Friday 3:45 are in the same split.
- Paths of recordings are relative to this folder, so that it can be moved. foldformer finds them from
  anywhere. With Lhotse alone, work in this folder or give it:
  `CutSet.from_file("OUT_DIR/train.jsonl.gz").with_recording_path_prefix("OUT_DIR")`.

## Credits and licence of the recordings

{credits}"""


def readme(spec: ComposedSpec, sizes: Sequence[SplitSize]) -> str:
    """The text of the README."""
    return _TEXT.format(
        languages=", ".join(spec.languages),
        kinds=", ".join(spec.kinds),
        language_list=",".join(spec.languages),
        kind_list=",".join(spec.kinds),
        hours=spec.hours,
        dev=spec.dev,
        test=spec.test,
        seed=spec.seed,
        table=table(sizes),
        credits=(FOLDER / "CREDITS.md").read_text(encoding="utf-8").partition("\n")[2].strip()
        + "\n",
    )
