"""The memory of `foldformer evaluate` by the number of utterances.

    OMP_NUM_THREADS=1 python benchmarks/evaluation_memory.py MODEL RECORDING [--numbers 1000 20000]
        [--record FILE]

A manifest names RECORDING that many times, each time as an utterance of its own with ten words. The
real command scores the model on it as a stream, with a page and with the transcripts in a file.
Printed are the most memory that the process ever held in RAM (Linux: the maximum resident set), and
the seconds of the processor.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from lhotse import CutSet, MonoCut, Recording, SupervisionSegment

from _record import add_record, record


def write_manifest(path: Path, recording: Recording, number: int) -> None:
    """The recording again and again, with another text every time."""
    text = "one two three four five six seven eight nine {}"
    with CutSet.open_writer(path) as writer:
        for each in range(number):
            name, seconds = f"u{each}", recording.duration
            said = SupervisionSegment(name, name, 0.0, seconds, text=text.format(each))
            writer.write(MonoCut(name, 0.0, seconds, 0, [said], recording=recording))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("recording")
    parser.add_argument("--numbers", type=int, nargs="+", default=[1000, 20000])
    add_record(parser)
    args = parser.parse_args()
    recording = Recording.from_file(Path(args.recording).resolve())
    print("utterances  at most MB  processor s")
    for number in args.numbers:
        with tempfile.TemporaryDirectory() as folder:
            manifest, written = Path(folder, "a.jsonl.gz"), Path(folder, "out.jsonl")
            write_manifest(manifest, recording, number)
            command = [sys.executable, "-m", "foldformer.cli.main", "evaluate", args.model]
            options = ["--chunk", "640ms", "--json", "--html", str(Path(folder, "a.html"))]
            process = subprocess.Popen(
                [*command, str(manifest), *options, "--output", str(written)],
                stdout=subprocess.PIPE,
            )
            assert process.stdout is not None
            found = json.load(process.stdout)["scores"]["all"]["utterances"]
            _, status, used = os.wait4(process.pid, 0)
            assert (os.waitstatus_to_exitcode(status), found) == (0, number)
        seconds = used.ru_utime + used.ru_stime
        most = used.ru_maxrss * 1024 / 1e6
        print(f"{number:10} {most:11.1f} {seconds:12.1f}", flush=True)
        found = {"most_mb": most, "processor_seconds": seconds}
        record(args.record, "evaluation_memory", f"{Path(args.model).name}-{number}", found)


if __name__ == "__main__":
    main()
