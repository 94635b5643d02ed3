"""What is said of progress: read off logs, and corrected by what runs have taken."""

from dataclasses import replace
from pathlib import Path

import pytest

from foldformer.experiment.plan import Run, plan
from foldformer.experiment.progress import Clock, Screen, share_done, shown_loss, spoken
from foldformer.experiment.spec import read_experiment


@pytest.fixture
def run(recipe: Path) -> Run:
    found = plan(read_experiment(recipe), recipe).runs["recognition/k3/1"]
    return replace(found, minutes=10.0)


def test_the_last_state_of_a_bar_counts(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    assert share_done(log, 1200) == 0
    assert shown_loss(log) == ""
    bar = "{:3}%|##| {}/1200 [01:00<02:00, loss {}, 0.0159 h/s, wer 100]"
    states = [bar.format(8, 100, 5.25), bar.format(25, 300, 3.125)]
    log.write_text("x" * 9000 + "\r".join(states))
    assert share_done(log, 1200) == 0.25
    assert shown_loss(log) == "3.125"
    assert share_done(log, 1000) == 0  # the steps of a validation, or of something else


def test_times_follow_what_runs_have_taken(run: Run) -> None:
    clock = Clock(jobs=2)
    assert clock.minutes(run) == 10
    assert clock.left([run] * 4, {}) == 20
    for minutes in (12.0, 15.0, 50.0):
        clock.took(run, minutes)
    assert clock.minutes(run) == 15
    assert clock.left([], {"a": 8.0, "b": 2.0}) == 8  # one cannot be split
    assert clock.left([run], {"a": 8.0, "b": 2.0}) == 12.5


@pytest.mark.parametrize(
    ("minutes", "text"), [(0.5, "30 s"), (1.0, "1 min"), (99.4, "99 min"), (150, "2.5 h")]
)
def test_times_are_short(minutes: float, text: str) -> None:
    assert spoken(minutes) == text


def test_without_a_terminal_states_come_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(every=3600)
    screen.show("hidden")
    screen.say("stays")
    Screen(every=0).show("shown")
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith(" stays")
    assert second == "shown"
