"""The corpus as a folder: audio, manifests of Lhotse cuts, README; whole or not at all."""

import contextlib
import gzip
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import soundfile
from lhotse import AudioSource, MonoCut, Recording, SupervisionSegment
from lhotse.supervision import AlignmentItem

from foldformer.data.corpora._composed.drawing import draw_meanings
from foldformer.data.corpora._composed.grammars import (
    UnsayableError,
    Words,
    grammar_of,
    languages,
    text_of,
)
from foldformer.data.corpora._composed.meanings import SPLITS, Meaning, written
from foldformer.data.corpora._composed.readme import readme
from foldformer.data.corpora._composed.sound import Placed, assemble
from foldformer.data.corpora._composed.units import RATE, Int16, load_units
from foldformer.data.corpora.composed import ComposedSpec, SplitSize
from foldformer.errors import InputError, SpecError
from foldformer.spec import from_dict, read_yaml, write_yaml

SPEC_FILE = "composed.yaml"
"""Written last; a folder that has it is a whole corpus."""


def write_corpus(
    out: Path, spec: ComposedSpec, overwrite: bool, progress: Callable[[str], None]
) -> list[SplitSize] | None:
    """Compose beside `out` and rename; see `foldformer.data.corpora.composed.compose`."""
    if _is_there(out, spec, overwrite):
        return None
    partial = out.with_name(f"{out.name}.partial-{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        sizes = _write_splits(partial, spec, progress)
        (partial / "README.md").write_text(readme(spec, sizes), encoding="utf-8")
        write_yaml(partial / SPEC_FILE, spec)
        _replace(out, partial)
    except OSError as error:
        raise InputError(
            f"{out}: cannot be written: {error.strerror or error}; name a folder that can be"
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return sizes


def _is_there(out: Path, spec: ComposedSpec, overwrite: bool) -> bool:
    """Whether `out` is the corpus already; an error where it must not be touched."""
    try:
        empty = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    except OSError as error:
        raise InputError(f"{out}: cannot be read: {error.strerror}") from None
    if empty:
        return False
    if not (out / SPEC_FILE).is_file():
        raise InputError(f"{out}: exists and is no composed corpus; name a new folder")
    with contextlib.suppress(SpecError):
        if from_dict(ComposedSpec, read_yaml(out / SPEC_FILE)) == spec:
            return True
    if not overwrite:
        raise InputError(
            f"{out}: was composed with other arguments (see its {SPEC_FILE}); name a new folder "
            f"or replace it with --overwrite"
        )
    return False


def _replace(out: Path, partial: Path) -> None:
    """Give `partial` the name `out`; what had the name goes."""
    old = out.with_name(f"{out.name}.old-{os.getpid()}")
    if out.exists():
        out.rename(old)
    partial.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _write_splits(
    folder: Path, spec: ComposedSpec, progress: Callable[[str], None]
) -> list[SplitSize]:
    sizes = []
    for split in SPLITS:
        with _jsonl(folder / f"{split}.jsonl.gz") as write:
            for language in spec.languages:
                sizes.append(_write_split(folder, spec, language, split, write, progress))
    return sorted(sizes, key=lambda size: spec.languages.index(size.language))


@contextlib.contextmanager
def _jsonl(path: Path) -> Iterator[Callable[[object], None]]:
    """A gzip file of JSON lines whose bytes depend on nothing but its content."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:

        def write(item: object) -> None:
            file.write(f"{json.dumps(item, ensure_ascii=False)}\n".encode())

        yield write


def _write_split(
    folder: Path,
    spec: ComposedSpec,
    language: str,
    split: str,
    write: Callable[[object], None],
    progress: Callable[[str], None],
) -> SplitSize:
    grammar, units = grammar_of(language), load_units(language)
    wanted = {"train": spec.hours * 3600 * RATE, "dev": spec.dev, "test": spec.test}[split]
    train = split == "train"
    # No language in the seed: all languages draw the same meanings in the same order.
    meanings = draw_meanings(
        grammar, spec.kinds, split, Random(f"{spec.seed} {split} meanings"), repeat=train
    )
    count = samples = 0
    transcripts, words_met = set(), set()
    (folder / "audio" / language / split).mkdir(parents=True)
    for meaning, words in meanings:
        cut_id = f"composed-{language}-{split}-{count:06d}"
        sound, placed = assemble(words, units, Random(f"{spec.seed} {cut_id}"))
        path = f"audio/{language}/{split}/{cut_id}.flac"
        soundfile.write(folder / path, sound, RATE, "PCM_16")
        write(_cut(cut_id, path, language, grammar.speaker, meaning, sound, placed).to_dict())
        count += 1
        samples += len(sound)
        transcripts.add(text_of(words))
        words_met.update(text_of(words).split())
        if count % 50 == 0:
            progress(f"{language} {split}: {count} utterances, {samples / RATE / 60:.1f} minutes")
        if (samples if train else count) >= wanted:
            break
    else:
        raise SpecError(
            f"{split}: {language} has only {count} different {split} utterances of the kinds "
            f"{', '.join(spec.kinds)}; ask for fewer or for more kinds"
        )
    return SplitSize(
        language=language,
        split=split,
        utterances=count,
        transcripts=len(transcripts),
        minutes=samples / RATE / 60,
        words=len(words_met),
    )


def _cut(
    cut_id: str,
    path: str,
    language: str,
    speaker: str,
    meaning: Meaning,
    sound: Int16,
    placed: list[Placed],
) -> MonoCut:
    duration = len(sound) / RATE
    words = [place.word for place in placed]
    return MonoCut(
        id=cut_id,
        start=0.0,
        duration=duration,
        channel=0,
        recording=Recording(
            id=cut_id,
            sources=[AudioSource(type="file", channels=[0], source=path)],
            sampling_rate=RATE,
            num_samples=len(sound),
            duration=duration,
        ),
        supervisions=[
            SupervisionSegment(
                id=cut_id,
                recording_id=cut_id,
                start=0.0,
                duration=duration,
                channel=0,
                text=text_of(words),
                language=language,
                speaker=speaker,
                custom={"meaning": written(meaning), **_translations(meaning, language, words)},
                alignment={
                    "word": [
                        AlignmentItem(place.word.text, place.start / RATE, place.length / RATE)
                        for place in placed
                    ]
                },
            )
        ],
    )


def _translations(meaning: Meaning, language: str, words: Words) -> dict[str, str]:
    """{translation_XX: text} for each language that can say the meaning, its own among them."""
    texts = {f"translation_{language}": text_of(words)}
    for other in languages():
        if other != language:
            with contextlib.suppress(UnsayableError):
                texts[f"translation_{other}"] = text_of(grammar_of(other).say(meaning))
    return dict(sorted(texts.items()))
