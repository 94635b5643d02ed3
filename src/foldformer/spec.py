"""Specs: frozen dataclasses that say exactly what a YAML file says; a folder is their registry.

A *family* is an abstract spec defined in the `__init__` of a package (`MixerSpec` in
`foldformer.nn.mixers`). A *kind* is a module of that package, named by its file, with one
concrete spec of the family in it. Nothing else is registered anywhere.
"""

import difflib
import importlib
import inspect
import math
import pkgutil
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from foldformer.errors import InputError, SpecError

S = TypeVar("S", bound="Spec")

# PyYAML lets through what fails in Python: the day 2024-13-45, text that is not UTF-8 (both
# ValueErrors), a thousand brackets in each other.
_NOT_YAML = (yaml.YAMLError, ValueError, RecursionError)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Base of all specs. `__post_init__` of a subclass checks that one spec, raising SpecError."""


def kinds(family: type[S]) -> dict[str, type[S]]:
    """The kinds of a family: {file name: spec class}, read off the folder of its package."""
    package = importlib.import_module(family.__module__)
    found: dict[str, type[S]] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        own = [
            cls
            for _, cls in inspect.getmembers(module, inspect.isclass)
            if issubclass(cls, family)
            and cls.__module__ == module.__name__
            and not inspect.isabstract(cls)
        ]
        assert len(own) <= 1, f"{module.__name__} holds more than one kind: {own}"
        if own:
            found[info.name] = own[0]
    return found


def family_of(cls: type[Spec]) -> type[Spec] | None:
    """The abstract spec that `cls` is a kind of, or None for a spec that stands alone."""
    return next((base for base in cls.__mro__[:-1] if _is_family(base)), None)


def _is_family(cls: type) -> bool:
    return issubclass(cls, Spec) and inspect.isabstract(cls)


def kind_of(spec: Spec) -> str:
    """The kind's name: that of the file it stands in."""
    return _kind_name(type(spec))


def _kind_name(cls: type[Spec]) -> str:
    return cls.__module__.rsplit(".", 1)[-1]


def to_dict(spec: Spec) -> dict[str, object]:
    """Everything a spec says, as plain data for YAML or JSON; the inverse of `from_dict`."""
    head: dict[str, object] = {"kind": kind_of(spec)} if family_of(type(spec)) else {}
    return head | {f.name: _plain(getattr(spec, f.name)) for f in fields(spec)}


