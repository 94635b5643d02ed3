"""The templates of pages, which lie beside this file and share one style."""

from collections.abc import Callable, Mapping
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined


def rendered(name: str, values: Mapping[str, object], **filters: Callable[..., object]) -> str:
    """A page that loads nothing, runs nothing, and shows values as text, whatever they are."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, loader=FunctionLoader(_source)
    )
    environment.filters.update(filters)
    return environment.get_template(name).render(values)


def _source(name: str) -> str:
    return files("foldformer.report").joinpath(name).read_text(encoding="utf-8")
