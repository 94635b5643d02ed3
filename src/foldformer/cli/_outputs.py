"""Files that a verb writes, held apart from those that it reads and from each other."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from foldformer.errors import SpecError

_OF_A_MODEL = ("config.yaml", "config.json", "model.safetensors", "tokens.txt")


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[str | Path | None]) -> None:
    """Refuse to write over what is read, or two results into one file, before anything is done.

    Args:
        outputs: {option: the file it names, if it was given}.
        inputs: files, and folders of models; those that are None were not given.

    Raises:
        SpecError: an option names such a file.
    """
    read: dict[Path, str] = {}
    for each in inputs:
        if each is not None:
            path = Path(each).resolve()
            read[path] = str(each)
            read |= {path / name: f"{each}/{name}" for name in _OF_A_MODEL}
    written: dict[Path, str] = {}
    for option, output in outputs.items():
        if output is None:
            continue
        path = output.resolve()
        if path.is_file() and path in read:
            raise SpecError(
                f"{option}: {output} would be written over {read[path]}, which is read; name "
                "another file"
            )
        other = written.setdefault(path, option)
        if other != option:
            raise SpecError(f"{other} and {option}: name the same file; expected two")
