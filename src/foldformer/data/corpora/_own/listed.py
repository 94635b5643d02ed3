"""Which recordings there are, with which texts: a folder, or a table, read line by line."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from foldformer.data.audio import SUFFIXES
from foldformer.data.corpora._own.spec import OwnSpec
from foldformer.data.corpora._own.table import rows
from foldformer.errors import InputError

TABLES = (".tsv", ".csv", ".jsonl", ".json")
"""How the names of tables end; `.json` as NVIDIA's NeMo calls its JSON lines."""

_IN_CHAPTER = re.compile(r"(\d+)-\d+-\d+")  # how LibriSpeech calls a recording: speaker, chapter


@dataclass(frozen=True)
class Listed:
    """An utterance as a folder or a table has it."""

    name: str
    """The path of its recording, as it is listed."""
    path: Path
    text: str
    speaker: str | None = None
    language: str | None = None
    start: float | None = None
    """Seconds into the recording; None for its beginning."""
    duration: float | None = None
    """Seconds; None for up to its end."""
    translations: Mapping[str, str] = field(default_factory=dict)
    """{field of the supervision: text}."""


def listed(source: Path, spec: OwnSpec) -> list[Listed]:
    """All utterances of a folder, or of a table, in the order of their names, or of its lines.

    Raises:
        InputError: there is no such thing, it holds nothing, or it is not what is read here.
    """
    if source.is_dir():
        found = list(_in_folder(source, spec))
    elif not source.exists():
        raise InputError(f"{source}: no such file or folder; expected recordings or their table")
    elif source.suffix.lower() not in TABLES:
        raise InputError(
            f"{source}: expected a folder of recordings, or a table named {', '.join(TABLES)}"
        )
    else:
        found = list(_in_table(source, spec))
    if not found:
        raise InputError(f"{source}: holds no recordings; expected .wav, .flac, .mp3 or alike")
    return found


def _in_folder(folder: Path, spec: OwnSpec) -> Iterator[Listed]:
    if (folder / "wav.scp").is_file():
        raise InputError(
            f"{folder}: is a data folder of Kaldi; `lhotse kaldi import` and `lhotse cut simple` "
            f"make a manifest of it"
        )
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        sounds = sorted(n for n in names if Path(n).suffix.lower() in SUFFIXES and n[0] != ".")
        texts = _texts_of_chapter(Path(place), names) if sounds else {}
        for name in sounds:
            path = Path(place, name)
            chapter = _IN_CHAPTER.fullmatch(path.stem) if path.stem in texts else None
            folder_speaker = path.parent.name if spec.speaker_folders else None
            yield Listed(
                name=path.relative_to(folder).as_posix(),
                path=path,
                text=texts.get(path.stem) or _text_beside(path),
                speaker=chapter[1] if chapter else folder_speaker,
                language=spec.language,
            )


def _refuse(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None


def _text_beside(path: Path) -> str:
    beside = path.with_suffix(".txt")
    return " ".join(_read(beside).split()) if beside.is_file() else ""


def _texts_of_chapter(folder: Path, names: list[str]) -> dict[str, str]:
    """{recording: text} of the files `*.trans.txt`, as LibriSpeech has them: `ID TEXT` a line."""
    texts = {}
    for name in sorted(names):
        if name.endswith(".trans.txt"):
            for line in _read(folder / name).splitlines():
                key, _, text = line.strip().partition(" ")
                texts[key] = text.strip()
    return texts


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8; convert it, for example with iconv") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _in_table(table: Path, spec: OwnSpec) -> Iterator[Listed]:
    base: Path | None = None if spec.audio is None else Path(spec.audio)
    for row in rows(table, spec):
        if base is None:
            base = _base(table.parent, row.path)
        yield Listed(
            name=row.path,
            path=base / row.path,
            text=" ".join(row.text.split()),
            speaker=Path(row.path).parent.name if spec.speaker_folders else row.speaker,
            language=row.language or spec.language,
            start=row.start,
            duration=row.duration,
            translations=row.translations,
        )


def _base(folder: Path, first: str) -> Path:
    """The folder that paths start from: that of the table, or `clips` there (Common Voice)."""
    clips = folder / "clips"
    return clips if (clips / first).exists() and not (folder / first).exists() else folder
