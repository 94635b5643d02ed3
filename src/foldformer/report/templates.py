"""The templates of the pages: they escape whatever they are given."""

from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined

from foldformer.report.written import figure


def templates() -> Environment:
    """Finds `*.html` of this package; a name that is missing in one is an error."""
    environment = Environment(
        loader=FunctionLoader(_read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["figure"] = figure
    return environment


def _read(name: str) -> str:
    return files("foldformer.report").joinpath(name).read_text(encoding="utf-8")