def _plain(value: object) -> object:
    if isinstance(value, Spec):
        return to_dict(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def from_dict(cls: type[S], data: object, where: str = "") -> S:
    """Build a spec from plain data, checking names and types.

    Args:
        cls: the spec class, or an abstract family: then the key `kind` names the file.
        data: a mapping, as YAML gives it.
        where: the dotted key at which `data` stands, for messages.

    Raises:
        SpecError: unknown key (with the nearest known one), missing key, wrong type, or what the
            spec's own check finds; the message begins with the dotted key.
    """
    if not isinstance(data, Mapping):
        raise SpecError(f"{where or 'configuration'}: expected a mapping, got {_shown(data)}")
    data = dict(data)
    if _is_family(cls):
        cls = _chosen_kind(cls, data.pop("kind", None), where)
    elif family_of(cls) and data.pop("kind", _kind_name(cls)) != _kind_name(cls):
        raise SpecError(f"{_join(where, 'kind')}: only {_kind_name(cls)} is possible here")
    hints = get_type_hints(cls)
    known = {f.name: f for f in fields(cls)}
    for key in data:
        if key not in known:
            raise SpecError(f"{_join(where, key)}: unknown key{nearest(str(key), known)}")
    for name, field in known.items():
        required = field.default is MISSING and field.default_factory is MISSING
        if required and name not in data:
            raise SpecError(f"{_join(where, name)}: missing; it has no default")
    values = {key: _convert(hints[key], item, _join(where, key)) for key, item in data.items()}
    try:
        return cls(**values)
    except SpecError as error:
        raise SpecError(f"{where}: {error}" if where else str(error)) from None


def _chosen_kind(family: type[S], kind: object, where: str) -> type[S]:
    known = kinds(family)
    if kind is None:
        raise SpecError(f"{_join(where, 'kind')}: missing; one of {', '.join(sorted(known))}")
    if not isinstance(kind, str) or kind not in known:
        hint = nearest(str(kind), known)
        raise SpecError(f"{_join(where, 'kind')}: unknown kind {_shown(kind)}{hint}")
    return known[kind]


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?` or `; one of A, B, C`: the end of a message about an unknown name."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; one of {', '.join(known)}"


def _convert(hint: object, value: object, where: str) -> object:
    origin, args = get_origin(hint), get_args(hint)
    if hint is object:  # plain data of any kind
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(args, value, where)
    if origin is Literal:
        for choice in args:  # YAML reads `precision: 32` as a number
            if value == choice or (type(value) is int and str(value) == choice):
                return choice
        raise SpecError(f"{where}: {_shown(value)} is none of {', '.join(map(str, args))}")
    if origin is tuple and isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_convert(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is dict and isinstance(value, Mapping):
        return {str(k): _convert(args[1], v, _join(where, k)) for k, v in value.items()}
    if isinstance(hint, type) and issubclass(hint, Spec):
        return value if isinstance(value, hint) else from_dict(hint, value, where)
    if hint is float and (number := _number(value)) is not None:
        return number
    if hint is Path and isinstance(value, str):
        return Path(value)
    if (
        isinstance(hint, type)
        and hint is not float
        and isinstance(value, hint)
        and isinstance(value, bool) == (hint is bool)
    ):
        return value
    raise SpecError(f"{where}: expected {_type_name(hint)}, got {_shown(value)}")


def _number(value: object) -> float | None:
    if not isinstance(value, (int, float, str)) or isinstance(value, bool):
        return None
    try:  # YAML 1.1 reads 1e-3 as a string
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _convert_union(args: tuple[object, ...], value: object, where: str) -> object:
    if value is None and types.NoneType in args:
        return None
    choices = [arg for arg in args if arg is not types.NoneType]
    if len(choices) == 1:
        return _convert(choices[0], value, where)
    for choice in choices:
        try:
            return _convert(choice, value, where)
        except SpecError:
            continue
    expected = " or ".join(_type_name(choice) for choice in choices)
    raise SpecError(f"{where}: expected {expected}, got {_shown(value)}")


def _type_name(hint: object) -> str:
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    if isinstance(hint, type) and hint in names:
        return names[hint]
    origin = get_origin(hint)
    if origin is tuple:
        return f"a list, each {_type_name(get_args(hint)[0])}"
    if origin is dict or (isinstance(hint, type) and issubclass(hint, Spec)):
        return "a mapping"
    return getattr(hint, "__name__", str(hint))


def _shown(value: object) -> str:
    if isinstance(value, (dict, list)) and len(repr(value)) > 40:
        return "a mapping" if isinstance(value, dict) else "a list"
    return "nothing" if value is None else f"{value!r}"


def _join(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)


def read_yaml(path: Path) -> dict[str, object]:
    """The mapping in a YAML file.

    Raises:
        InputError: the file is missing, is not YAML, or holds something else than a mapping.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; expected a YAML file") from None
    except _NOT_YAML as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: is not readable as YAML: {reason}") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: expected a mapping of keys, got {_shown(data)}")
    return data


def write_yaml(path: Path, spec: Spec) -> None:
    """Write a spec as YAML, keys in the order of the spec's fields."""
    text = yaml.safe_dump(to_dict(spec), sort_keys=False, allow_unicode=True)
    path.write_text(text, encoding="utf-8")


def override(data: Mapping[str, object], settings: Iterable[tuple[str, str]]) -> dict[str, object]:
    """A copy of `data` with dotted keys set: ("training.lr", "1e-3"); values are read as YAML.

    A number in the key counts the items of a list: "model.heads.0.weight". Mappings that are
    missing on the way are made; whether they make sense is for `from_dict` to say.

    >>> override({"training": {"steps": 10}}, [("training.steps", "20"), ("seed", "3")])
    {'training': {'steps': 20}, 'seed': 3}

    Raises:
        SpecError: the value is not readable as YAML, or a list has no such item.
    """
    result = dict(data)
    for key, text in settings:
        try:
            value = yaml.safe_load(text)
        except _NOT_YAML:
            raise SpecError(f"{key}: {text!r} is not readable as a YAML value") from None
        first, *rest = key.split(".")
        result[first] = _replaced(result.get(first), rest, value, key)
    return result


def _replaced(node: object, path: Sequence[str], value: object, key: str) -> object:
    """A copy of `node` in which what lies at `path` is `value`; `key` is for the message."""
    if not path:
        return value
    first, rest = path[0], path[1:]
    if isinstance(node, list):
        if not first.isdecimal() or int(first) >= len(node):
            raise SpecError(
                f"{key}: {first!r} is no item of a list of {len(node)} (0 is the first)"
            )
        index = int(first)
        changed = _replaced(node[index], rest, value, key)
        return [*node[:index], changed, *node[index + 1 :]]
    mapping = dict(node) if isinstance(node, Mapping) else {}
    return mapping | {first: _replaced(mapping.get(first), rest, value, key)}
