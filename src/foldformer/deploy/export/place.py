"""The folder of an export: new, and there only once everything in it is."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foldformer.deploy.folder import check_name
from foldformer.errors import InputError
from foldformer.files import complete_files, remove_incomplete

_PARTIAL = ".partial-"
"""How the folder of a call begins that was killed, see `foldformer.files`: it is no export."""


def check_new(folder: Path) -> None:
    """Check that an export would replace nothing and can be written, before it is made.

    Raises:
        InputError: the folder is not empty, is no folder, or cannot be made; or its name is not
            UTF-8.
    """
    check_name(folder)
    if folder.is_dir() and any(not each.name.startswith(_PARTIAL) for each in folder.iterdir()):
        raise InputError(f"{folder}: is not empty; choose a new folder with --output")
    place = folder.absolute()
    while not os.path.lexists(place):
        place = place.parent
    try:  # more than permissions: a file system may be read-only, or be none of ours
        os.rmdir(tempfile.mkdtemp(prefix=_PARTIAL, dir=place))
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {place}: {error.strerror}") from None


@contextmanager
def new_export(folder: Path) -> Iterator[Path]:
    """A folder to write files into that become `folder` when all went well; else nothing is left.

    Raises:
        InputError: it cannot be written.
    """
    fresh = not folder.exists()
    try:
        with complete_files(folder) as beside:
            yield beside
        # Of an earlier call that was killed; one at work now is too late.
        remove_incomplete(folder)
    except BaseException:
        if fresh and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        raise
