"""Files that are written whole or not at all."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foldformer.errors import InputError

_PARTIAL = ".partial-"


@contextmanager
def complete_files(folder: Path) -> Iterator[Path]:
    """A folder to write files into; when all went well they are moved into `folder`, else dropped.

    Raises:
        InputError: the place cannot be written.
    """
    if folder.is_file():
        raise InputError(f"{folder}: cannot be written: it is a file, not a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=folder))
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from None
    try:
        yield beside
        for path in sorted(beside.iterdir()):
            path.replace(folder / path.name)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def whole_file(path: Path | None, option: str) -> Iterator[Path | None]:
    """Where to write what shall stand at `path` when all went well; fails now if it never can.

    Raises:
        InputError: `path`, which an option of a command names, is a folder or cannot be written.
    """
    if path is None:
        yield None
        return
    if path.is_dir():
        raise InputError(f"{path}: is a folder; {option} names a file")
    with complete_files(path.parent) as beside:
        yield beside / path.name


def remove_incomplete(folder: Path) -> None:
    """Clear away what a process that was killed in `complete_files` has left.

    Nobody else may be writing into the folder.
    """
    for beside in folder.glob(f"{_PARTIAL}*"):
        shutil.rmtree(beside, ignore_errors=True)
