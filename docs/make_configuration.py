"""Writes docs/reference/configuration.md: every key of a training YAML, read off the specs.

    python docs/make_configuration.py

Types and defaults are those of the dataclasses; the meanings are the docstrings below the fields.
"""

import ast
import inspect
import textwrap
import types
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Literal, Union, get_args, get_origin, get_type_hints

import yaml

from foldformer.spec import Spec, family_of, kinds, to_dict
from foldformer.train.config import TrainConfig

PAGE = Path(__file__).parent / "reference" / "configuration.md"

INTRO = """\
<!-- Written by docs/make_configuration.py; change the docstrings of the specs, not this page. -->

# Configuration

Every key of the YAML file that `foldformer train CONFIG.yaml` reads, with its type, its default and
what it means. What has a default may be left out; an unknown key is an error that names the nearest
known one. Any key can be set on the command line, which wins over the file; a number in it counts
the items of a list from 0:

    foldformer train CONFIG.yaml --training.steps 2000 --model.heads.0.weight 0.5

The smallest file names what to make and what to read:

```yaml
output: runs/first
data:
  train: data/train.jsonl.gz
  valid: data/dev.jsonl.gz
```

A mapping with a `kind` chooses one of several parts, and its other keys are those of the kind. A
list stays a list with one item: `chunks: [320ms]`. `foldformer describe CONFIG.yaml` says what the
configured model weighs, before anything is trained.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([INTRO, *sections(TrainConfig, "")])


def sections(cls: type[Spec], key: str, kind: str = "") -> Iterator[str]:
    """The section of one spec, then those of the specs in its fields.

    Args:
        cls: the spec.
        key: the dotted key at which it stands.
        kind: what chooses it there, if anything does.
    """
    hints, meanings = get_type_hints(cls), field_docstrings(cls)
    title = f"`{key}`" if key else "The file"
    yield f"## {title}{f' of kind `{kind}`' if kind else ''}\n"
    yield f"{inspect.cleandoc(cls.__doc__ or '')}\n"
    if fields(cls):
        yield "| key | type | default | meaning |\n|---|---|---|---|"
    for field in fields(cls):
        cells = (f"`{field.name}`", type_name(hints[field.name]), default(field))
        yield f"| {' | '.join(cells)} | {meanings[field.name]} |"
    yield ""
    for field in fields(cls):
        yield from parts(hints[field.name], f"{key}.{field.name}" if key else field.name)


def parts(hint: object, key: str) -> Iterator[str]:
    """The sections of the specs that may stand at a key."""
    if isinstance(hint, type) and issubclass(hint, Spec):
        if not inspect.isabstract(hint):
            yield from sections(hint, key)
            return
        for kind, cls in sorted(kinds(hint).items()):
            yield from sections(cls, key, kind)
    elif get_origin(hint) is tuple:
        yield from parts(get_args(hint)[0], f"{key}[]")
    elif get_origin(hint) in (Union, types.UnionType):
        for arg in get_args(hint):
            yield from parts(arg, key)


def field_docstrings(cls: type[Spec]) -> dict[str, str]:
    """{field: the docstring below it}, on one line; those of base classes too."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base in (object, Spec) or not issubclass(base, Spec):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for node, following in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
            ):
                text = inspect.cleandoc(str(following.value.value))
                found[node.target.id] = " ".join(text.split()).replace("|", "\\|")
    return found


def type_name(hint: object) -> str:
    """What YAML must give, in words."""
    names = {
        int: "whole number",
        float: "number",
        str: "text",
        bool: "`true` or `false`",
        types.NoneType: "`null`",
    }
    if isinstance(hint, type) and hint in names:
        return names[hint]
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return one_of([f"`{shown(arg)}`" for arg in args])
    if origin is tuple:
        count = "" if args[-1] is Ellipsis else f" of {len(args)}"
        return f"list{count}, each: {type_name(args[0])}"
    if origin is dict:
        return f"mapping of names, each to a {type_name(args[1])}"
    if origin in (Union, types.UnionType):
        return one_of([type_name(arg) for arg in args])
    assert isinstance(hint, type), hint
    assert issubclass(hint, Spec), hint
    if inspect.isabstract(hint):
        return f"mapping with `kind`: {one_of([f'`{kind}`' for kind in sorted(kinds(hint))])}"
    return "mapping"


def one_of(names: list[str]) -> str:
    """`a, b or c`."""
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def default(field: Field[object]) -> str:
    """A field's default as YAML writes it; of a spec, only what chooses it."""
    if field.default is not MISSING:
        value = field.default
    elif field.default_factory is not MISSING:
        value = field.default_factory()
    else:
        return "required"
    return f"`{shown(value)}`" if shown(value) else "see below"


def shown(value: object) -> str:
    """A default on one line; empty for a spec without a kind, whose keys have their own."""
    if isinstance(value, Spec):
        return f"{{kind: {to_dict(value)['kind']}}}" if family_of(type(value)) else ""
    if isinstance(value, tuple):
        return f"[{', '.join(map(shown, value))}]"
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("...").strip()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
