"""Debian packages fetched by `apt-get download`, which needs no root and installs nothing."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from foldformer.errors import InputError

_LOOK = 0.2  # seconds between two looks at how far a download is


def fetch(names: Sequence[str], folder: Path, progress: bool) -> None:
    """Download packages into a folder; those that lie there stay.

    Raises:
        InputError: there is no apt-get, or it fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.iterdir():  # by a run that was killed while it downloaded
        if left.is_dir():
            shutil.rmtree(left)
    missing = [name for name in names if not any(folder.glob(f"{name}_*.deb"))]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise InputError(
            f"there is no apt-get to get the packages with: download {', '.join(names)} from "
            f"Debian 12 or later, and give the folder they lie in to --source"
        )
    with tqdm(
        total=_bytes_of(missing),
        desc="packages",
        unit="B",
        unit_scale=True,
        disable=None if progress else True,
        leave=False,
    ) as bar:
        for name in missing:
            _fetch(name, folder, bar)


def _fetch(name: str, folder: Path, bar: "tqdm[NoReturn]") -> None:
    """Download one package, and tell the bar how many bytes have come."""
    # Whatever is not whole has another place, so that a run that was killed can go on.
    with tempfile.TemporaryDirectory(dir=folder) as place:
        beside, before = Path(place), bar.n
        with (
            tempfile.TemporaryFile("w+", errors="replace") as complaints,
            subprocess.Popen(
                ["apt-get", "download", "-q", name],
                cwd=beside,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
            ) as download,
        ):
            while True:
                try:
                    download.wait(_LOOK)
                except subprocess.TimeoutExpired:
                    bar.update(before + _bytes_in(beside) - bar.n)
                else:
                    break
            complaints.seek(0)
            errors = [line for line in complaints if line.startswith("E:")]
        found = list(beside.glob(f"{name}_*.deb"))
        if download.returncode or not found:
            reason = errors[0].removeprefix("E:").strip() if errors else "no reason given"
            raise InputError(
                f"apt-get download {name} failed ({reason}); run `apt-get update` first, or "
                f"get the package on another machine and give its folder to --source"
            )
        bar.update(before + found[0].stat().st_size - bar.n)
        found[0].rename(folder / found[0].name)


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _bytes_of(names: Sequence[str]) -> int | None:
    """The size of packages together, as apt knows it; None where it does not."""
    done = subprocess.run(
        ["apt-get", "--print-uris", "download", "-q", *names],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    # 'http://.../NAME_VERSION_all.deb' NAME_VERSION_all.deb BYTES SHA256:...
    fields = [line.split() for line in done.stdout.splitlines() if line.startswith("'")]
    sizes = [int(words[2]) for words in fields if len(words) > 2 and words[2].isdigit()]
    return sum(sizes) if len(sizes) == len(names) else None
