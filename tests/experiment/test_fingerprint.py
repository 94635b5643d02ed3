"""A fingerprint depends on what is heard and said, and on nothing else."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from foldformer.errors import InputError
from foldformer.experiment.fingerprint import fingerprint


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Two cuts of two recordings."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    lines = []
    for name in ("a", "b"):
        rng = np.random.default_rng(ord(name))
        soundfile.write(folder / f"{name}.flac", 0.1 * rng.standard_normal(16000), 8000)
        source = {"type": "file", "channels": [0], "source": f"{name}.flac"}
        recording = {"id": name, "sources": [source], "sampling_rate": 8000, "num_samples": 16000}
        said = {"id": name, "recording_id": name, "start": 0, "duration": 2, "text": f"one {name}"}
        cut = {"id": name, "start": 0, "duration": 2, "channel": 0, "type": "MonoCut"}
        cut |= {"recording": {**recording, "duration": 2}, "supervisions": [said]}
        lines.append(json.dumps(cut))
    (folder / "cuts.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "cuts.jsonl"


def test_place_packing_and_times_make_no_difference(manifest: Path, tmp_path: Path) -> None:
    first = fingerprint(str(manifest))
    assert len(first) == 16
    packed = manifest.with_suffix(".jsonl.gz")
    packed.write_bytes(gzip.compress(manifest.read_bytes()))
    assert fingerprint(str(packed)) == first
    moved = manifest.parent.rename(tmp_path / "moved")
    os.utime(moved / "a.flac", (1, 1))
    assert fingerprint(str(moved / "cuts.jsonl")) == first


def test_texts_and_sounds_make_a_difference(manifest: Path) -> None:
    first = fingerprint(str(manifest))
    text = manifest.read_text()
    manifest.write_text(text.replace("one b", "two b"))
    second = fingerprint(str(manifest))
    manifest.write_text(text)
    assert fingerprint(str(manifest)) == first
    samples, rate = soundfile.read(manifest.with_name("b.flac"))
    samples[-1] += 0.01  # at the very end: FLAC's MD5 in front tells
    soundfile.write(manifest.with_name("b.flac"), samples, rate)
    assert len({first, second, fingerprint(str(manifest))}) == 3
    both = fingerprint([str(manifest), str(manifest)])
    assert both != fingerprint(str(manifest))


def test_what_is_missing_is_named(manifest: Path) -> None:
    manifest.with_name("b.flac").unlink()
    with pytest.raises(InputError, match=r"b\.flac: cannot be read: No such file"):
        fingerprint(str(manifest))
    with pytest.raises(InputError, match=r"none\.jsonl: cannot be read"):
        fingerprint(str(manifest.with_name("none.jsonl")))


def test_a_damaged_archive_is_named(manifest: Path) -> None:
    packed = manifest.with_suffix(".jsonl.gz")
    data = bytearray(gzip.compress(manifest.read_bytes()))
    data[len(data) // 2] ^= 0xFF
    packed.write_bytes(data)
    with pytest.raises(InputError, match=r"cuts\.jsonl\.gz: cannot be read"):
        fingerprint(str(packed))
