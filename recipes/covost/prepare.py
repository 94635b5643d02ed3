"""Make Lhotse manifests of a CoVoST 2 language pair, which Lhotse has no recipe for.

    python recipes/covost/prepare.py COMMON_VOICE/de covost_v2.de_en.tsv OUT_DIR

`COMMON_VOICE/de` is a language of Common Voice as it is unpacked, with `validated.tsv` and
`clips/`; the other file is CoVoST's table of translations. OUT_DIR gets `train`, `dev` and
`test.jsonl.gz`: a cut for each clip, with the `sentence` as text and the translation in the custom
field `translation_YY`. Splits are CoVoST's, whose `train_covost` belongs to train. What is left out
is counted and printed. Both tables are read as CoVoST's own script reads them: no quotes, and a
backslash before a character that stands for itself.
"""

import argparse
import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import soundfile
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.audio.utils import AudioLoadingError
from tqdm import tqdm

SPLITS = {"train": "train", "train_covost": "train", "dev": "dev", "test": "test"}
"""Those of the table to ours."""


def rows(path: Path, columns: set[str]) -> Iterator[dict[str, str]]:
    """The lines of a table by the names of its columns.

    Raises:
        SystemExit: a column is missing.
    """
    with path.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\")
        if missing := columns - set(table.fieldnames or ()):
            raise SystemExit(f"{path}: has no column {', '.join(sorted(missing))}")
        yield from table


def cut_of(clip: Path, language: str, row: dict[str, str], custom: dict[str, str]) -> MonoCut:
    """The cut of a clip, with its text and translation."""
    recording = Recording.from_file(clip, recording_id=clip.stem)
    supervision = SupervisionSegment(
        id=clip.stem,
        recording_id=clip.stem,
        start=0.0,
        duration=recording.duration,
        text=row["sentence"].strip(),
        language=language,
        speaker=row["client_id"],
        custom=custom,
    )
    return MonoCut(
        id=clip.stem,
        start=0.0,
        duration=recording.duration,
        channel=0,
        recording=recording,
        supervisions=[supervision],
    )


def main() -> None:
    """Write the manifests; print what is in them and what is not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("voices", type=Path, metavar="COMMON_VOICE/XX")
    parser.add_argument("table", type=Path, metavar="covost_v2.XX_YY.tsv")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    args = parser.parse_args()
    pair = re.search(r"([A-Za-z-]+)_([A-Za-z-]+)\.tsv$", args.table.name)
    if pair is None:
        raise SystemExit(f"{args.table}: expected a name like covost_v2.de_en.tsv")
    language, into = pair.groups()
    translated = {row["path"]: row for row in rows(args.table, {"path", "translation", "split"})}
    cuts: dict[str, list[MonoCut]] = {split: [] for split in ("train", "dev", "test")}
    left_out: Counter[str] = Counter()
    columns = {"path", "sentence", "client_id"}
    for row in tqdm(list(rows(args.voices / "validated.tsv", columns)), desc="clips", disable=None):
        found = translated.pop(row["path"], None)
        if found is None:
            left_out["clips without a translation"] += 1
        elif found["split"] not in SPLITS:
            left_out[f"clips of the split {found['split']!r}"] += 1
        elif not row["sentence"].strip() or not found["translation"].strip():
            left_out["clips with an empty text"] += 1
        else:
            try:
                cut = cut_of(
                    args.voices / "clips" / row["path"],
                    language,
                    row,
                    {f"translation_{into}": found["translation"].strip()},
                )
            except (OSError, soundfile.SoundFileError, AudioLoadingError):
                left_out["clips that are missing or cannot be read"] += 1
            else:
                cuts[SPLITS[found["split"]]].append(cut)
    left_out["translations without a clip in validated.tsv"] += len(translated)
    args.out.mkdir(parents=True, exist_ok=True)
    for split, chosen in cuts.items():
        beside = args.out / f"partial-{split}.jsonl.gz"
        CutSet(chosen).to_file(beside)
        beside.replace(args.out / f"{split}.jsonl.gz")
        hours = sum(cut.duration for cut in chosen) / 3600
        print(f"{split}: {len(chosen)} utterances, {hours:.2f} hours")
    for reason, count in left_out.items():
        if count:
            print(f"left out: {count} {reason}")


if __name__ == "__main__":
    main()
