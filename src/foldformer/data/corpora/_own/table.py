"""Tables of recordings: values with commas or tabs between them, or JSON lines."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from foldformer.data.corpora._own.spec import NAMES, TRANSLATION, OwnSpec
from foldformer.errors import InputError

_DELIMITERS = ",;|\t"


@dataclass(frozen=True)
class Row:
    """One line of a table: what `NAMES` says of its columns."""

    path: str
    text: str
    speaker: str | None
    language: str | None
    start: float | None
    duration: float | None
    translations: Mapping[str, str]


def rows(table: Path, spec: OwnSpec) -> Iterator[Row]:
    """The lines of a table.

    A duration without a column of starts is not read: it is that of the recording, which knows it.

    Raises:
        InputError: it cannot be read, lacks a column of paths or texts, or a number is none.
    """
    read = _separated if table.suffix.lower() in (".csv", ".tsv") else _json_lines
    try:
        lines = list(read(table))
    except UnicodeDecodeError:
        raise InputError(f"{table}: is not UTF-8; convert it, for example with iconv") from None
    except OSError as error:
        raise InputError(f"{table}: cannot be read: {error.strerror}") from None
    if not lines:
        return
    columns = _columns(table, list(dict.fromkeys(k for _, values in lines for k in values)), spec)
    for number, values in lines:
        yield _row(values, columns, f"{table}, line {number}")


def _separated(table: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    with table.open(encoding="utf-8-sig", newline="") as file:
        head = file.readline()
        file.seek(0)
        if table.suffix.lower() == ".tsv":  # a quotation mark in it is one, as in Common Voice
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        else:
            delimiter = max(_DELIMITERS, key=head.count)
            reader = csv.DictReader(file, delimiter=delimiter)
        try:
            for values in reader:
                yield reader.line_num, {str(k): v for k, v in values.items() if k is not None}
        except csv.Error as error:
            raise InputError(f"{table}, line {reader.line_num}: {error}") from None


def _json_lines(table: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    with table.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except ValueError as error:
                raise InputError(f"{table}, line {number}: is no JSON: {error}") from None
            if not isinstance(values, dict):
                raise InputError(f"{table}, line {number}: expected a JSON object a line")
            yield number, values


def _columns(table: Path, names: Sequence[str], spec: OwnSpec) -> dict[str, str]:
    """{what a column holds: what it is called here}."""
    found = {}
    for what, called in spec.columns.items():
        if called not in names:
            raise InputError(f"{table}: has no column {called!r}; it has {', '.join(names)}")
        found[what] = called
    for what, usual in NAMES.items():
        present = [name for name in usual if name in names]
        if present and what not in found:
            found[what] = present[0]
    for name in names:
        if TRANSLATION.fullmatch(name):
            found.setdefault(name, name)
    for what in ("path", "text"):
        if what not in found:
            raise InputError(
                f"{table}: has no column {what!r}, but {', '.join(names)}; name it: "
                f"--column {what}=NAME"
            )
    return found


def _row(values: Mapping[str, object], columns: Mapping[str, str], where: str) -> Row:
    def text(what: str) -> str:
        value = values.get(columns[what]) if what in columns else None
        found = "" if value is None else str(value).strip()
        try:
            found.encode()
        except UnicodeEncodeError:  # JSON can say "\ud800", and UTF-8 cannot
            raise InputError(f"{where}: {columns[what]} holds half of a character") from None
        return found

    def number(what: str) -> float | None:
        if not text(what):
            return None
        try:
            return float(text(what))
        except ValueError:
            raise InputError(
                f"{where}: {columns[what]} is {text(what)!r}; expected seconds"
            ) from None

    path = text("path")
    if not path:
        raise InputError(f"{where}: has no {columns['path']}; expected the path of a recording")
    return Row(
        path=path,
        text=text("text"),
        speaker=text("speaker") or None,
        language=text("language") or None,
        start=number("start"),
        duration=number("duration") if "start" in columns else None,
        translations={name: text(name) for name in columns if TRANSLATION.fullmatch(name)},
    )
