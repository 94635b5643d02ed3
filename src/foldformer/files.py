"""Files that are written whole or not at all, and what tells them apart."""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from foldformer.errors import InputError

_PARTIAL = ".partial-"


@contextmanager
def complete_files(folder: Path, replaced: Iterable[str] = ()) -> Iterator[Path]:
    """A folder to write files into; when all went well they are moved into `folder`, else dropped.

    Args:
        folder: it is made where it is missing.
        replaced: names of files there that do not fit those that are written, and go with them
            unless they are written too.

    Raises:
        InputError: the place cannot be written; or another file, which the error names, failed.
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
        for name in replaced:
            if not (beside / name).exists():
                (folder / name).unlink(missing_ok=True)
        for path in sorted(beside.iterdir()):
            path.replace(folder / path.name)
    except OSError as error:
        # Reads of other files fail in here as well; an error without a name is one of writing.
        if isinstance(error.filename, str) and folder not in Path(error.filename).parents:
            raise InputError(f"{error.filename}: {error.strerror}") from None
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def whole_file(path: Path | None, option: str) -> Iterator[Path | None]:
    """Where to write what shall stand at `path` when all went well; fails now if it never can.

    A device or a pipe, such as /dev/null, is written as it is, and so is what standard output goes
    to; of a link, what it leads to.

    Raises:
        InputError: `path`, which an option of a command names, is a folder or cannot be written.
    """
    if path is None:
        yield None
        return
    if path.is_dir():
        raise InputError(f"{path}: is a folder; {option} names a file")
    if path.exists() and not path.is_file():
        yield path
        return
    if _is_standard_output(path):
        with tempfile.TemporaryDirectory(prefix=_PARTIAL) as folder:
            yield Path(folder, "output")
            print(Path(folder, "output").read_text(encoding="utf-8"), end="", flush=True)
        return
    path = path.resolve()
    with complete_files(path.parent) as beside:
        yield beside / path.name


def _is_standard_output(path: Path) -> bool:
    """Whether it is the file that standard output was redirected to, as /dev/stdout is."""
    try:
        return os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):  # there is no such file; this output is none
        return False


def remove_incomplete(folder: Path) -> None:
    """Clear away what a process that was killed in `complete_files` has left.

    Nobody else may be writing into the folder.
    """
    for beside in folder.glob(f"{_PARTIAL}*"):
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def sole_process(folder: Path, name: str, busy: str) -> Iterator[IO[str]]:
    """Hold a folder for this process alone; the system lets go of it when the process ends.

    Args:
        folder: it is made where it is missing.
        name: of the file in it that is locked; it stays, and says nothing.
        busy: the message where another process holds the folder.

    Raises:
        InputError: another process holds it, or it cannot be written.
    """
    with complete_files(folder):  # makes the folder, or says why not
        pass
    with (folder / name).open("w") as file:
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(busy) from None
        yield file


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
