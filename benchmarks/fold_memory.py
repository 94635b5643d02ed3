"""The memory and the time of `foldformer compress` and `foldformer plan`.

    OMP_NUM_THREADS=2 python benchmarks/fold_memory.py [--preset paper-dense] [--seconds 200] \\
        [--record FILE]
    OMP_NUM_THREADS=2 python benchmarks/fold_memory.py --bert 12 [--width 768] [--lines 600]

A model with random weights is folded into K = 3 with rank 16, and planned for half of its bytes,
both calibrated on noise; each by the real command in a process of its own. With `--bert` it is a
BERT of `transformers` with so many layers, which is folded alone, calibrated on random words.
Printed are the most memory that the process ever held in RAM (Linux: VmHWM), pages of mapped files
among it; the difference to a process that only imports what the command does, in parts of the
model's file; that of the limit, twice the file; the seconds on the clock and of the processor; and
the former in parts of the limit of two minutes, which is for 57 million parameters on two cores.
What waits in temporary files is not in it.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from _record import add_record, record

MOST_MEMORY = 2.0
"""In parts of the model's file, without imports."""

MOST_SECONDS = 120.0
"""On the clock of two cores, for `paper-dense`."""

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

_MAKE_BERT = """
import sys
from pathlib import Path
import numpy as np, torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

folder, layers, width, lines = Path(sys.argv[1]), *map(int, sys.argv[2:])
torch.manual_seed(0)
BertModel(
    BertConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        intermediate_size=4 * width,
    )
).save_pretrained(folder)
words = ["[PAD]", "[UNK]", *(f"w{number}" for number in range(30000))]
known = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, "[UNK]"))
known.pre_tokenizer = pre_tokenizers.Whitespace()
PreTrainedTokenizerFast(
    tokenizer_object=known, pad_token="[PAD]", unk_token="[UNK]"
).save_pretrained(folder)
numbers = np.random.default_rng(0)
said = (" ".join(numbers.choice(words[2:], 20)) for _ in range(lines))
(folder / "lines.txt").write_text("\\n".join(said))
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
"""

_BERT_IMPORTS = """
import foldformer.compress.foreign, foldformer.compress.foreign.folder
import foldformer.compress.foreign.originals
from transformers import AutoTokenizer, BertModel
"""

_PEAK = """
hwm = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(f"\\n{int(hwm.split()[1]) * 1024}")
"""


def run(code: str, *arguments: str) -> list[float]:
    """The numbers in the last line that a new process prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [float(word) for word in (done.stdout.splitlines() or [""])[-1].split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="paper-dense")
    parser.add_argument("--seconds", type=int, default=200, help="of noise to calibrate with")
    parser.add_argument("--bert", type=int, metavar="LAYERS", help="fold a BERT in its place")
    parser.add_argument("--width", type=int, default=768, help="of the BERT")
    parser.add_argument("--lines", type=int, default=600, help="of text to calibrate it with")
    parser.add_argument("--only", choices=["compress", "plan"], help="measure one command alone")
    add_record(parser)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.bert:
            run(_MAKE_BERT, folder, *map(str, (args.bert, args.width, args.lines)))
        else:
            run(_MAKE, folder, args.preset, str(args.seconds))
        size = Path(folder, "model.safetensors").stat().st_size
        (imports,) = run((_BERT_IMPORTS if args.bert else _IMPORTS) + _PEAK)
        print(f"model {size / 1e6:.0f} MB, imports {imports / 1e6:.0f} MB")
        print(
            f"{'':8}{'peak MB':>9}{'- imports':>11}{'/ model':>9}{'/ limit':>9}"
            f"{'s':>7}{'CPU s':>7}{'s / limit':>11}"
        )
        heard = ["--calibration", f"{folder}/{'lines.txt' if args.bert else 'cuts.jsonl.gz'}"]
        fold = ["compress", folder, "--output", f"{folder}/folded", "--uses", "3", "--rank", "16"]
        plan = ["plan", folder, "--weights", f"{size // 2 / 1e6}MB"]
        for command in [fold] if args.bert else [fold, plan]:
            if args.only not in (None, command[0]):
                continue
            peak, seconds, processor = run(_COMMAND, *command, *heard)
            part = (peak - imports) / size
            print(
                f"{command[0]:8}{peak / 1e6:9.0f}{(peak - imports) / 1e6:11.0f}"
                f"{part:9.2f}{part / MOST_MEMORY:9.2f}{seconds:7.0f}{processor:7.0f}"
                f"{seconds / MOST_SECONDS:11.2f}",
                flush=True,
            )
            name = f"{f'bert-{args.bert}' if args.bert else args.preset}-{command[0]}"
            found = {
                "model_mb": size / 1e6,
                "imports_mb": imports / 1e6,
                "peak_mb": peak / 1e6,
                "more_mb": (peak - imports) / 1e6,
                "of_model": part,
                "seconds": seconds,
                "processor_seconds": processor,
            }
            record(args.record, "fold_memory", name, found)


if __name__ == "__main__":
    main()
