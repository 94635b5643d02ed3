"""The page with every key of a training YAML is what the specs say now."""

import importlib.util
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import pytest

from foldformer.spec import from_dict, to_dict
from foldformer.train.config import TrainConfig, read_config

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "reference" / "configuration.md"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_configuration", DOCS / "make_configuration.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def keys_in(data: object, key: str = "") -> Iterator[str]:
    """The dotted keys of a configuration, `heads[]` for any item of a list."""
    if isinstance(data, Mapping):
        for name, item in data.items():
            own = f"{key}.{name}" if key else name
            yield own
            yield from keys_in(item, own)
    elif isinstance(data, list):
        for item in data:
            yield from keys_in(item, f"{key}[]")


def keys_on(page: str) -> set[str]:
    found: set[str] = set()
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        key = re.match(r"`(.*?)`", section)
        names = re.findall(r"^\| `(\w+)`", section, re.MULTILINE)
        found.update(f"{key[1]}.{name}" if key else name for name in names)
    return found


def test_page_is_up_to_date(script: ModuleType) -> None:
    """If it is not: python docs/make_configuration.py."""
    assert PAGE.read_text(encoding="utf-8") == script.page()


def test_every_key_of_a_configuration_is_on_the_page() -> None:
    config = from_dict(
        TrainConfig,
        {
            "output": "out",
            "data": {
                "train": "a.jsonl",
                "valid": "b.jsonl",
                "augmentation": {"reverberation": {}, "telephone": {}},
            },
            "model": {"heads": [{"kind": "ctc"}, {"kind": "transducer"}]},
            "training": {"quantization_noise": {}, "distillation": {"teacher": "t"}},
        },
    )
    keys = {key for key in keys_in(to_dict(config)) if not key.endswith(".kind")}
    page = keys_on(PAGE.read_text(encoding="utf-8"))
    assert len(keys) > 60
    assert keys <= page
    assert {key for key in page if "encoder.linear" not in key} - keys == {"tokens.kind"}


def test_every_key_has_a_meaning() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for row in re.findall(r"^\| `.*$", page, re.MULTILINE):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
        assert len(cells) == 4, row
        assert all(cells), row


def test_the_smallest_file_on_the_page_is_read(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    found = re.search(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    (tmp_path / "a.yaml").write_text(found[1])
    assert read_config(tmp_path / "a.yaml", []).output == "runs/first"
