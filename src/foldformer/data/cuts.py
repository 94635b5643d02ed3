"""Cuts of Lhotse manifests: read with clear errors; the text and the samples of one."""

import itertools
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from lhotse import CutSet
from lhotse.cut import Cut, MixedCut
from lhotse.cut.data import DataCut
from lhotse.serialization import deserialize_item, load_jsonl
from lhotse.utils import fastcopy

from foldformer.data.audio import Samples, check_rate, check_samples
from foldformer.data.shar import Shar, manifests_in, tar_of, with_audio
from foldformer.errors import InputError
from foldformer.spec import nearest

_BLOCK = 60  # seconds
_EXACT = {".wav", ".flac"}


def load_cuts(path: str | os.PathLike[str]) -> CutSet:
    """The cuts of a Lhotse manifest (`.jsonl[.gz]`) or Shar folder, read one by one when needed.

    A relative path of a recording that leads nowhere from the current folder is taken from the
    manifest's own folder, so that a corpus can be moved or unpacked anywhere.

    Raises:
        InputError: there is no such file, it is empty, or it holds no cuts.
    """
    path = Path(path)
    if path.is_dir():
        shards = manifests_in(path)
        if not shards:
            raise InputError(
                f"{path}: is a folder without cuts.000000.jsonl.gz; expected a Lhotse manifest of "
                f"cuts, or a folder in Lhotse's Shar format"
            )
        _check_manifest(shards[0])
        return CutSet(Shar(path)).map(partial(_found_from, folder=path))
    if ".jsonl" not in path.suffixes:
        raise InputError(f"{path}: expected a manifest of cuts named *.jsonl or *.jsonl.gz")
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a Lhotse manifest of cuts")
    _check_manifest(path)
    return CutSet.from_jsonl_lazy(path).map(partial(_found_from, folder=path.parent))


def _check_manifest(path: Path) -> None:
    """Refuse a file that does not begin with a cut."""
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


def read_cuts(path: str | os.PathLike[str]) -> Iterator[Cut]:
    """The cuts of a manifest one after the other, as `load_cuts` gives them.

    Raises:
        InputError: see `load_cuts`; or a line of the manifest is damaged, or has the id of one
            before it.
    """
    seen: set[str] = set()
    cuts = iter(load_cuts(path))
    for number in itertools.count(1):
        try:
            cut = next(cuts)
        except StopIteration:
            return
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"{path}, line {number}: is not a cut ({type(error).__name__}: {error}); "
                f"the manifest is damaged or incomplete"
            ) from None
        if cut.id in seen:
            raise InputError(
                f"{path}, line {number}: holds the cut {cut.id!r} a second time; expected each id "
                "once"
            )
        seen.add(cut.id)
        yield cut


def check_cut(cut: Cut, field: str) -> None:
    """Refuse a cut that a batch cannot be made of, without reading its audio.

    Raises:
        InputError: it lacks the text (see `text_of`), or a file of its recording does not exist.
    """
    text_of(cut, field)
    if not cut.has_recording:
        raise InputError(f"cut {cut.id!r}: has no recording; expected one with audio")
    for path in files_of(cut):
        if not path.exists():
            raise InputError(
                f"cut {cut.id!r}: its recording {path} does not exist, neither from the current "
                f"folder nor from the manifest's; move the corpus back or write its manifest anew"
            )


def _found_from(cut: Cut, folder: Path) -> Cut:
    """The cut with the paths of its recordings led from `folder` where they need it."""

    def led(cut: DataCut) -> DataCut:
        if any(not path.exists() and (folder / path).exists() for path in files_of(cut)):
            return cut.with_recording_path_prefix(folder)
        return cut

    return _each_track(cut, led)


def _each_track(cut: Cut, change: Callable[[DataCut], DataCut]) -> Cut:
    """The cut, or each of those it is mixed of, changed."""
    if isinstance(cut, MixedCut):
        tracks = [fastcopy(t, cut=_each_track(t.cut, change)) for t in cut.tracks]
        return fastcopy(cut, tracks=tracks)
    return change(cut) if isinstance(cut, DataCut) else cut


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
    if isinstance(getattr(supervision, "text", None), str):
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
        samples = _each_track(cut, with_audio).load_audio()
    except InputError:
        raise
    except Exception as error:
        files = ", ".join(map(str, files_of(cut))) or "no file"
        raise InputError(
            f"cut {cut.id!r}: its recording ({files}) cannot be read ({_reason(cut, error)})"
        ) from error
    if samples is None:
        raise InputError(f"cut {cut.id!r}: has no recording; expected one with audio")
    mono = np.ascontiguousarray(samples.mean(axis=0) if len(samples) > 1 else samples[0])
    check_rate(cut.sampling_rate, f"cut {cut.id!r}")
    check_samples(mono, cut.sampling_rate, f"cut {cut.id!r}")
    return mono


def blocks_of(cut: Cut) -> Iterator[Samples]:
    """`samples_of` in blocks (N,) of one or two minutes, for constant memory.

    All at once come those of a cut that cannot be read from any place on to the exact sample: one
    that is mixed or changed when it is read, or whose file is neither WAV nor FLAC.

    Raises:
        InputError: see `samples_of`; damage is found when it is reached.
    """
    number = int(cut.duration // _BLOCK) if _is_plain(cut) else 1
    if number <= 1:
        yield samples_of(cut)
        return
    for index in range(number):
        start = index * _BLOCK
        duration = _BLOCK if index < number - 1 else cut.duration - start
        yield samples_of(cut.truncate(offset=start, duration=duration, preserve_id=True))


def _is_plain(cut: Cut) -> bool:
    if not isinstance(cut, DataCut) or not cut.has_recording or cut.recording.transforms:
        return False
    suffixes = {Path(source.source).suffix.lower() for source in cut.recording.sources}
    return all(s.type == "file" for s in cut.recording.sources) and suffixes <= _EXACT


def _reason(cut: Cut, error: Exception) -> str:
    """Why Lhotse could not read the audio of a cut, in our words where they are clearer."""
    text = " ".join(str(error).split())
    if "number of declared samples" in text or "Requested more audio" in text:
        held = [_seconds_of(path) for path in files_of(cut)]
        return (
            f"it lasts {', '.join(held)}, which is not what the manifest says; it is truncated, or "
            "not the file that the manifest was made of"
        )
    # Lhotse lists what each of its ways to read audio says, each with the class of its error.
    said = re.search(r"LibsndfileError'>: (?:Error ?: ?)?(.+?)\.?(?: Exception #| Set |$)", text)
    return said[1] if said else f"{type(error).__name__}: {text[:200]}"


def _seconds_of(path: Path) -> str:
    try:
        return f"{soundfile.info(path).duration:.3f} s"
    except soundfile.SoundFileError:
        return "an unknown time"


def files_of(cut: Cut) -> Iterator[Path]:
    """The files that the recordings of a cut are read from."""
    if isinstance(cut, MixedCut):
        for track in cut.tracks:
            yield from files_of(track.cut)
    elif isinstance(cut, DataCut) and cut.has_recording:
        for source in cut.recording.sources:
            path = Path(source.source) if source.type == "file" else tar_of(source)
            if path is not None:
                yield path
