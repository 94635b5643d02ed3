"""What a chunk costs in ONNX Runtime: the shared encoder against the dense one, and their files.

    OMP_NUM_THREADS=1 python benchmarks/streaming_latency.py paper-dense paper-k3-r16 \\
        [--precision int8] [--states fp32] [--chunk 320ms] [--runs 50] [--keep FOLDER] \\
        [--record FILE]

Exports each preset's streaming encoder with random weights and runs them in turn on one thread.
Prints bytes of the file, the median and the 20th percentile of a chunk's processor time in ms
(which other work on the machine moves little), and both as a ratio to the first preset. Tracing 18
layers takes half a minute of processor time; with `--keep` the files serve again.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from _record import add_record, record, setting
from foldformer.data.durations import encoder_frames
from foldformer.deploy.export.encoders import StreamingEncoder
from foldformer.deploy.export.integers import to_integers
from foldformer.deploy.export.make import save
from foldformer.deploy.export.untrained import untrained
from foldformer.nn.quantise import shared_weights

LEFT_CONTEXT = 128


def exported(preset: str, chunk: str, precision: str, states: str, folder: Path) -> Path:
    """The encoder's file, made unless it is there."""
    path = folder / f"{preset}-{chunk}-{precision}-{states}.onnx"
    if not path.exists():
        model, _, _ = untrained(preset)
        frames = encoder_frames(chunk)
        part = StreamingEncoder(model, "transducer", frames, LEFT_CONTEXT, rounded=states == "int8")
        graph = part.graph()
        if precision != "fp32":
            to_integers(graph, shared_weights(model) if precision == "int4" else ())
        save(graph, path)
    return path


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False  # as `provider.cfg` says
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def inputs(opened: onnxruntime.InferenceSession) -> dict[str, NDArray[np.generic]]:
    """A stream in full swing: random numbers, all frames of the left context remembered."""
    rng = np.random.default_rng(0)
    made: dict[str, NDArray[np.generic]] = {}
    for each in opened.get_inputs():
        shape = [size if isinstance(size, int) else 1 for size in each.shape]
        remembered = np.full(shape, LEFT_CONTEXT, np.int64)
        made[each.name] = (
            remembered if "int64" in each.type else rng.standard_normal(shape, np.float32)
        )
    return made


def times(paths: list[Path], runs: int) -> list[list[float]]:
    """Processor time of each run in ms, the files taking turns."""
    sessions = [session(path) for path in paths]
    fed = [inputs(opened) for opened in sessions]
    found: list[list[float]] = [[] for _ in paths]
    for _ in range(runs + 2):
        for opened, feed, own in zip(sessions, fed, found, strict=True):
            start = time.process_time()
            opened.run(None, feed)
            own.append(1000 * (time.process_time() - start))
    return [own[2:] for own in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("presets", nargs="+")
    parser.add_argument("--chunk", action="append", help="default: 160ms, 320ms and 640ms")
    parser.add_argument("--precision", choices=["fp32", "int8", "int4"], default="fp32")
    parser.add_argument("--states", choices=["fp32", "int8"], default="fp32")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--keep", type=Path)
    add_record(parser)
    args = parser.parse_args()
    with TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print(
            f"{'chunk':>6} {'preset':>14} {'MB':>8} {'p50':>7} {'p20':>7} {'ratio':>6} {'p20':>6}"
        )
        for chunk in args.chunk or ["160ms", "320ms", "640ms"]:
            paths = [
                exported(preset, chunk, args.precision, args.states, folder)
                for preset in args.presets
            ]
            taken = [np.percentile(own, [50, 20]) for own in times(paths, args.runs)]
            found = {
                preset: {
                    "mb": path.stat().st_size / 1e6,
                    "p50_ms": half,
                    "p20_ms": fifth,
                    "p50_ratio": half / taken[0][0],
                    "p20_ratio": fifth / taken[0][1],
                }
                for preset, path, (half, fifth) in zip(args.presets, paths, taken, strict=True)
            }
            for preset, each in found.items():
                print(
                    f"{chunk:>6} {preset:>14} {each['mb']:8.2f} {each['p50_ms']:7.2f} "
                    f"{each['p20_ms']:7.2f} {each['p50_ratio']:6.3f} {each['p20_ratio']:6.3f}",
                    flush=True,
                )
            name = setting(args.precision, chunk, args.states)
            record(args.record, "streaming_latency", name, found)


if __name__ == "__main__":
    main()
