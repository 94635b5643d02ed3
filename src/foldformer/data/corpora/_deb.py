"""Debian packages read without Debian: `ar` around a compressed tar of the files (deb(5))."""

import io
import lzma
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from tqdm import tqdm

from foldformer.errors import InputError

_MAGIC = b"!<arch>\n"
_HEADER = 60  # bytes: 16 of the name, 32 of no interest here, 10 of the size, 2 at the end


def unpack(deb: Path, folder: Path, wanted: Callable[[str], bool], progress: bool = False) -> None:
    """Write the wanted files of a package below `folder`.

    Args:
        deb: the package.
        folder: where its root goes to.
        wanted: whether a file, such as "usr/share/doc/x/copyright", is to be written. Links and
            all else that is no plain file are left out.
        progress: whether a bar is shown.

    Raises:
        InputError: it is no package, is damaged, or compressed in a way that Python cannot read.
    """
    with deb.open("rb") as file:
        name, content = _data(file, deb)
    try:
        with (
            tqdm.wrapattr(
                io.BytesIO(content),
                "read",
                total=len(content),
                desc="unpacking",
                disable=None if progress else True,
                leave=False,
            ) as read,
            tarfile.open(fileobj=cast(BinaryIO, read), mode="r:*") as archive,
        ):
            for member in archive:
                path = PurePosixPath(member.name)
                if member.isreg() and ".." not in path.parts and wanted(str(path)):
                    target = folder / str(path).lstrip("/")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    data = archive.extractfile(member)
                    assert data is not None, "a plain file has a content"
                    target.write_bytes(data.read())
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError) as error:
        if not name.endswith((".tar", ".xz", ".gz", ".bz2")):
            raise InputError(
                f"{deb}: its {name} is compressed in a way that this Python cannot read; unpack it "
                f"(dpkg-deb -x {deb.name} FOLDER) and give FOLDER to --source"
            ) from None
        raise InputError(f"{deb}: is damaged or incomplete ({error}); get it again") from None


def _data(file: BinaryIO, deb: Path) -> tuple[str, bytes]:
    """Name and content of the member that holds the files."""
    whole = file.read(len(_MAGIC)) == _MAGIC
    while whole and len(header := file.read(_HEADER)) == _HEADER:
        name = header[:16].decode("ascii", "replace").strip().rstrip("/")
        size = header[48:58].strip()
        if not size.isdigit():
            break
        if name.startswith("data.tar"):
            content = file.read(int(size))
            if len(content) < int(size):
                break
            return name, content
        file.seek(int(size) + int(size) % 2, io.SEEK_CUR)
    raise InputError(f"{deb}: is no Debian package, or a damaged one; get it again")
