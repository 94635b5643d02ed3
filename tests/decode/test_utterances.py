"""Evaluated utterances to and from JSON lines."""

import json
import re
from pathlib import Path

import pytest

from foldformer.decode.utterances import Utterance, Written, read_transcripts, write_utterances
from foldformer.errors import InputError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    streamed = Utterance("ü1", "en", "one two", "one too", 1.5, (("one", 0.5),), (0.6475, 1.5))
    whole = Utterance("b", "", "one", "")
    write_utterances(tmp_path / "u.jsonl", [streamed, whole])
    first, second = map(json.loads, (tmp_path / "u.jsonl").read_text("utf-8").splitlines())
    assert first["spoken"] == [["one", 0.5]]
    assert set(second) == {"id", "language", "reference", "hypothesis", "seconds"}
    assert read_transcripts(tmp_path / "u.jsonl") == {
        "ü1": Written("one too", (0.6475, 1.5)),
        "b": Written(""),
    }


def test_transcripts_of_another_system(tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text('{"id": "a", "hypothesis": "x y", "score": 3}\n\n{"hypothesis": "", "id": "b"}')
    assert read_transcripts(path) == {"a": Written("x y"), "b": Written("")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json\n", "line 1: is not JSON; expected an object with `id`"),
        ('{"id": "a", "hypothesis": "x"}\n[1]\n', "line 2: expected an object with the text 'id'"),
        ('{"id": 3, "hypothesis": "x"}', "line 1: expected an object with the text 'id'"),
        ('{"id": "a", "text": "x"}', "line 1: expected an object with the text 'hypothesis'"),
        ('{"id": "a", "hypothesis": "x"}\n' * 2, "line 2: the utterance 'a' a second time"),
        ('{"id": "a", "hypothesis": "x y", "emitted": [1]}', "line 1: expected 2 times in sec"),
        ('{"id": "a", "hypothesis": "x", "emitted": ["1"]}', "line 1: expected 1 times in sec"),
        ('{"id": "a", "hypothesis": "x", "emitted": 1.5}', "line 1: expected 1 times in sec"),
        ('{"id": "a", "hypothesis": "x", "emitted": [NaN]}', "line 1: expected 1 times in sec"),
        ('{"id": "a", "hypothesis": "x", "emitted": [1e999]}', "line 1: expected 1 times in sec"),
        (
            f'{{"id": "a", "hypothesis": "x", "emitted": [{10**400}]}}',
            "line 1: expected 1 times in seconds",
        ),
        ("[" * 10**5, "line 1: is not JSON"),
        ("1" * 5000, "line 1: is not JSON"),
    ],
)
def test_what_is_no_transcript(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "u.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(f"{path}, {message}")):
        read_transcripts(path)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "u.jsonl").write_bytes(b"\x80\xff")
    with pytest.raises(InputError, match="it is not text in UTF-8; expected JSON lines"):
        read_transcripts(tmp_path / "u.jsonl")
    with pytest.raises(InputError, match="No such file"):
        read_transcripts(tmp_path / "none.jsonl")
