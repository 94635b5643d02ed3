"""Specs: registry from a folder, plain data in and out, messages."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from foldformer.errors import InputError, SpecError
from foldformer.spec import (
    from_dict,
    kind_of,
    kinds,
    nearest,
    override,
    read_yaml,
    to_dict,
    write_yaml,
)

FAMILY = """
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from foldformer.spec import Spec

@dataclass(frozen=True, kw_only=True)
class ShapeSpec(Spec, ABC):
    colour: str = "red"

    @abstractmethod
    def build(self): ...

@dataclass(frozen=True, kw_only=True)
class PenSpec(Spec):
    width: float = 1.0

@dataclass(frozen=True, kw_only=True)
class PictureSpec(Spec):
    title: str
    shape: ShapeSpec
    shapes: tuple[ShapeSpec, ...] = ()
    named: dict[str, ShapeSpec] = field(default_factory=dict)
    pen: PenSpec = field(default_factory=PenSpec)
    sizes: int | tuple[int, ...] = 1
    scale: float | None = None
    finish: Literal["matt", "gloss"] = "matt"
    framed: bool = False
    path: Path = Path("here")
"""

CIRCLE = """
from dataclasses import dataclass
from foldformer.errors import SpecError
from shapes import ShapeSpec

@dataclass(frozen=True, kw_only=True)
class CircleSpec(ShapeSpec):
    radius: float = 1.0

    def __post_init__(self):
        if self.radius <= 0:
            raise SpecError(f"radius: expected more than 0, got {self.radius}")

    def build(self): return self.radius
"""

SQUARE = """
from dataclasses import dataclass
from shapes import ShapeSpec

@dataclass(frozen=True, kw_only=True)
class SquareSpec(ShapeSpec):
    side: int = 1
    def build(self): return self.side
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "shapes"
    folder.mkdir()
    (folder / "__init__.py").write_text(FAMILY)
    (folder / "circle.py").write_text(CIRCLE)
    (folder / "square.py").write_text(SQUARE)
    (folder / "helper.py").write_text("from shapes.circle import CircleSpec\n")
    return folder


@pytest.fixture
def shapes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(folder.parent))
    yield importlib.import_module("shapes")
    for name in [n for n in sys.modules if n.split(".")[0] == "shapes"]:
        del sys.modules[name]


def test_kinds_are_the_files_that_hold_one(shapes: ModuleType) -> None:
    found = kinds(shapes.ShapeSpec)
    assert {name: cls.__name__ for name, cls in found.items()} == {
        "circle": "CircleSpec",
        "square": "SquareSpec",
    }


def test_a_file_dropped_into_the_folder_is_a_new_kind(shapes: ModuleType, folder: Path) -> None:
    with pytest.raises(SpecError, match="unknown kind 'disc'"):
        from_dict(shapes.ShapeSpec, {"kind": "disc"})
    (folder / "disc.py").write_text(CIRCLE.replace("CircleSpec", "DiscSpec"))
    importlib.invalidate_caches()
    assert from_dict(shapes.ShapeSpec, {"kind": "disc", "radius": 3}).build() == 3


def test_two_kinds_in_one_file_are_our_mistake(shapes: ModuleType, folder: Path) -> None:
    (folder / "two.py").write_text(CIRCLE + SQUARE)
    importlib.invalidate_caches()
    with pytest.raises(AssertionError, match="more than one kind"):
        kinds(shapes.ShapeSpec)


FULL = {
    "title": "still life",
    "shape": {"kind": "circle", "colour": "blue", "radius": 2.5},
    "shapes": [{"kind": "square", "colour": "red", "side": 2}],
    "named": {"2.left": {"kind": "square", "colour": "red", "side": 4}},
    "pen": {"width": 0.001},
    "sizes": [1, 2],
    "scale": 0.5,
    "finish": "gloss",
    "framed": True,
    "path": "there",
}


def test_plain_data_there_and_back(shapes: ModuleType) -> None:
    spec = from_dict(shapes.PictureSpec, FULL)
    assert to_dict(spec) == FULL
    assert spec.path == Path("there")
    assert spec.sizes == (1, 2)
    assert spec.named["2.left"].build() == 4
    assert from_dict(shapes.PictureSpec, to_dict(spec)) == spec
    assert from_dict(type(spec.shape), to_dict(spec.shape)) == spec.shape
    assert kind_of(spec.shape) == "circle"


def test_yaml_file_there_and_back(shapes: ModuleType, tmp_path: Path) -> None:
    spec = from_dict(shapes.PictureSpec, FULL)
    write_yaml(tmp_path / "a.yaml", spec)
    data = read_yaml(tmp_path / "a.yaml")
    assert list(data) == list(to_dict(spec))
    assert from_dict(shapes.PictureSpec, data) == spec


def test_numbers_in_any_spelling(shapes: ModuleType) -> None:
    for text in ("1e-3", "0.001", "1.0E-3", "'1e-3'"):
        pen = from_dict(shapes.PenSpec, yaml.safe_load(f"width: {text}"))
        assert pen.width == 0.001
    width = from_dict(shapes.PenSpec, {"width": 2}).width
    assert width == 2
    assert isinstance(width, float)


