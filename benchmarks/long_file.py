"""The memory of `foldformer transcribe` on a recording of ten hours.

    OMP_NUM_THREADS=1 python benchmarks/long_file.py MODEL RECORDING [--hours 10] [--record FILE]
        [-- --chunk 320ms]

RECORDING is repeated until it lasts that long, as FLAC in a temporary folder. The real command
writes JSON lines of it; its resident memory (Linux: VmRSS) is read twice a second. Printed are the
memory after the first minute of the recording, at the end and at its peak, what it has grown by
since that first minute, and how long it took. Memory mapped from files (libraries, weights) is
counted too, since it may come in late.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import soundfile

from _record import add_record, record
from foldformer.data.audio import load_audio


def write_long(path: Path, recording: str, hours: float) -> None:
    """`recording` again and again, at 8 kHz to save space."""
    samples = load_audio(recording, 8000)
    times = math.ceil(hours * 3600 * 8000 / len(samples))
    with soundfile.SoundFile(path, "w", 8000, 1) as file:
        for _ in range(times):
            file.write(samples)


def resident(pid: int) -> float:
    """Megabytes (10^6 bytes) of a process's memory in RAM; 0 when it has ended."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("recording")
    parser.add_argument("--hours", type=float, default=10)
    add_record(parser)
    parser.add_argument("options", nargs="*", help="of foldformer transcribe, after --")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, written = Path(folder, "long.flac"), Path(folder, "long.jsonl")
        write_long(path, args.recording, args.hours)
        command = [sys.executable, "-m", "foldformer.cli.main", "transcribe", args.model, str(path)]
        began = time.monotonic()
        with written.open("w") as file:
            process = subprocess.Popen([*command, "--json", *args.options], stdout=file)
        memory: list[tuple[float, float]] = []
        while process.poll() is None:
            time.sleep(0.5)
            lines = written.read_bytes()[-200_000:].splitlines()
            heard = json.loads(lines[-2])["end"] if len(lines) > 2 else 0.0
            if (megabytes := resident(process.pid)) > 0:
                memory.append((heard, megabytes))
        seconds = time.monotonic() - began
        last = json.loads(written.read_bytes().splitlines()[-1])["end"]
    first = next(megabytes for heard, megabytes in memory if heard >= 60)
    final, peak = memory[-1][1], max(megabytes for _, megabytes in memory)
    print(f"heard {last / 3600:.2f} h in {seconds:.0f} s, {last / seconds:.0f} x real time")
    print(f"MB after 1 minute {first:.1f}, at the end {final:.1f}, at most {peak:.1f}")
    print(f"growth since minute 1: {final - first:+.1f} MB at the end, {peak - first:+.1f} at most")
    if process.returncode:
        sys.exit(process.returncode)
    found = {
        "hours": last / 3600,
        "times_real": last / seconds,
        "first_mb": first,
        "end_mb": final,
        "end_more_mb": final - first,
        "most_more_mb": peak - first,
    }
    record(args.record, "long_file", Path(args.model).name, found)


if __name__ == "__main__":
    main()
