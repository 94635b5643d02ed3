"""The corpus as a folder that is there whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from foldformer.data.corpora._composed.readme import readme
from foldformer.data.corpora._composed.spec import ComposedSpec, SplitSize, check_enough
from foldformer.errors import InputError, SpecError
from foldformer.spec import from_dict, read_yaml, write_yaml

SPEC_FILE = "composed.yaml"
"""Written last; a folder that has it is a whole corpus."""


def write_corpus(
    out: Path, spec: ComposedSpec, overwrite: bool, progress: Callable[[str], None]
) -> list[SplitSize] | None:
    """Compose beside `out` and rename; see `foldformer.data.corpora.composed.compose`."""
    target = out.resolve()
    if _is_there(target, spec, overwrite):
        return None
    check_enough(spec)
    from foldformer.data.corpora._composed.manifests import write_splits

    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        sizes = write_splits(partial, spec, progress)
        (partial / "README.md").write_text(readme(spec, sizes), encoding="utf-8")
        write_yaml(partial / SPEC_FILE, spec)
        _replace(target, partial)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{out}: cannot be written: {reason}; name another folder") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return sizes


def _is_there(out: Path, spec: ComposedSpec, overwrite: bool) -> bool:
    """Whether `out` is the corpus already; an error where it must not be touched."""
    try:
        if not out.exists() or (out.is_dir() and not any(out.iterdir())):
            return False
        whole = (out / SPEC_FILE).is_file()
    except OSError as error:
        raise InputError(f"{out}: cannot be read: {error.strerror}; name another folder") from None
    if not whole:
        raise InputError(f"{out}: exists and is no composed corpus; name another folder")
    with contextlib.suppress(SpecError, InputError):
        if from_dict(ComposedSpec, read_yaml(out / SPEC_FILE)) == spec:
            return True
    if not overwrite:
        raise InputError(
            f"{out}: was composed with other arguments (see its {SPEC_FILE}); name another folder, "
            f"or replace it with --overwrite"
        )
    return False


def _replace(out: Path, partial: Path) -> None:
    """Give `partial` the name `out`; what had the name goes, but not before."""
    if not out.exists():
        partial.rename(out)
        return
    old = out.with_name(f"{out.name}.old-{os.getpid()}")
    out.rename(old)
    try:
        partial.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)
