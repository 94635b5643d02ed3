"""The memory and the time of `foldformer compress` and `foldformer plan`.

    OMP_NUM_THREADS=2 python benchmarks/fold_memory.py [--preset paper-dense] [--seconds 200]

A model with random weights is folded into K = 3 with rank 16, and planned for half of its bytes,
both calibrated on noise; each by the real command in a process of its own. Printed are the most
memory that the process ever held in RAM (Linux: VmHWM), pages of mapped files among it; the same
of a process that only imports what the command does; the difference in parts of the model's file;
the seconds on the clock and of the processor. What waits in temporary files is not in it.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

_MAKE = """
import sys
from pathlib import Path
import numpy as np, soundfile, torch
from lhotse import CutSet, MonoCut, Recording
from foldformer.checkpoint import ModelConfig, save_model
from foldformer.data.tokens import Tokens
from foldformer.presets import preset

folder, spec, seconds = Path(sys.argv[1]), preset(sys.argv[2]), int(sys.argv[3])
torch.manual_seed(0)
save_model(folder, spec.build(), ModelConfig(model=spec))
Tokens(["<blk>", "<unk>", *(f"t{i}" for i in range(spec.vocab_size - 2))]).save(folder)
cuts = []
for number in range(seconds // 10):
    path = folder / f"{number}.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(number).standard_normal(160000), 16000)
    recording = Recording.from_file(path, recording_id=f"{number}")
    cuts.append(MonoCut(f"{number}", 0, recording.duration, channel=0, recording=recording))
CutSet(cuts).to_file(folder / "cuts.jsonl.gz")
"""

_COMMAND = """
import sys, time
from foldformer.cli.main import main
start = time.perf_counter()
assert main(sys.argv[1:]) == 0
hwm = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
times = f"{time.perf_counter() - start} {time.process_time()}"
print(f"\\n{int(hwm.split()[1]) * 1024} {times}")
"""

_IMPORTS = """
import foldformer.compress.calibration, foldformer.compress.fold, foldformer.compress.folder
import foldformer.compress.planning.importance, foldformer.compress.planning.made
import foldformer.compress.planning.own, foldformer.report.plan_table
hwm = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(f"\\n{int(hwm.split()[1]) * 1024}")
"""


def run(code: str, *arguments: str) -> list[float]:
    """The numbers in the last line that a new process prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(word) for word in (done.stdout.splitlines() or [""])[-1].split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="paper-dense")
    parser.add_argument("--seconds", type=int, default=200, help="of noise to calibrate with")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(_MAKE, folder, args.preset, str(args.seconds))
        size = Path(folder, "model.safetensors").stat().st_size
        (imports,) = run(_IMPORTS)
        print(f"model {size / 1e6:.0f} MB, imports {imports / 1e6:.0f} MB")
        print(f"{'':8}{'peak MB':>9}{'- imports':>11}{'/ model':>9}{'s':>7}{'CPU s':>7}")
        heard = ["--calibration", f"{folder}/cuts.jsonl.gz"]
        fold = ["compress", folder, "--output", f"{folder}/folded", "--uses", "3", "--rank", "16"]
        plan = ["plan", folder, "--weights", f"{size // 2 / 1e6}MB"]
        for command in (fold, plan):
            peak, seconds, processor = run(_COMMAND, *command, *heard)
            print(
                f"{command[0]:8}{peak / 1e6:9.0f}{(peak - imports) / 1e6:11.0f}"
                f"{(peak - imports) / size:9.2f}{seconds:7.0f}{processor:7.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
