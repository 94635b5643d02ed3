"""A stream through an export in ONNX Runtime: what any other program has to do.

    pip install onnxruntime kaldi-native-fbank soundfile soxr
    python examples/onnxruntime_stream.py EXPORT RECORDING

EXPORT is made by `foldformer export MODEL --streaming --head ctc`. Every chunk is a call: features
and the states of the call before go in, log-probabilities and the next states come out. All are
given by position, and states are zero at the start.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import kaldi_native_fbank
import numpy as np
import onnxruntime
import soundfile
import soxr

RATE = 16000
SHIFT = RATE // 100  # samples from one feature frame to the next
FACTOR = 4  # feature frames an output frame


def features_of(samples: np.ndarray) -> np.ndarray:
    """Log-mel energies (T, 80), as `features` in export.yaml describes them."""
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = 80
    options.mel_opts.high_freq = -400.0
    fbank = kaldi_native_fbank.OnlineFbank(options)
    fbank.accept_waveform(RATE, samples.tolist())
    fbank.input_finished()
    return np.stack([fbank.get_frame(i) for i in range(fbank.num_frames_ready)])


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """The model, with the options of the export's provider.cfg."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # gives memory back after each chunk
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.disable_quant_qdq", "1")  # int8, int4: faster
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def log_probs_of(
    session: onnxruntime.InferenceSession, features: np.ndarray
) -> Iterator[np.ndarray]:
    """The log-probabilities (C, V) of each chunk of features (T, 80), T a multiple of the chunk."""
    first, *others = session.get_inputs()
    names = [first.name, *(each.name for each in others)]
    states = [
        # What is not a number in a shape is the number of streams: one.
        np.zeros(
            [size if isinstance(size, int) else 1 for size in each.shape],
            np.int64 if each.type == "tensor(int64)" else np.float32,
        )
        for each in others
    ]
    for chunk in np.split(features, len(features) // first.shape[1]):
        inputs = dict(zip(names, [chunk[None], *states], strict=True))
        log_probs, *states = session.run(None, inputs)
        yield log_probs[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("export", type=Path)
    parser.add_argument("recording", type=Path)
    args = parser.parse_args()
    model = args.export / "model.onnx"
    if not model.is_file():
        raise SystemExit(f"{model}: missing; expected an export with a CTC head")
    lines = (args.export / "tokens.txt").read_text(encoding="utf-8").splitlines()
    symbols = {int(number): symbol for symbol, number in (line.split() for line in lines)}
    session = open_session(model)
    if len(session.get_inputs()) < 3:  # features and their number, and no states
        raise SystemExit(f"{model}: hears whole recordings; export the model with --streaming")
    try:
        channels, rate = soundfile.read(args.recording, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise SystemExit(f"{args.recording}: {error}") from None
    samples = soxr.resample(channels.mean(axis=1), rate, RATE)
    frames = (len(samples) + SHIFT // 2) // SHIFT // FACTOR  # output frames of the recording
    size = session.get_inputs()[0].shape[1]
    whole = -(-FACTOR * frames // size) * size
    # Silence fills up the last chunk, and the window of its last frame.
    silence = np.zeros(max((whole + 1) * SHIFT - len(samples), 0), np.float32)
    features = features_of(np.concatenate([samples, silence]))[:whole]
    best = np.concatenate([chunk.argmax(1) for chunk in log_probs_of(session, features)])[:frames]
    # CTC: of equal neighbours one is kept, and then no blank, which has the id 0.
    changed = np.diff(best, prepend=-1) != 0
    text = "".join(symbols[token] for token in best[changed] if token != 0)
    print(" ".join(text.replace("▁", " ").split()))


if __name__ == "__main__":
    main()
