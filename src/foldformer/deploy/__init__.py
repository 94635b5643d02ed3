"""Models on a device: exports, made by `foldformer.deploy.export`, run without PyTorch.

>>> import foldformer.deploy
>>> recognizer = foldformer.deploy.load("exports/streaming")     # doctest: +SKIP
>>> recognizer.transcribe("recording.wav").text                  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foldformer.deploy.hotwords import Hotwords as Hotwords
    from foldformer.deploy.recognizer import ExportRecognizer as ExportRecognizer
    from foldformer.deploy.recognizer import load as load


def __getattr__(name: str) -> Any:
    """Bring in the recogniser when it is asked for: who measures a process does without."""
    if name == "Hotwords":
        from foldformer.deploy import hotwords

        return hotwords.Hotwords
    if name in ("ExportRecognizer", "load"):
        from foldformer.deploy import recognizer

        return getattr(recognizer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
