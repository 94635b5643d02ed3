"""Chosen recordings to manifests and tables."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import soundfile
from tqdm import tqdm

from foldformer.data.corpora._choice import REASONS, Chosen
from foldformer.data.corpora._manifests import Int16, manifest, store
from foldformer.data.corpora._recordings import read_sound
from foldformer.data.corpora._sizes import SplitSize, size, table
from foldformer.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class Utterance:
    """A chosen recording with all that its cut says."""

    name: str
    language: str
    speaker: str
    chosen: Chosen
    custom: Mapping[str, str]


@dataclass(frozen=True)
class Counts:
    """What a corpus came to."""

    sizes: Sequence[SplitSize]
    """By language, then split."""
    dropped: Mapping[str, Counter[str]]
    """{language: {reason: recordings}}; a `*` behind the language marks its unseen voice."""

    def __str__(self) -> str:
        """Two Markdown tables: what there is, and what was left out."""
        columns = list(self.dropped)
        lines = [
            f"| left out | {' | '.join(columns)} |",
            f"|---|{'---:|' * len(columns)}",
        ]
        for reason in REASONS:
            counts = [self.dropped[column][reason] for column in columns]
            if any(counts):
                lines.append(f"| {reason} | {' | '.join(map(str, counts))} |")
        return "\n".join([table(self.sizes), "", *lines])


def shown(items: Sequence[T], what: str, progress: bool) -> Iterable[T]:
    """The items, with a progress bar on stderr where a person watches."""
    bar: Iterable[T] = tqdm(items, desc=what, disable=None if progress else True, leave=False)
    return bar


def write_splits(
    folder: Path,
    splits: Mapping[str, Sequence[Utterance]],
    languages: Sequence[str],
    progress: bool,
) -> list[SplitSize]:
    """Write recordings and manifests (`SPLIT.jsonl.gz`); sizes by language, then split.

    Raises:
        InputError: there is nothing to train on, or a recording is damaged.
        OSError: a file cannot be written.
    """
    if not splits["train"]:
        raise InputError(
            "none of the recordings can be used for training: texts are missing or do not fit; "
            "get the packages again"
        )
    sizes = [
        each
        for split, utterances in splits.items()
        if utterances
        for each in _write_split(folder, split, utterances, progress)
    ]
    return sorted(sizes, key=lambda each: languages.index(each.language))


def _write_split(
    folder: Path, split: str, utterances: Sequence[Utterance], progress: bool
) -> list[SplitSize]:
    totals: dict[str, list[tuple[str, float]]] = {}
    with manifest(folder / f"{split}.jsonl.gz") as write:
        for each in shown(utterances, split, progress):
            path = f"audio/{each.language}/{split}/{each.name}.flac"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            sound, rate = _sound(each.chosen.path)
            text = each.chosen.text
            custom = {"written": each.chosen.written, **each.custom}
            about = {"text": text, "language": each.language, "speaker": each.speaker}
            write(store(folder, path, sound, rate, custom=custom, **about))
            totals.setdefault(each.language, []).append((text, len(sound) / rate))
    return [size(language, split, said) for language, said in totals.items()]


def _sound(path: Path) -> tuple[Int16, int]:
    try:
        return read_sound(path)
    except soundfile.SoundFileError as error:
        raise InputError(
            f"{path}: is damaged ({error}); get the package again, or delete the recording"
        ) from None
