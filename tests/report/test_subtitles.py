"""Subtitles against the grammars of SubRip and WebVTT, and what a reader can follow."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldformer.decode.words import Word
from foldformer.report.subtitles import Cue, cues_of, srt, vtt

# https://www.w3.org/TR/webvtt1/#file-structure: a cue block without an identifier or settings.
VTT = re.compile(
    r"(\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3}) --> (\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3})\n"
    r"((?:(?:[^<>&\n]|&amp;|&lt;|&gt;)+\n){1,2})\n"
)
SRT = re.compile(
    r"(\d+)\n(\d\d):([0-5]\d):([0-5]\d),(\d{3}) --> (\d\d):([0-5]\d):([0-5]\d),(\d{3})\n"
    r"((?:.+\n){1,2})\n"
)


@st.composite
def words(draw: st.DrawFn) -> list[Word]:
    """Words as a search finds them: times never go back, some are equal."""
    letters = st.text(st.sampled_from("aé<&>いx"), min_size=1, max_size=60)
    made, time = [], 0.0
    for text in draw(st.lists(letters, max_size=40)):
        time = round(time + draw(st.sampled_from([0.0, 0.04, 0.3, 0.5, 2.0])), 3)
        made.append(Word(text, time, time, 0.0))
    ends = [word.start for word in made[1:]] + [time + 0.2] * bool(made)
    return [
        Word(word.text, word.start, min(end, word.start + 0.2), 0.0)
        for word, end in zip(made, ends, strict=True)
    ]


@given(words())
def test_what_is_written_can_be_read_and_parsed(spoken: list[Word]) -> None:
    end = spoken[-1].end if spoken else 0.0
    cues = cues_of(spoken, 0.0, end)
    said = "".join(word.text for word in spoken)
    assert "".join("".join(cue.lines) for cue in cues).replace(" ", "") == said
    for cue in cues:
        assert 1 <= len(cue.lines) <= 2
        assert all(0 < len(line) <= 42 for line in cue.lines)
        assert 0.04 - 1e-9 <= cue.end - cue.start <= 7 + 1e-9
    for cue, following in itertools.pairwise(cues):
        assert cue.end <= following.start
    subrip = "".join(srt(cue, number) for number, cue in enumerate(cues, 1))
    assert SRT.sub("", subrip) == ""
    assert [int(found[1]) for found in SRT.finditer(subrip)] == list(range(1, len(cues) + 1))
    web = "".join(map(vtt, cues))
    assert VTT.sub("", web) == ""
    assert len(VTT.findall(web)) == len(cues)


def spoken(*said: tuple[str, float]) -> list[Word]:
    return [Word(text, time, time + 0.2, 0.0) for text, time in said]


def test_a_pause_begins_a_new_subtitle() -> None:
    cues = cues_of(spoken(("one", 1.0), ("two", 1.4), ("three", 3.0)), 0.0, 10.0)
    # The first has 1 s to be read; the last would have it too.
    assert cues == [Cue(1.0, 2.0, ("one two",)), Cue(3.0, 4.0, ("three",))]


def test_the_next_subtitle_ends_the_one_before() -> None:
    said = spoken(*((f"abcdefgh{i}", 0.15 * i) for i in range(10)))
    first, second = cues_of(said, 0.0, 1.5)
    lines = "abcdefgh0 abcdefgh1 abcdefgh2 abcdefgh3", "abcdefgh4 abcdefgh5 abcdefgh6 abcdefgh7"
    assert first.lines == lines
    assert first.end == second.start == pytest.approx(1.2)
    assert second.end == pytest.approx(1.5)


def test_nothing_stands_longer_than_seven_seconds() -> None:
    cues = cues_of(spoken(*(("a", 0.7 * i) for i in range(20))), 0.0, 14.0)
    assert len(cues) == 2
    assert max(cue.end - cue.start for cue in cues) <= 7


def test_clocks() -> None:
    cue = Cue(3599.9996, 36000.25, ("a < b & c",))
    assert srt(cue, 7) == "7\n01:00:00,000 --> 10:00:00,250\na < b & c\n\n"
    assert vtt(cue) == "01:00:00.000 --> 10:00:00.250\na &lt; b &amp; c\n\n"
