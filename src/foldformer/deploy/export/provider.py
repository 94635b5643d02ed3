"""Options for ONNX Runtime that go with an export."""

from collections.abc import Mapping
from pathlib import Path

from foldformer.deploy.folder import PROVIDER, SMALL_PROVIDER, Precision, ProductsSpec

OLDEST: dict[Precision, str] = {
    "fp32": "1.21",
    "fp16": "1.21",
    "int8": "1.21",
    "int4": "1.28",
}
"""The oldest versions that pack the weights of such products once for all of them."""

_PLAIN = {"EnableCpuMemArena": "0", "EnableMemPattern": "0"}
"""Without its arena, ONNX Runtime gives memory back after each chunk: 20 MB at 18 x 512."""

_WIDENED_AT_ONCE = {"SessionConfig.session.disable_quant_qdq": "1"}
"""What is stored in int8 and multiplied in fp32 is taken to fp32 when it is loaded: 5 MB more at
18 x 512, and a chunk of 320 ms 1 to 5 % faster. sherpa-onnx takes such keys since after 1.13.4."""


def provider_options(products: ProductsSpec | None) -> dict[str, str]:
    """Those of an export with these products in whole numbers; None if it has none."""
    return _PLAIN if products is None else _PLAIN | _WIDENED_AT_ONCE


def write_provider(folder: Path, options: Mapping[str, str]) -> None:
    """Write the options as sherpa-onnx reads them; those for the least memory too, if others."""
    _write(folder / PROVIDER, options)
    if options != _PLAIN:
        _write(folder / SMALL_PROVIDER, _PLAIN)


def _write(path: Path, options: Mapping[str, str]) -> None:
    lines = [f"{key}={value}\n" for key, value in options.items()]
    path.write_text("".join(lines), encoding="utf-8")
