"""Run an export in sherpa-onnx and print what it hears as JSON; the runtime may end the process.

    python run_sherpa.py FOLDER METHOD WAVES.npz [SECONDS]

WAVES holds arrays of samples at 16 kHz, which are decoded as one batch. With SECONDS, each stream
is reset after so many: its result is then a list of two.
"""

import json
import sys
from pathlib import Path

import numpy as np
import sherpa_onnx

from foldformer.deploy.folder import read_export

RATE = 16000


def recognizer(folder, spec, method):
    files = {Path(name).stem: str(folder / name) for name in spec.files}
    options = {
        **files,
        "tokens": str(folder / "tokens.txt"),
        "num_threads": 1,
        "decoding_method": method,
        "provider": f"cpu:{folder / 'provider.cfg'}",
    }
    if spec.head == "transducer":
        options["model_type"] = spec.model_type
    kind = sherpa_onnx.OnlineRecognizer if spec.streams else sherpa_onnx.OfflineRecognizer
    makers = {"zipformer_ctc": "from_zipformer_ctc", "zipformer2_ctc": "from_zipformer2_ctc"}
    return getattr(kind, makers.get(spec.model_type, "from_transducer"))(**options)


def offline(model, waves):
    streams = [model.create_stream() for _ in waves]
    for stream, wave in zip(streams, waves, strict=True):
        stream.accept_waveform(RATE, wave)
    model.decode_streams(streams)
    return [
        {"text": s.result.text, "tokens": s.result.tokens, "times": s.result.timestamps}
        for s in streams
    ]


def heard(model, stream):
    return {
        "text": model.get_result(stream),
        "tokens": model.tokens(stream),
        "times": model.timestamps(stream),
    }


def decode(model, streams):
    while ready := [stream for stream in streams if model.is_ready(stream)]:
        model.decode_streams(ready)


def online(model, waves, seconds):
    streams = [model.create_stream() for _ in waves]
    first = []
    if seconds is not None:
        for stream, wave in zip(streams, waves, strict=True):
            stream.accept_waveform(RATE, wave[: round(seconds * RATE)])
        decode(model, streams)
        first = [heard(model, stream) for stream in streams]
        for stream in streams:
            model.reset(stream)
    for stream, wave in zip(streams, waves, strict=True):
        stream.accept_waveform(RATE, wave[round((seconds or 0) * RATE) :])
        stream.input_finished()
    decode(model, streams)
    second = [heard(model, stream) for stream in streams]
    return [list(pair) for pair in zip(first, second, strict=True)] if first else second


def main(folder, method, waves, seconds=None):
    with np.load(waves) as file:
        samples = [file[name] for name in sorted(file.files)]
    spec = read_export(folder)
    model = recognizer(Path(folder), spec, method)
    limit = None if seconds is None else float(seconds)
    results = online(model, samples, limit) if spec.streams else offline(model, samples)
    assert not {"torch", "onnx", "onnxscript"} & set(sys.modules)
    print(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
