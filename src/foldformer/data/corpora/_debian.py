"""The files of Debian packages: fetched by apt, or from a folder that the user gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from foldformer.data.corpora._apt import fetch
from foldformer.data.corpora._deb import unpack
from foldformer.data.corpora._folder import DOWNLOADS
from foldformer.errors import InputError

Wanted = Callable[[str], bool]


@dataclass(frozen=True)
class Packages:
    """Folders that packages lie unpacked in, each with a `usr`."""

    roots: tuple[Path, ...]
    place: str
    """What the user calls them, for messages."""

    def path(self, package: str, name: str) -> Path:
        """Where the file or folder `name` of a package is.

        Raises:
            InputError: it is nowhere; the message names the package.
        """
        for root in self.roots:
            if (root / name).exists():
                return root / name
        raise InputError(
            f"{self.place}: {name} is missing, which is in the Debian package {package}; "
            f"put {package}_*.deb there, or the package unpacked"
        )

    def sounds(self, package: str, name: str, pattern: str) -> list[Path]:
        """The recordings in a folder of a package, sorted.

        Raises:
            InputError: the folder is missing, or holds no such files.
        """
        folder = self.path(package, name)
        found = sorted(path for path in folder.rglob(pattern) if path.is_file())
        if not found:
            raise InputError(
                f"{folder}: holds no {pattern}; expected the recordings of the Debian package "
                f"{package}"
            )
        return found


def packages(
    names: Sequence[str], source: Path | None, work: Path, wanted: Wanted, progress: bool
) -> Packages:
    """Debian packages by their names.

    Args:
        names: of the packages.
        source: a folder in which they lie as `NAME_*.deb`, unpacked, or each unpacked in a
            subfolder; None gets them with apt.
        work: where they are downloaded and unpacked.
        wanted: which files of `.deb` files are unpacked, see `unpack`.
        progress: whether bars are shown.

    Raises:
        InputError: there is no such folder, a package in it cannot be read, or apt fails.
    """
    if source is None:
        source = work / DOWNLOADS
        fetch(names, source, progress)
    if not source.is_dir():
        what = "is a file" if source.exists() else "no such folder"
        raise InputError(
            f"{source}: {what}; expected a folder with the Debian packages {', '.join(names)}"
        )
    for name in names:
        for deb in sorted(source.glob(f"{name}_*.deb"))[-1:]:
            unpack(deb, work / "unpacked", wanted, progress)
    folders = [
        work / "unpacked",
        source,
        *sorted(path for path in source.iterdir() if path.is_dir()),
    ]
    return Packages(tuple(path for path in folders if (path / "usr").is_dir()), str(source))
