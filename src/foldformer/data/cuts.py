"""Cuts of Lhotse manifests: read with clear errors; the text and the samples of one."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from lhotse import CutSet
from lhotse.cut import Cut, MixedCut
from lhotse.serialization import deserialize_item, load_jsonl
from lhotse.utils import fastcopy

from foldformer.data.audio import Samples, check_samples
from foldformer.errors import InputError
from foldformer.spec import nearest


def load_cuts(path: str | os.PathLike[str]) -> CutSet:
    """The cuts of a Lhotse manifest (`.jsonl` or `.jsonl.gz`), read one by one when needed.

    A relative path of a recording that leads nowhere from the current folder is taken from the
    manifest's own folder, so that a corpus can be moved or unpacked anywhere.

    Raises:
        InputError: there is no such file, it is empty, or it holds no cuts.
    """
    path = Path(path)
    if ".jsonl" not in path.suffixes:
        raise InputError(f"{path}: expected a manifest of cuts named *.jsonl or *.jsonl.gz")
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise InputError(f"{path}: {what}; expected a Lhotse manifest of cuts")
    try:
        first = deserialize_item(next(iter(load_jsonl(path))))
    except StopIteration:
        raise InputError(f"{path}: is empty; expected a Lhotse manifest of cuts") from None
    except Exception as error:
        raise InputError(f"{path}: is not a Lhotse manifest ({error})") from None
    if not isinstance(first, Cut):
        raise InputError(
            f"{path}: holds objects of type {type(first).__name__}; expected cuts: make them "
            f"with `lhotse cut simple -r recordings.jsonl -s supervisions.jsonl {path.name}`"
        )
    return CutSet.from_jsonl_lazy(path).map(partial(_found_from, folder=path.parent))


def _found_from(cut: Cut, folder: Path) -> Cut:
    """The cut with the paths of its recordings led from `folder` where they need it."""
    if isinstance(cut, MixedCut):
        tracks = [fastcopy(track, cut=_found_from(track.cut, folder)) for track in cut.tracks]
        return fastcopy(cut, tracks=tracks)
    if not getattr(cut, "has_recording", False):
        return cut
    paths = [Path(source.source) for source in cut.recording.sources if source.type == "file"]
    if any(not path.exists() and (folder / path).exists() for path in paths):
        return cut.with_recording_path_prefix(folder)
    return cut


def text_of(cut: Cut, field: str) -> str:
    """The text of a cut: `field` of its supervisions in order of time, joined by spaces.

    Args:
        cut: a Lhotse cut.
        field: "text", or the name of a custom field of the supervisions, such as a translation.

    Raises:
        InputError: the cut has no supervision, or one of them lacks the field.
    """
    if not cut.supervisions:
        raise InputError(f"cut {cut.id!r}: has no supervision; expected one with the text")
    ordered = sorted(cut.supervisions, key=lambda supervision: supervision.start)
    return " ".join(_field_of(supervision, field, cut.id) for supervision in ordered)


def _field_of(supervision: object, field: str, cut_id: str) -> str:
    custom = getattr(supervision, "custom", None) or {}
    value = getattr(supervision, "text", None) if field == "text" else custom.get(field)
    if isinstance(value, str):
        return value
    known = {name for name, item in custom.items() if isinstance(item, str)}
    if getattr(supervision, "text", None) is not None:
        known.add("text")
    hint = nearest(field, known) if known else "; it has no text at all"
    found = f" is {value!r}, expected text" if value is not None else " is missing"
    raise InputError(f"cut {cut_id!r}: the field {field!r} of its supervision{found}{hint}")


def language_of(cut: Cut) -> str:
    """The language of the first supervision; empty where none is given."""
    return next((s.language for s in cut.supervisions if s.language), "")


def samples_of(cut: Cut) -> Samples:
    """The samples (N,) of a cut, channels averaged, at the sampling rate of the cut.

    Raises:
        InputError: the recording is missing or damaged, or its samples fail `check_samples`.
    """
    try:
        samples = cut.load_audio()
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise InputError(
            f"cut {cut.id!r}: its recording cannot be read "
            f"({reason[0] if reason else type(error).__name__}): {_sources(cut)}"
        ) from error
    if samples is None:
        raise InputError(f"cut {cut.id!r}: has no recording; expected one with audio")
    mono = np.ascontiguousarray(samples.mean(axis=0) if len(samples) > 1 else samples[0])
    check_samples(mono, cut.sampling_rate, f"cut {cut.id!r}")
    return mono


def _sources(cut: Cut) -> str:
    return ", ".join(dict.fromkeys(_source_names(cut))) or "no recording"


def _source_names(cut: Cut) -> Iterator[str]:
    if isinstance(cut, MixedCut):
        for track in cut.tracks:
            yield from _source_names(track.cut)
    elif getattr(cut, "has_recording", False):
        for source in cut.recording.sources:
            yield str(source.source) if source.type == "file" else source.type
