"""A corpus as a folder that is there whole or not at all."""

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from foldformer.errors import InputError, SpecError
from foldformer.spec import Spec, from_dict, read_yaml, write_yaml

DOWNLOADS = "downloads"
_LOCK = "lock"

R = TypeVar("R")


def write_whole(
    out: Path,
    kind: str,
    spec: Spec,
    overwrite: bool,
    build: Callable[[Path, Path], R],
    made_of: str = "arguments",
) -> R | None:
    """Build a corpus beside `out` and rename it; None where `out` is the same corpus already.

    The work is done in the hidden folder `.NAME.partial` beside `out`. A run that was killed leaves
    it behind; the next one clears it and begins anew, but keeps what had been downloaded.

    Args:
        out: the folder; its parents are made where they are missing.
        kind: name of the corpus; `KIND.yaml` in the folder holds the spec.
        spec: what the corpus depends on.
        overwrite: replace a corpus of this kind made with another spec.
        build: fills the folder that is its first argument. Its second is a folder for its work, of
            which only the subfolder `downloads` outlives a failure.
        made_of: what differs, by the message, where `out` has another spec.

    Returns:
        What `build` returns.

    Raises:
        InputError: `out` cannot be written, holds something else, or is being made by another
            process.
    """
    target = out.resolve()
    if _is_there(target, out, kind, spec, overwrite, made_of):
        return None
    try:
        with _work_folder(target, out) as work:
            folder = work / "corpus"
            folder.mkdir()
            result = build(folder, work)
            write_yaml(folder / f"{kind}.yaml", spec)
            _replace(target, folder, work / "old")
            shutil.rmtree(work / DOWNLOADS, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{out}: cannot be written: {reason}; name another folder") from None
    return result


def _is_there(
    target: Path, out: Path, kind: str, spec: Spec, overwrite: bool, made_of: str
) -> bool:
    """Whether `target` is the corpus already; an error where it must not be touched."""
    try:
        if not target.exists() or (target.is_dir() and not any(target.iterdir())):
            return False
        whole = (target / f"{kind}.yaml").is_file()
    except OSError as error:
        raise InputError(f"{out}: cannot be read: {error.strerror}; name another folder") from None
    if not whole:
        raise InputError(f"{out}: exists and is no {kind} corpus; name another folder")
    with contextlib.suppress(SpecError, InputError):
        if from_dict(type(spec), read_yaml(target / f"{kind}.yaml")) == spec:
            return True
    if not overwrite:
        raise InputError(
            f"{out}: was made with other {made_of} (see its {kind}.yaml); name another folder, "
            f"or replace it with --overwrite"
        )
    return False


@contextlib.contextmanager
def _work_folder(target: Path, out: Path) -> Iterator[Path]:
    """The hidden folder beside `target`, for this process alone; only downloads outlive it."""
    work = target.with_name(f".{target.name}.partial")
    work.mkdir(parents=True, exist_ok=True)
    with _alone(work, out):
        try:
            _clear(work)
            yield work
        finally:
            _clear(work)
            if not any((work / DOWNLOADS).glob("*")):
                shutil.rmtree(work, ignore_errors=True)


def _clear(work: Path) -> None:
    for path in work.iterdir():
        if path.is_dir() and path.name != DOWNLOADS:
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _alone(work: Path, out: Path) -> Iterator[None]:
    """Hold a folder; the system lets go of it when the process ends, however it ends."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with (work / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{out}: another process is making it; wait for its end, or name another folder"
            ) from None
        yield


def _replace(target: Path, folder: Path, old: Path) -> None:
    """Give `folder` the name `target`; what had the name goes, but not before."""
    if not target.exists():
        folder.rename(target)
        return
    target.rename(old)
    try:
        folder.rename(target)
    except OSError:
        old.rename(target)
        raise
