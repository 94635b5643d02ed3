"""Models on a device: exports, made by `foldformer.deploy.export`, run without PyTorch.

>>> import foldformer.deploy
>>> recognizer = foldformer.deploy.load("exports/streaming")     # doctest: +SKIP
>>> recognizer.transcribe("recording.wav").text                  # doctest: +SKIP
"""

from foldformer.deploy.recognizer import ExportRecognizer as ExportRecognizer
from foldformer.deploy.recognizer import load as load
