"""Recordings that somebody has to the manifests of a corpus."""

import hashlib
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lhotse import Recording, SupervisionSegment
from lhotse.cut.data import DataCut
from lhotse.utils import fastcopy

from foldformer.data.corpora._manifests import manifest
from foldformer.data.corpora._own.heard import Heard
from foldformer.data.corpora._own.listed import Listed, listed
from foldformer.data.corpora._own.readme import readme
from foldformer.data.corpora._own.spec import OwnSpec
from foldformer.data.corpora._own.split import by_speaker, split
from foldformer.data.corpora._own.usable import ELSEWHERE, LeftOut, Usable, usable
from foldformer.data.corpora._sizes import SplitSize, size, table
from foldformer.data.corpora._splits import SPLITS
from foldformer.errors import InputError

_LICENCES = re.compile("licen[cs]e|copying|copyright|credits", re.IGNORECASE)


@dataclass(frozen=True)
class Made:
    """What a corpus came to."""

    sizes: Sequence[SplitSize]
    """By split, then language."""
    left_out: LeftOut
    note: str
    """How it was split."""

    def __str__(self) -> str:
        """Markdown: what there is, what was left out, how it was split."""
        return "\n\n".join(
            part for part in (table(self.sizes), str(self.left_out), self.note) if part
        )


def everything(spec: OwnSpec) -> dict[str, list[Listed]]:
    """{"train", and "dev" and "test" where they have a source of their own: what is listed}.

    Raises:
        InputError: a source is missing, empty or no such thing.
    """
    sources = {"train": spec.source, "dev": spec.dev, "test": spec.test}
    return {
        name: listed(Path(source), spec)
        for name, source in sources.items()
        if isinstance(source, str)
    }


def digest(found: Mapping[str, Sequence[Listed]]) -> str:
    """Of which recordings there are, with which texts."""
    content = hashlib.sha256()
    for name, each in found.items():
        content.update(f"{name} {each!r}\n".encode("utf-8", "surrogateescape"))
    return content.hexdigest()[:16]


def build(
    folder: Path,
    out: Path,
    spec: OwnSpec,
    found: Mapping[str, Sequence[Listed]],
    progress: bool,
) -> Made:
    """Fill the folder, which will be called `out`; see `foldformer.data.corpora.own.prepare`."""
    left_out = LeftOut()
    can: dict[str, list[Usable]] = {}
    heard = Heard()
    for name in sorted(found, key=SPLITS.index, reverse=True):  # what tests, no other split has
        left = LeftOut()
        others = []
        for each in found[name]:
            if heard.overlaps(each):
                left.add(ELSEWHERE, each.name)
            else:
                others.append(each)
        heard.take(others)
        can[name] = usable(others, spec.words, left, name, progress)
        if not can[name]:
            source = {"train": spec.source, "dev": spec.dev, "test": spec.test}[name]
            raise InputError(
                f"{source}: nothing of it can be used: {left.in_short()}"
                + ("; --audio names the folder of a table's recordings" * _lost(found[name]))
            )
        left_out.take(left)
    dev, test = ((0 if isinstance(n, str) else n) for n in (spec.dev, spec.test))
    splits = {**split(can["train"], dev, test), **{k: v for k, v in can.items() if k != "train"}}
    sizes = []
    for name in SPLITS:
        if splits[name]:
            _write(folder / f"{name}.jsonl.gz", splits[name], Path(os.path.abspath(out)))
            sizes += _sizes(name, splits[name])
    made = Made(sizes, left_out, _note(can["train"], spec))
    _copy_licences(Path(spec.source), folder)
    (folder / "README.md").write_text(readme(spec, str(made)), encoding="utf-8")
    return made


def _lost(found: Sequence[Listed]) -> bool:
    """Whether none of the recordings is where it is said to be."""
    return not any(each.path.is_file() for each in found)


def _note(utterances: Sequence[Usable], spec: OwnSpec) -> str:
    names = [name for name in ("dev", "test") if not isinstance(getattr(spec, name), str)]
    names = [name for name in names if getattr(spec, name) != 0]
    if not names:
        return ""
    what = "speakers" if by_speaker(utterances) else "texts"
    if isinstance(spec.dev, str) or isinstance(spec.test, str):  # which was not split here
        return f"Train has none of the {what} of {names[0]}."
    return f"No other split has the {what} of {' or '.join(names)}."


def _write(path: Path, utterances: Sequence[Usable], out: Path) -> None:
    with manifest(path) as write:
        for each in utterances:
            write(_cut(each, out))


def _cut(each: Usable, out: Path) -> DataCut:
    supervision = SupervisionSegment(
        id=each.name,
        recording_id=each.recording.id,
        start=0.0,
        duration=each.duration,
        channel=each.recording.channel_ids if each.recording.num_channels > 1 else 0,
        text=each.text,
        language=each.language,
        speaker=each.speaker,
        custom=dict(each.translations) or None,
    )
    whole = _placed(each.recording, out).to_cut()
    return fastcopy(
        whole,
        id=each.name,
        start=each.start,
        duration=each.duration,
        supervisions=[supervision],
    )


def _placed(recording: Recording, out: Path) -> Recording:
    """With paths relative to the corpus where both lie in one folder, so that it can be moved."""
    sources = []
    for source in recording.sources:
        path = Path(os.path.abspath(source.source))  # without "..", which says nothing of folders
        near = path.is_relative_to(out.parent)
        place = Path(os.path.relpath(path, out)).as_posix() if near else str(path)
        sources.append(replace(source, source=place))
    return fastcopy(recording, sources=sources)


def _sizes(name: str, utterances: Sequence[Usable]) -> list[SplitSize]:
    said: dict[str, list[tuple[str, float]]] = {}
    for each in utterances:
        said.setdefault(each.language or "", []).append((each.text, each.duration))
    return [size(language, name, said[language]) for language in sorted(said)]


def _copy_licences(source: Path, folder: Path) -> None:
    """Put the licence that lies beside the recordings beside the manifests, for model cards."""
    place = source if source.is_dir() else source.parent
    for path in sorted(place.iterdir()):
        if path.is_file() and _LICENCES.match(path.name):
            shutil.copyfile(path, folder / path.name)