BASE = "title: t\nshape: {kind: circle}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("titel: t\nshape: {kind: circle}", "titel: unknown key; did you mean 'title'?"),
        ("shape: {kind: circle}", "title: missing; it has no default"),
        ("title: t\nshape: {radius: 1}", "shape.kind: missing; one of circle, square"),
        (
            "title: t\nshape: {kind: cirle}",
            "shape.kind: unknown kind 'cirle'; did you mean 'circle'?",
        ),
        (
            "title: t\nshape: {kind: [circle]}",
            "shape.kind: unknown kind ['circle']; did you mean 'circle'?",
        ),
        (
            "title: t\nshape: {kind: circle, raduis: 1}",
            "shape.raduis: unknown key; did you mean 'radius'?",
        ),
        (
            "title: t\nshape: {kind: circle, qqq: 1}",
            "shape.qqq: unknown key; one of colour, radius",
        ),
        (
            "title: t\nshape: {kind: circle, radius: -1}",
            "shape: radius: expected more than 0, got -1.0",
        ),
        ("title: t\nshape: circle", "shape: expected a mapping, got 'circle'"),
        ("title: 3\nshape: {kind: circle}", "title: expected text, got 3"),
        (BASE + "pen: {width: wide}", "pen.width: expected a number, got 'wide'"),
        (BASE + "pen: {width: true}", "pen.width: expected a number, got True"),
        (BASE + "pen: {width: .nan}", "pen.width: expected a number, got nan"),
        (BASE + "pen: {width: .inf}", "pen.width: expected a number, got inf"),
        (BASE + "pen: {width: }", "pen.width: expected a number, got nothing"),
        (BASE + "framed: 1", "framed: expected true or false, got 1"),
        (BASE + "finish: matte", "finish: 'matte' is none of matt, gloss"),
        (
            BASE + "sizes: [1, two]",
            "sizes: expected a whole number or a list, each a whole number, got [1, 'two']",
        ),
        (
            BASE + "sizes: true",
            "sizes: expected a whole number or a list, each a whole number, got True",
        ),
        (
            BASE + "sizes: 1.5",
            "sizes: expected a whole number or a list, each a whole number, got 1.5",
        ),
        (
            BASE + "shapes: {kind: circle}",
            "shapes: expected a list, each a mapping, got {'kind': 'circle'}",
        ),
        (
            BASE + "shapes: [{kind: square, side: 1.5}]",
            "shapes[0].side: expected a whole number, got 1.5",
        ),
        (
            BASE + "named: {a: {kind: square, sid: 1}}",
            "named.a.sid: unknown key; did you mean 'side'?",
        ),
        (BASE + "scale: big", "scale: expected a number, got 'big'"),
        (BASE + f"scale: {10**400}", f"scale: expected a number, got {10**400}"),
    ],
)
def test_messages_say_what_and_where(shapes: ModuleType, text: str, message: str) -> None:
    with pytest.raises(SpecError) as error:
        from_dict(shapes.PictureSpec, yaml.safe_load(text))
    assert str(error.value) == message


def test_optional_values_may_be_nothing(shapes: ModuleType) -> None:
    spec = from_dict(shapes.PictureSpec, yaml.safe_load(BASE + "scale: null"))
    assert spec.scale is None


def test_a_concrete_class_refuses_another_kind(shapes: ModuleType) -> None:
    square = kinds(shapes.ShapeSpec)["square"]
    assert from_dict(square, {"side": 2}).build() == 2
    with pytest.raises(SpecError, match="kind: only square is possible here"):
        from_dict(square, {"kind": "circle"})


def test_no_mapping_at_all(shapes: ModuleType) -> None:
    with pytest.raises(SpecError, match="configuration: expected a mapping, got nothing"):
        from_dict(shapes.PictureSpec, None)


def test_nearest_lists_all_when_none_is_near() -> None:
    assert nearest("lenght", ["length", "width"]) == "; did you mean 'length'?"
    assert nearest("zzz", ["b", "a"]) == "; one of a, b"


def test_override_sets_copies() -> None:
    data: dict[str, object] = {"a": {"b": 1, "c": [1, {"d": 2}]}, "e": 5}
    settings = [("a.b", "1e-3"), ("a.c.1.d", "[x, y]"), ("f.g", "true"), ("e", "null")]
    assert override(data, settings) == {
        "a": {"b": "1e-3", "c": [1, {"d": ["x", "y"]}]},
        "e": None,
        "f": {"g": True},
    }
    assert data == {"a": {"b": 1, "c": [1, {"d": 2}]}, "e": 5}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("a", "[1", "a: '[1' is not readable as a YAML value"),
        ("a", "2024-13-45", "a: '2024-13-45' is not readable as a YAML value"),
        ("a.2", "1", "a.2: '2' is no item of a list of 2 (0 is the first)"),
        ("a.x", "1", "a.x: 'x' is no item of a list of 2 (0 is the first)"),
    ],
)
def test_override_complains(key: str, value: str, message: str) -> None:
    with pytest.raises(SpecError) as error:
        override({"a": [1, 2]}, [(key, value)])
    assert str(error.value) == message


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.yaml: no such file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="is a folder; expected a YAML file"):
        read_yaml(tmp_path)
    for content, message in [
        (b"a: [1", "is not readable as YAML"),
        (b"\xff\xfe\x00", "is not readable as YAML"),
        (b"a: 2024-13-45", "is not readable as YAML: month must be in"),
        (b"a: " + b"[" * 3000, "is not readable as YAML"),
        (b"- 1\n- 2\n", r"expected a mapping of keys, got \[1, 2\]"),
        (b"", "expected a mapping of keys, got nothing"),
    ]:
        (tmp_path / "bad.yaml").write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_yaml(tmp_path / "bad.yaml")
