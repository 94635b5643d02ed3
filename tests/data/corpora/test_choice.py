"""What is used of a package's recordings, and what is dropped and counted, by examples."""

from collections import Counter
from pathlib import Path

import pytest

from foldformer.data.corpora._choice import Recorded, choose, doubt, words_of


def recorded(folder: Path, name: str, text: str, seconds: float | None = None, **more) -> Recorded:
    """A recording at 0.1 s a character between two ends of 0.15 s, unless its length is given."""
    path = folder / f"{name.replace('/', '.')}.wav"
    path.write_bytes(more.pop("content", name).encode())
    seconds = 0.3 + 0.1 * len(text) if seconds is None else seconds
    return Recorded(name, path, text, more.pop("key", text), seconds, **more)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Press one, or two.", "Press one or two"),
        ("l\N{RIGHT SINGLE QUOTATION MARK}operatore è occupato!", "l'operatore è occupato"),
        ("un po' di pa-ne - qui", "un po' di pa-ne qui"),
        ("cafe\u0301", "café"),
        ("... ?", ""),
    ],
)
def test_words_are_without_punctuation(text: str, words: str) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Good morning.", None),
        ("Is it?", None),
        ("", "no text"),
        ("--", "no text"),
        ("[a beep]", "no speech: a sound or silence"),
        ("(silence).", "no speech: a sound or silence"),
        ("press one (or two)", "text with remarks in brackets"),
        ("citt?ancora", "text with a letter lost"),
        ("la citt? bella", "text with a letter lost"),
    ],
)
def test_texts_in_doubt(text: str, reason: str | None) -> None:
    assert doubt(text) == reason


def test_each_reason_is_counted(tmp_path: Path) -> None:
    good = [
        recorded(tmp_path, f"good-{number}", text)
        for number, text in enumerate(["eight letters", "twelve letters", "a few letters more"])
    ]
    bad = [
        recorded(tmp_path, "a", ""),
        recorded(tmp_path, "b", "[noise]"),
        recorded(tmp_path, "c", "a sound", speech=False),
        recorded(tmp_path, "d", "press <one>"),
        recorded(tmp_path, "e", "citt?a"),
        recorded(tmp_path, "f", "unreadable", 0.0),
        recorded(tmp_path, "g", "for ever and ever", 31.0),
        recorded(tmp_path, "h", "eight letters", content="good-0"),
        recorded(tmp_path, "i", "too slowly said", 0.3 + 0.1 * 15 * 2.5),
        recorded(tmp_path, "j", "much too quickly said", 0.5),
    ]
    dropped: Counter[str] = Counter()
    assert [each.name for each in choose(good + bad, dropped)] == [each.name for each in good]
    assert +dropped == {
        "no text": 1,
        "no speech: a sound or silence": 2,
        "text with remarks in brackets": 1,
        "text with a letter lost": 1,
        "recording cannot be read": 1,
        "longer than 30 s": 1,
        "same recording as another": 1,
        "length does not fit the text": 2,
    }


def test_the_key_decides_the_split_and_the_text_stands_in_one_alone(tmp_path: Path) -> None:
    # Of these keys, SHA-256 puts the first into train, the second into dev, the third into test.
    keys = ("Goodbye", "Friday", "Thank you")
    texts = ("only in train", "in train and test", "in train and dev", "in dev and test")
    said = {
        "Goodbye": (texts[0], texts[1], texts[2]),
        "Friday": (texts[2], texts[3]),
        "Thank you": (texts[1].upper(), texts[3], "only in test"),
    }
    items = [recorded(tmp_path, f"{k}-{text}", text, key=k) for k in keys for text in said[k]]
    dropped: Counter[str] = Counter()
    chosen = choose(items, dropped)
    assert [(each.split, each.text) for each in chosen] == [
        ("train", texts[0]),
        ("dev", texts[2]),
        ("test", texts[1].upper()),
        ("test", texts[3]),
        ("test", "only in test"),
    ]
    assert +dropped == {"same text in another split": 3}


def test_a_digit_or_a_letter_is_as_long_as_its_name(tmp_path: Path) -> None:
    said = [recorded(tmp_path, str(n), "twelve letters") for n in range(4)]
    digits = [recorded(tmp_path, "digits", "42", 1.3), recorded(tmp_path, "letter", "b", 0.8)]
    dropped: Counter[str] = Counter()
    assert len(choose(said + digits, dropped)) == 6
    assert not +dropped
