"""What the processor does to products in int8."""

import platform
from pathlib import Path

from foldformer.deploy.folder import ExportSpec

_ABOUT = Path("/proc/cpuinfo")

_EXACT = {"avx512_vnni", "avx_vnni"}
"""What Linux calls the instructions that add such products in 32 bits."""


def cuts_off_pairs() -> bool:
    """Whether ONNX Runtime adds pairs of 8-bit products in 16 bits here, and cuts off large sums.

    x86 without VNNI has no other instruction for them (docs/how-to/quantise.md#x86-without-vnni).
    Where the system does not tell, as outside of Linux, the answer is no.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    try:
        lines = _ABOUT.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line.split(":", 1)[1] for line in lines if line.startswith("flags")), "")
    return bool(flags) and _EXACT.isdisjoint(flags.split())


def inexact(spec: ExportSpec) -> str | None:
    """What is to be said of an export whose products may be cut off on this processor, if any."""
    products = spec.products
    if products is None or not products.integer or spec.reduce_range:
        return None
    if not cuts_off_pairs():
        return None
    return (
        "products in int8 are less exact on this processor (x86 without VNNI); for it, export "
        "with --reduce-range"
    )
