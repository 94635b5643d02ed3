"""Files that are written whole or not at all, and what tells them apart."""

import hashlib
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


def remove_incomplete(folder: Path) -> None:
    """Clear away what a process that was killed in `complete_files` has left.

    Nobody else may be writing into the folder.
    """
    for beside in folder.glob(f"{_PARTIAL}*"):
        shutil.rmtree(beside, ignore_errors=True)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        InputError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    return digest.hexdigest()
