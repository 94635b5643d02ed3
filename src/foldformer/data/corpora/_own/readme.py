"""The README.md of the corpus: what it is, and how much."""

from foldformer.data.corpora._own.spec import OwnSpec

_TEXT = """# Recordings of {source}

Lhotse cuts of recordings that stay where they are, made by `foldformer corpus own`;
`own.yaml` has its arguments.

{made}

- Paths of recordings are relative to this folder where they lie beside it or below its parent,
  so that both can be moved together; others are absolute.
- A supervision has the `text`, and `language` and `speaker` where they are known;
  translations are in `custom`.
- Splits are made by a hash, so that the same recordings are always split alike.
"""


def readme(spec: OwnSpec, made: str) -> str:
    """The text of the README."""
    return _TEXT.format(source=spec.source, made=made)
