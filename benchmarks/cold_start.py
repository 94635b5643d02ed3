"""How long `foldformer --help` and the transcript of 5 s take from a cold start.

    python benchmarks/cold_start.py [MODEL] [--runs 7]

Every run is a new process, with the files in the system's cache: a first run, which is not counted,
brings them there. Printed are the median and the least of the runs by the clock, and the median of
the seconds of the processor, which other programs do not lengthen; and the same of `import torch`,
which no verb that runs a model can do without. The machine may be busy, so the runs of the commands
take turns. Without MODEL, one is made that was never trained: 12 layers of width 144, K = 3.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile


def write_model(folder: Path) -> None:
    """An untrained model of a middle size."""
    from foldformer.checkpoint import ModelConfig
    from foldformer.data.tokens import TokensSpec
    from foldformer.decode.recognizer import Recognizer
    from foldformer.model import ModelSpec
    from foldformer.nn.encoder import EncoderSpec
    from foldformer.nn.mixers.attention import AttentionSpec

    tokens = TokensSpec().build(["abcdefghijklmnopqrstuvwxyz"])
    mixer = AttentionSpec(num_heads=4)
    encoder = EncoderSpec(d_model=144, num_layers=12, uses=3, mixer=mixer)
    model = ModelSpec(vocab_size=tokens.vocab_size, encoder=encoder).build().eval()
    Recognizer(model, tokens, ModelConfig(model=model.spec)).save(folder)


def seconds_of(command: list[str]) -> tuple[float, float]:
    """The time of one run by the clock, and that of the processor."""
    began, before = time.perf_counter(), os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    user = after.children_user - before.children_user
    return time.perf_counter() - began, user + after.children_system - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?")
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.model is None:
            args.model = str(Path(folder, "model"))
            write_model(Path(args.model))
        recording = str(Path(folder, "a.wav"))
        samples = 0.1 * np.random.default_rng(0).standard_normal(5 * 16000)
        soundfile.write(recording, samples, 16000)
        command = [sys.executable, "-m", "foldformer.cli.main"]
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "python -c 'import torch'": [sys.executable, "-c", "import torch"],
            "foldformer --help": [*command, "--help"],
            "foldformer transcribe, 5 s": [*command, "transcribe", args.model, recording],
        }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for run in range(args.runs + 1):
            for name, words in commands.items():
                seconds = seconds_of(words)
                if run:
                    times[name].append(seconds)
    print(f"seconds of {args.runs} runs       median  least  processor")
    for name, each in times.items():
        clock, processor = zip(*each, strict=True)
        medians = statistics.median(clock), statistics.median(processor)
        print(f"{name:27} {medians[0]:6.2f} {min(clock):6.2f} {medians[1]:10.2f}")


if __name__ == "__main__":
    main()
