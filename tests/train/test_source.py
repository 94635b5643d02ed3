"""What stands beside a manifest about its licence."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, Recording
from lhotse.cut import MonoCut

from foldformer.data.corpora._composed.index import FOLDER
from foldformer.train.source import _licence, licences_in, source_of


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("under https://creativecommons.org/licenses/by-sa/4.0/", ["CC-BY-SA-4.0"]),
        ("CC BY-NC-ND 4.0, and CC-BY 3.0", ["CC-BY-NC-ND-4.0", "CC-BY-3.0"]),
        ("Apache License, Version 2.0; parts are in the public domain", ["Apache-2.0",
                                                                         "public domain"]),
        ("GNU General Public License", ["GPL"]),
        ("the GNU General Public\nLicense, version 2", ["GPL"]),
        ("CC0", ["CC0-1.0"]),
        ("Recorded in a kitchen.", []),
    ],
)  # fmt: skip
def test_names_of_licences(text: str, names: list[str]) -> None:
    assert licences_in(text) == names


def test_the_recordings_of_the_package() -> None:
    assert licences_in((FOLDER / "CREDITS.md").read_text("utf-8")) == ["CC-BY-SA-3.0", "CC-BY-3.0"]


def test_the_file_that_says_so_is_named(tmp_path: Path) -> None:
    assert _licence(tmp_path) == "not stated"
    (tmp_path / "README.md").write_text("Recordings of birds.")
    assert _licence(tmp_path) == "not stated"
    (tmp_path / "CREDITS.txt").write_text("By many, CC BY 4.0")
    assert _licence(tmp_path) == f"CC-BY-4.0: see {tmp_path / 'CREDITS.txt'}"
    (tmp_path / "LICENSE").write_text("You may listen.")
    assert _licence(tmp_path) == f"see {tmp_path / 'LICENSE'}"


def test_a_folder_of_shards_has_its_own_licence(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(16000), 16000)
    recording = Recording.from_file(tmp_path / "a.wav")
    cut = MonoCut("a", 0.0, 1.0, 0, recording=recording)
    (tmp_path / "shar").mkdir()
    CutSet([cut]).to_shar(tmp_path / "shar", fields={"recording": "flac"})
    (tmp_path / "LICENSE").write_text("Apache License, Version 2.0")
    (tmp_path / "shar" / "CREDITS.txt").write_text("By many, CC BY 4.0")
    (tmp_path / "shar" / "composed.yaml").touch()
    found = source_of(str(tmp_path / "shar"))
    assert found.licence == f"CC-BY-4.0: see {tmp_path / 'shar' / 'CREDITS.txt'}"
    assert found.composed
