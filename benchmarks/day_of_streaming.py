"""A day of streaming in one process: does its memory grow?

    python benchmarks/day_of_streaming.py EXPORT [--hours 24] [--memory quick]
        [--threads 1] [--record FILE]

A process of its own loads the streaming EXPORT by `foldformer.deploy`, hears composed speech over
and over, as fast as it can, and cuts the stream at each endpoint, as a device that always listens
does. Every simulated minute it looks at its RSS, and tells each hour. Prints the RSS after a
minute, the most, that at the end, and by how much it ever grew after the first minute: at most 1 MB
is aimed at. A day of the demonstration's int8 export takes 8 minutes of one core.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from array import array
from pathlib import Path

RATE = 16000
BLOCK = RATE // 10
PAUSE = 2.0
"""Seconds of silence after each minute of speech, beside the shorter ones in it."""
MB = 1e6
MOST = 1.0


def listen(
    export: str, samples: str, seconds: float, memory: str, threads: int
) -> dict[str, object]:
    """Hear so many seconds; nothing is imported here that a device would not need."""
    import foldformer.deploy
    from foldformer.measure.process import held

    recognizer = foldformer.deploy.load(export, endpoint=1.2, memory=memory, threads=threads)
    stream = recognizer.stream()
    curve = array("d")
    segments = tokens = 0
    began = time.process_time()
    with open(samples, "rb") as file:
        for number in range(round(seconds * RATE / BLOCK)):
            data = file.read(4 * BLOCK)
            if len(data) < 4 * BLOCK:
                file.seek(0)
                data = file.read(4 * BLOCK)
            stream.accept(array("f", data))
            if stream.endpoint:
                tokens += len(stream.cut().tokens)
                segments += 1
            if (number + 1) * BLOCK % (60 * RATE) == 0:
                now = held()
                curve.append(0 if now is None else now.rss)
                if len(curve) % 60 == 0:
                    print(f"hour {len(curve) // 60}: {curve[-1] / MB:.2f} MB", file=sys.stderr)
    return {
        "segments": segments,
        "tokens": tokens,
        "rss": list(curve),
        "busy": time.process_time() - began,
    }


def prepare(folder: Path) -> Path:
    """Minutes of composed speech with pauses, as float32 at 16 kHz."""
    import numpy as np

    from foldformer.data.corpora._composed.speech import composed_speech

    pause = np.zeros(round(PAUSE * RATE), np.float32)
    path = folder / "samples.f32"
    path.write_bytes(
        b"".join(sound.tobytes() + pause.tobytes() for sound in composed_speech("it", 60.0))
    )
    return path


def main() -> None:
    from _record import add_record, record

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("export")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--memory", choices=["quick", "small", "system"], default="quick")
    parser.add_argument("--threads", type=int, default=1)
    add_record(parser)
    args = parser.parse_args()
    seconds = 3600 * args.hours
    with tempfile.TemporaryDirectory() as place:
        words = [args.export, str(prepare(Path(place))), str(seconds), args.memory]
        words.append(str(args.threads))
        command = [sys.executable, __file__, "--listen", *words]
        ran = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found = json.loads(ran.stdout)
    rss = [each / MB for each in found["rss"]]
    growth = max(rss) - rss[0]
    print(f"{args.export}: {args.hours:g} hours of audio, {found['segments']} segments cut")
    share = found["busy"] / seconds
    print(f"{found['tokens']} tokens; processor time {found['busy']:.0f} s, {share:.4f} of it")
    print(f"RSS, MB: after a minute {rss[0]:.2f}, at most {max(rss):.2f}, at the end {rss[-1]:.2f}")
    said = "met" if growth <= MOST else "MISSED"
    print(f"grown by at most {growth:+.2f} MB after the first minute, {MOST:g} aimed at: {said}")
    figures = {
        "hours": args.hours,
        "segments": found["segments"],
        "processor_seconds": found["busy"],
        "minute_mb": rss[0],
        "most_mb": max(rss),
        "end_mb": rss[-1],
        "growth_mb": growth,
    }
    record(args.record, "day_of_streaming", f"{Path(args.export).name}-{args.memory}", figures)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--listen"]:
        print(json.dumps(listen(*sys.argv[2:4], float(sys.argv[4]), sys.argv[5], int(sys.argv[6]))))
    else:
        main()
