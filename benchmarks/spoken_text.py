"""Sentences that a synthesiser speaks, as a manifest: for a model to be distilled on.

    apt-get install flite
    python benchmarks/spoken_text.py OUT_DIR TEXT... [--hours 5] [--seed 0]

TEXTs have one sentence a line, or `%` between them, as `fortunes` has. Sentences that a synthesiser
reads as they are written, letters and punctuation alone, are spoken by four voices of flite at
paces of their own, half of them at the 8 kHz of a telephone. Each cut has its text as `text` and
`written`. What a model makes of such speech says nothing of its quality: it is to learn from, and
never to test with.
"""

import argparse
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment

from _texts import texts_of

VOICES = ["slt", "rms", "awb", "kal16"]
TELEPHONE = 8000


def sentences(paths: list[str]) -> list[str]:
    """Sentences that are read as they are written, each once."""
    whole = (text for path in paths for text in texts_of(path, longest=10_000))
    parts = (part for text in whole for part in re.split(r"(?<=[.!?])\s+", text))
    return sorted({part for part in parts if _is_plain(part)})


def _is_plain(text: str) -> bool:
    if not 15 <= len(text) <= 160 or re.fullmatch(r"[A-Z][A-Za-z' ,;-]+[.!?]", text) is None:
        return False
    return all(word[1:] == word[1:].lower() for word in text.split())  # no abbreviation


def spoken(text: str, voice: str, stretch: float, rate: int | None, path: Path) -> None:
    """Write what flite says; at another rate if that is asked for."""
    pace = f"duration_stretch={stretch:.2f}"
    command = ["flite", "-voice", voice, "--setf", pace, "-t", text, "-o", str(path)]
    subprocess.run(command, check=True)
    samples, own = soundfile.read(path, dtype="float32")
    if rate is not None:
        samples, own = soxr.resample(samples, own, rate), rate
    samples = np.pad(samples, (own // 10, own // 5))
    soundfile.write(path, 0.5 * samples / max(1e-3, np.abs(samples).max()), own)


def cuts(folder: Path, texts: list[str], hours: float, rng: random.Random) -> Iterator[MonoCut]:
    """Utterances until there are so many hours of them."""
    seconds = 0.0
    for number, text in enumerate(texts):
        if seconds > 3600 * hours:
            return
        name, path, voice = f"{number:05}", folder / f"{number:05}.wav", rng.choice(VOICES)
        rate = TELEPHONE if rng.random() < 0.5 else None
        spoken(text, voice, rng.uniform(0.85, 1.15), rate, path)
        whole = Recording.from_file(path, recording_id=name)
        seconds += whole.duration
        said = SupervisionSegment(
            name, name, 0, whole.duration, text=text, speaker=voice, custom={"written": text}
        )
        yield MonoCut(name, 0, whole.duration, 0, supervisions=[said], recording=whole)
    print(f"all {len(texts)} sentences are spoken: {seconds / 3600:.1f} hours")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("texts", nargs="+")
    parser.add_argument("--hours", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    texts = sentences(args.texts)
    rng.shuffle(texts)
    args.folder.mkdir(parents=True, exist_ok=True)
    CutSet.from_cuts(cuts(args.folder, texts, args.hours, rng)).to_file(
        args.folder / "train.jsonl.gz"
    )


if __name__ == "__main__":
    main()
