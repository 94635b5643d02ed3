"""What data say, in a few letters: two runs with the same fingerprint heard the same."""

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from foldformer.data.batches import manifests_of
from foldformer.data.cuts import read_cuts
from foldformer.errors import InputError

_LETTERS = 16  # 64 bits
_HEAD = 4096  # bytes: a FLAC has the MD5 of its samples in the first 42


def fingerprint(manifests: str | Sequence[str]) -> str:
    """A digest of what manifests say, and of the size and the beginning of every recording.

    It depends on contents alone: not on how a manifest is packed, where it lies, or when a file
    was written. A recording that differs far behind its beginning and is as long as before escapes
    it, unless its format has a checksum in front, as FLAC does.

    Raises:
        InputError: a manifest or a recording cannot be read.
    """
    digest = hashlib.sha256()
    for path in map(Path, manifests_of(manifests)):
        for part in sorted(path.iterdir()) if path.is_dir() else [path]:
            _add_content(digest, part)
        for recording in _recordings(path):
            _add_beginning(digest, recording)
    return digest.hexdigest()[:_LETTERS]


def _add_content(digest: "hashlib._Hash", path: Path) -> None:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def _recordings(manifest: Path) -> Iterator[Path]:
    """The files of the recordings of a manifest, each once, in its order."""
    if manifest.is_dir():  # Shar: the recordings are among its files
        return
    seen: set[str] = set()
    for cut in read_cuts(manifest):
        for track in getattr(cut, "tracks", None) or [cut]:
            recording = getattr(getattr(track, "cut", track), "recording", None)
            for source in recording.sources if recording is not None else ():
                if source.type == "file" and source.source not in seen:
                    seen.add(source.source)
                    yield Path(source.source)


def _add_beginning(digest: "hashlib._Hash", path: Path) -> None:
    try:
        with path.open("rb") as file:
            digest.update(str(path.stat().st_size).encode())
            digest.update(file.read(_HEAD))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
