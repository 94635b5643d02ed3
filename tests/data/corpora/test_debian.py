"""Packages are read wherever they lie, and got by apt; what is wrong with them is said."""

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from foldformer.cli.main import main
from foldformer.data.corpora._deb import unpack
from foldformer.errors import InputError

DebWriter = Callable[..., None]


def everything_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def deb(path: Path, name: str, content: bytes) -> Path:
    """A package of one member beside its version."""
    parts = [b"!<arch>\n"]
    for member, data in (("debian-binary", b"2.0\n"), (name, content)):
        parts.append(f"{member:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode())
        parts.append(data)
    path.write_bytes(b"".join(parts))
    return path


def archive(files: dict[str, bytes], compression: str) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=f"w:{compression}") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("./usr/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return data.getvalue()


@pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz"])
def test_wanted_files_of_a_package_are_unpacked(tmp_path: Path, compression: str) -> None:
    files = {"./usr/a.txt": b"a", "./usr/b/c.wav": b"c" * 99, "./usr/d.png": b"d", "../e.txt": b"e"}
    name = "data.tar" + f".{compression}" * bool(compression)
    package = deb(tmp_path / "x.deb", name, archive(files, compression))
    unpack(package, tmp_path / "out", lambda name: name.endswith((".txt", ".wav", "link")))
    assert everything_in(tmp_path / "out") == {"usr/a.txt": b"a", "usr/b/c.wav": b"c" * 99}
    assert not (tmp_path / "e.txt").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "data.tar.xz",
            archive({"usr/a": np.random.default_rng(0).bytes(5000)}, "xz")[:3000],
            "is damaged or incomp",
        ),
        ("data.tar.xz", b"nonsense", "is damaged or incomplete"),
        (
            "data.tar.zst",
            b"\x28\xb5\x2f\xfd",
            r"data\.tar\.zst is compressed in a way .*dpkg-deb -x",
        ),
        ("other.tar.xz", b"nothing", "is no Debian package, or a damaged one"),
    ],
)
def test_a_damaged_package_is_named(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    with pytest.raises(InputError, match=rf"x\.deb: .*{message}"):
        unpack(deb(tmp_path / "x.deb", name, content), tmp_path / "out", lambda name: True)


def test_a_package_that_came_halfway_is_named(tmp_path: Path, debian: Path) -> None:
    (whole,) = debian.glob("tuxpaint-*.deb")
    half = tmp_path / whole.name
    half.write_bytes(whole.read_bytes()[:-1000])
    with pytest.raises(InputError, match="is no Debian package, or a damaged one; get it again"):
        unpack(half, tmp_path / "out", lambda name: True)


def test_the_corpus_is_the_same_from_apt_debs_and_folders(
    tmp_path: Path,
    apt: Path,
    debian: Path,
    tuxpaint_packages: dict[str, dict[str, bytes]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    ((package, files),) = tuxpaint_packages.items()
    for place in (tmp_path / "root", tmp_path / "each" / package):
        for name, content in files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content)
    assert main(["corpus", "tuxpaint", str(tmp_path / "apt-x")]) == 0
    assert (apt / "log").read_text().split() == [package]
    first = everything_in(tmp_path / "apt-x")
    for number, source in enumerate((debian, tmp_path / "root", tmp_path / "each")):
        out = tmp_path / f"x{number}"
        assert main(["corpus", "tuxpaint", str(out), "--source", str(source)]) == 0
        assert everything_in(out) == first
    assert [path.name for path in tmp_path.glob(".*")] == []
    assert capsys.readouterr().out.count("README.md") == 4


def test_a_run_killed_while_it_downloads_goes_on_where_it_was(
    tmp_path: Path, apt: Path, debian: Path
) -> None:
    out = tmp_path / "x"
    names = sorted(path.name.split("_")[0] for path in debian.glob("asterisk-*.deb"))
    stuck = "asterisk-core-sounds-fr-wav"
    (apt / "stuck").write_text(stuck)
    command = [sys.executable, "-m", "foldformer.cli.main", "corpus", "asterisk", str(out)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    run = subprocess.Popen(command, text=True, **quiet)
    while not (apt / "waiting").exists():
        assert run.poll() is None, run.communicate()
        time.sleep(0.02)
    while not (waiting := (apt / "waiting").read_text()):
        time.sleep(0.02)
    second = subprocess.run(command, text=True, check=False, **quiet)
    assert second.returncode == 2
    assert "another process is making it" in second.stderr
    run.kill()
    run.communicate()
    os.kill(int(waiting), signal.SIGKILL)
    begun = (apt / "log").read_text().split()
    assert begun[-1] == stuck
    assert not out.exists()
    (apt / "stuck").unlink()
    (apt / "log").unlink()
    assert main(command[3:]) == 0
    # What had come is not got again, and what had come halfway is.
    again = (apt / "log").read_text().split()
    assert again[0] == stuck
    assert sorted(begun[:-1] + again) == names
    assert main(["corpus", "asterisk", str(tmp_path / "y"), "--source", str(debian)]) == 0
    assert everything_in(out) == everything_in(tmp_path / "y")
    assert {path.name for path in tmp_path.iterdir()} == {"apt", "x", "y"}


def test_progress_is_in_bytes_where_a_person_watches(
    tmp_path: Path, apt: Path, debian: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    assert main(["corpus", "tuxpaint", str(tmp_path / "x")]) == 0
    size = (debian / "tuxpaint-stamps-default_1.0-1_all.deb").stat().st_size
    shown = terminal.getvalue()
    assert f"/{size / 1000:.0f}k" in shown or f"/{size / 1000:.1f}k" in shown
    for name in ("packages: ", "unpacking: ", "stamps: ", "train: ", "dev: ", "test: "):
        assert name in shown


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda apt: (apt / "apt-get").unlink(), "there is no apt-get to get the packages with"),
        (
            lambda apt: (apt / "apt-get").write_text("#!/bin/sh\necho E: no network >&2\nexit 100"),
            "apt-get download tuxpaint-stamps-default failed (no network); run `apt-get update`",
        ),
        (
            lambda apt: (apt / "apt-get").write_text("#!/bin/sh\nexit 0"),
            "apt-get download tuxpaint-stamps-default failed (no reason given)",
        ),
    ],
)
def test_packages_that_do_not_come_are_one_line(
    tmp_path: Path,
    apt: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    message: str,
) -> None:
    spoil(apt)
    monkeypatch.setenv("PATH", str(apt))
    assert main(["corpus", "tuxpaint", str(tmp_path / "x")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["apt"]


def damaged_list(source: Path) -> None:
    path = source / "usr/share/doc/asterisk-core-sounds-es/core-sounds-es.txt.gz"
    path.write_bytes(b"no gzip")


def no_recordings(source: Path) -> None:
    shutil.rmtree(source / "usr/share/asterisk/sounds/fr_CA_f_June")
    (source / "usr/share/asterisk/sounds/fr_CA_f_June").mkdir()


def other_texts(source: Path) -> None:
    for path in (source / "usr/share/asterisk/sounds").rglob("*.wav"):
        path.rename(path.with_name(f"other-{path.name}"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, "no such folder; expected a folder with the Debian packages asterisk-"),
        (
            lambda source: shutil.rmtree(source / "usr/share/doc/asterisk-core-sounds-it"),
            "which is in the Debian package asterisk-core-sounds-it; put asterisk-core-sounds-it_",
        ),
        (damaged_list, "core-sounds-es.txt.gz: is no list of prompts"),
        (no_recordings, "holds no *.wav; expected the recordings of the Debian package asterisk-"),
        (other_texts, "none of the recordings can be used for training"),
    ],
)
def test_a_source_that_lacks_something_is_one_line(
    tmp_path: Path,
    asterisk_packages: dict[str, dict[str, bytes]],
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    message: str,
) -> None:
    source = tmp_path / "source"
    for files in asterisk_packages.values():
        for name, content in files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(content)
    spoil(source)
    assert main(["corpus", "asterisk", str(tmp_path / "x"), "--source", str(source)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"source"}
