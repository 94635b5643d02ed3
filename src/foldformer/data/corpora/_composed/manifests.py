"""Utterances to FLAC files and manifests of Lhotse cuts."""

import contextlib
import gzip
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import soundfile
from lhotse import AudioSource, MonoCut, Recording, SupervisionSegment
from lhotse.supervision import AlignmentItem

from foldformer.data.corpora._composed.grammars import (
    UnsayableError,
    grammar_of,
    languages,
    text_of,
)
from foldformer.data.corpora._composed.meanings import SPLITS, Meaning, written
from foldformer.data.corpora._composed.sound import Placed, assemble
from foldformer.data.corpora._composed.spec import ComposedSpec, SplitSize, meanings_of
from foldformer.data.corpora._composed.units import RATE, Int16, load_units

Write = Callable[[MonoCut], None]


def write_splits(
    folder: Path, spec: ComposedSpec, progress: Callable[[str], None]
) -> list[SplitSize]:
    """Write the audio and the manifest of each split; sizes by language, then split.

    Raises:
        OSError: a file cannot be written.
    """
    sizes = []
    for split in SPLITS:
        with _manifest(folder / f"{split}.jsonl.gz") as write:
            for language in spec.languages:
                sizes.append(_write_split(folder, spec, language, split, write, progress))
    return sorted(sizes, key=lambda size: spec.languages.index(size.language))


@contextlib.contextmanager
def _manifest(path: Path) -> Iterator[Write]:
    """A gzip file of JSON lines whose bytes depend on nothing but the cuts (no date, no name)."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:

        def write(cut: MonoCut) -> None:
            file.write(f"{json.dumps(cut.to_dict(), ensure_ascii=False)}\n".encode())

        yield write


def _write_split(
    folder: Path,
    spec: ComposedSpec,
    language: str,
    split: str,
    write: Write,
    progress: Callable[[str], None],
) -> SplitSize:
    units = load_units(language)
    wanted = {"train": spec.hours * 3600 * RATE, "dev": spec.dev, "test": spec.test}[split]
    train = split == "train"
    count = samples = 0
    texts: set[str] = set()
    (folder / "audio" / language / split).mkdir(parents=True)
    for meaning, words in meanings_of(spec, language, split):
        cut_id = f"composed-{language}-{split}-{count:06d}"
        sound, placed = assemble(words, units, Random(f"{spec.seed} {cut_id}"))
        path = f"audio/{language}/{split}/{cut_id}.flac"
        (folder / path).write_bytes(_flac(sound))
        write(_cut(cut_id, path, language, meaning, sound, placed))
        count += 1
        samples += len(sound)
        texts.add(text_of(words))
        if count % 50 == 0:
            progress(f"{language} {split}: {count} utterances, {samples / RATE / 60:.1f} minutes")
        if (samples if train else count) >= wanted:
            break
    return SplitSize(
        language=language,
        split=split,
        utterances=count,
        transcripts=len(texts),
        minutes=samples / RATE / 60,
        words=len({word for text in texts for word in text.split()}),
    )


def _flac(sound: Int16) -> bytes:
    """Encoded in memory, so that a full disk is an OSError like any other."""
    file = io.BytesIO()
    soundfile.write(file, sound, RATE, "PCM_16", format="FLAC")
    return file.getvalue()


def _cut(
    cut_id: str, path: str, language: str, meaning: Meaning, sound: Int16, placed: list[Placed]
) -> MonoCut:
    """The cut of one utterance; its path is relative to the manifest."""
    duration = len(sound) / RATE
    recording = Recording(
        id=cut_id,
        sources=[AudioSource(type="file", channels=[0], source=path)],
        sampling_rate=RATE,
        num_samples=len(sound),
        duration=duration,
    )
    times = [
        AlignmentItem(place.word.text, place.start / RATE, place.length / RATE) for place in placed
    ]
    supervision = SupervisionSegment(
        id=cut_id,
        recording_id=cut_id,
        start=0.0,
        duration=duration,
        channel=0,
        text=text_of([place.word for place in placed]),
        language=language,
        speaker=grammar_of(language).speaker,
        custom={"meaning": written(meaning), **_translations(meaning)},
        alignment={"word": times},
    )
    return MonoCut(
        id=cut_id,
        start=0.0,
        duration=duration,
        channel=0,
        recording=recording,
        supervisions=[supervision],
    )


def _translations(meaning: Meaning) -> dict[str, str]:
    """{translation_XX: text} for each language that can say the meaning, its own among them."""
    texts = {}
    for language in languages():
        with contextlib.suppress(UnsayableError):
            texts[f"translation_{language}"] = text_of(grammar_of(language).say(meaning))
    return texts
