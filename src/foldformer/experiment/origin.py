"""Where a result comes from: the code, the versions of what it uses, the machine."""

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import foldformer
from foldformer.experiment.result import Code

_PACKAGES = (
    "foldformer",
    "torch",
    "lightning",
    "lhotse",
    "numpy",
    "kaldi-native-fbank",
    "kaldialign",
    "sacrebleu",
    "sentencepiece",
)
_NO_MATTER = (
    "card.py",
    "cli",
    "compress",
    "data/corpora",  # of what a corpus is made, the fingerprints of its manifests tell
    "deploy",
    "experiment",
    "measure",
    "report",
)
"""Parts of the package that no weight and no score of a training from scratch depends on."""


def code(compressed: bool = False) -> Code:
    """The revision of git, or the version where the package is installed; a digest of the sources.

    `+` behind a revision: with changes that are not committed.

    Args:
        compressed: add `compress`, the digest of the sources that such a model was made by, too.
    """
    digest, compress = digests(compressed)
    revision = _revision(Path(foldformer.__file__).parent)
    return Code(revision=revision, digest=digest, compress=compress)


def digests(compressed: bool = False) -> tuple[str, str | None]:
    """Digests of the sources of now: of the parts that decide weights and scores; of `compress`.

    Two runs with the same digests were made by the same code, whatever was committed beside it.

    Args:
        compressed: with the second one.
    """
    root = Path(foldformer.__file__).parent
    sources = sorted(root.rglob("*.py"))
    without = [root / part for part in _NO_MATTER]
    decide = [path for path in sources if not any(map(path.is_relative_to, without))]
    others = [path for path in sources if path.is_relative_to(root / "compress")]
    return _digest(root, decide), _digest(root, others) if compressed else None


def _digest(root: Path, sources: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sources:
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _revision(root: Path) -> str:
    tracked = _git(root, "ls-files", "--error-unmatch", "__init__.py")
    head = _git(root, "rev-parse", "--short=12", "HEAD")
    if not tracked or not head:
        return f"version {version('foldformer')}"
    return head + ("+" if _git(root, "status", "--porcelain", "--", ".") else "")


def _git(root: Path, *words: str) -> str:
    """What git prints; nothing where there is no git, or no repository."""
    command = ["git", "-C", str(root), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide weights and scores."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # one that this installation can do without
            continue
    return found


def machine(jobs: int) -> dict[str, object]:
    """The processor, how many cores this process may use, and how many runs share them."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "jobs": jobs,
        "threads": 1,
        "system": f"{platform.system()} {platform.machine()}",
    }


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
