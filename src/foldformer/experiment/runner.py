"""Does what is left of an experiment: trains, evaluates, records; several runs side by side."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from foldformer.errors import InputError, SpecError
from foldformer.experiment.begun import Begun, begin, check_code
from foldformer.experiment.fingerprint import fingerprint
from foldformer.experiment.finished import check_start, is_due, is_finished, result_beside
from foldformer.experiment.gather import counts_file, gather
from foldformer.experiment.plan import Plan, Run
from foldformer.experiment.processes import end, stopped_by_signals
from foldformer.experiment.progress import WIDTH, Clock, counted, share_done, shown_loss, spoken
from foldformer.experiment.result import Result
from foldformer.experiment.results import (
    Recorded,
    append_plan,
    append_result,
    mend_last_line,
    read_results,
)
from foldformer.experiment.steps import (
    COMMAND,
    LOG,
    Step,
    corpora_of,
    evaluations_of,
    last_line,
    training_of,
)
from foldformer.files import sole_process
from foldformer.train.state import LAST, STATE

_LOCK = "experiment.lock"
_POLL = 0.1  # seconds


@dataclass
class _Active:
    """A run that is being done: the command at work, and those that follow."""

    run: Run
    began: Begun
    data: dict[str, str]
    since: float
    whole: bool
    steps: list[Step]
    step: Step
    process: "subprocess.Popen[bytes]"


@dataclass
class Runner:
    """Does the runs of a plan.

    Args:
        plan: the experiment.
        runs: those that are wanted, what a run needs before itself.
        jobs: runs side by side, on one core each.
        say: prints a line that stays.
        show: shows a line that the next one replaces.
        command: what runs the steps.
    """

    plan: Plan
    runs: Mapping[str, Run]
    jobs: int
    say: Callable[[str], None]
    show: Callable[[str], None]
    command: Sequence[str] = COMMAND
    failed: dict[str, str] = field(default_factory=dict)
    """{name: why} of the runs that could not be done."""

    def __post_init__(self) -> None:
        self._clock = Clock(self.jobs)
        self._waiting: list[Run] = []
        self._active: list[_Active] = []
        self._done: set[str] = set()
        self._held: tuple[int, ...] = ()
        self._recorded = Recorded(path=self.plan.results, spec=None, results={})
        self._recorded_beside = self._recorded

    def run(self) -> bool:
        """Do all that is not done yet; whether every run has a result in the end.

        A run that fails is reported, and the others go on. When a signal stops the runner, the
        trainings save their states, and the next start goes on from there.

        Raises:
            InputError: another runner works on this experiment, a corpus could not be made, or the
                results are damaged or cannot be written.
            Stopped: by a signal.
        """
        busy = (
            f"{self.plan.output}: another `foldformer experiment` is at work there, or trainings "
            "that it has started still save; wait for their end, or choose another `output`"
        )
        results = self.plan.results
        written = (
            f"{results}: another `foldformer experiment` writes results there, with its models in "
            "another folder; wait for its end"
        )
        with (
            sole_process(self.plan.output, _LOCK, busy) as lock,
            sole_process(results.parent, f"{results.name}.lock", written),
            stopped_by_signals(),
        ):
            self._held = (lock.fileno(),)  # trainings hold the models' folder, and no results
            if torn := mend_last_line(results):
                self.say(f"cut from {results}: a torn last line, {torn[:60]}…")
            self._recorded = read_results(self.plan.results)
            self._done = {
                run.name
                for run in self.runs.values()
                if is_finished(self.plan, run, self._recorded)
            }
            self._waiting = self._due()
            beside = self._beside()
            own = [run for run in self._waiting if run.name not in beside]
            self.say(
                f"{counted(len(self.runs), 'run')}: {len(self._done)} done before"
                + (f", {len(beside)} by {self.plan.spec.runs_of}" if beside else "")
                + f"; {self.jobs} at a time; about {spoken(self._clock.left(own, {}))}"
            )
            try:
                if self._waiting:
                    self._make_corpora()
                    append_plan(self.plan.results, self.plan.spec)
                    self._take(beside)
                while self._waiting or self._active:
                    self._begin()
                    self._look()
                    time.sleep(_POLL)
            finally:
                self._stop()
        return not self.failed

    def _beside(self) -> dict[str, Result]:
        """Results of the experiment beside that stand for runs which are not done here."""
        if self.plan.beside is None:
            return {}
        self._recorded_beside = read_results(self.plan.beside)
        found = {
            run.name: result_beside(self.plan, run, self._recorded_beside)
            for run in self._waiting
            if run.name not in self._done
        }
        return {name: result for name, result in found.items() if result is not None}

    def _take(self, beside: Mapping[str, Result]) -> None:
        """Let results of the experiment beside stand here, too, where they heard the same data."""
        told = cache(fingerprint)  # each once for all of them
        for name, result in beside.items():
            run = self.runs[name]
            manifests = {"train": run.config.data.train, "valid": run.config.data.valid, **run.sets}
            try:
                same = {key: told(each) for key, each in manifests.items()} == result.data
                why = "it heard other data"
            except InputError as error:
                same, why = False, str(error)
            if not same:
                self.say(f"not taken {name} of {result.run_of}: {why}")
                continue
            # With counts of its own: the other experiment may do the run again, in another way.
            counts = self._recorded_beside.counts(result)
            own = replace(result, counts=counts_file(self.plan, run))
            append_result(self.plan.results, own, counts)
            self._done.add(name)
            self.say(f"taken   {name} of {result.run_of}: {_scores(result)}")
        self._waiting = self._due()

    def _due(self) -> list[Run]:
        return [run for run in self.runs.values() if is_due(run, self.runs, self._done)]

    def _make_corpora(self) -> None:
        for step in corpora_of(self.plan.spec.corpora, self.plan.output):
            self.show(step.what)
            process = step.start(self.command, self._held)
            try:
                code = process.wait()
            finally:
                end([process])
            if code:
                raise InputError(
                    f"foldformer {' '.join(step.words)}: failed: {last_line(step.log)[:300]} "
                    f"(all of it is in {step.log})"
                )

    def _begin(self) -> None:
        """Start as many runs as there is room for, whatever needs another's model after that."""
        busy = {active.run.name for active in self._active}
        pending = {run.name for run in self._waiting} | busy
        for run in list(self._waiting):
            if len(self._active) >= self.jobs:
                return
            if run.needs in pending:
                continue
            self._waiting.remove(run)
            if run.needs in self.failed:
                self._fail(run, f"{run.needs}, whose model it needs, has failed")
                continue
            try:
                self._start(run)
            except InputError as error:
                self._fail(run, str(error))

    def _start(self, run: Run) -> None:
        if self.plan.smoke and run.trains:  # one that is there would show nothing of the code
            shutil.rmtree(run.model, ignore_errors=True)
        check_start(self.plan, run, self._recorded)
        began = begin(self.plan, run)
        # A training that is complete says so at once, or that it was another one.
        steps = training_of(run)
        if run.name not in self._done:
            steps += evaluations_of(run)
        whole = run.trains and not (run.model / STATE / LAST).exists()
        first, *rest = steps
        data = dict(began.data)
        process = self._launch(run, first, began, data)
        self._active.append(
            _Active(run, began, data, time.monotonic(), whole, rest, first, process)
        )
        self.say(f"begun   {run.name}")

    def _launch(
        self, run: Run, step: Step, began: Begun, data: dict[str, str]
    ) -> "subprocess.Popen[bytes]":
        """Start a step, by the code that its run began with; note in `data` what it hears."""
        check_code(run, began)
        data |= {name: fingerprint(manifest) for name, manifest in step.hears.items()}
        return step.start(self.command, self._held)

    def _look(self) -> None:
        """Go on with what has ended, and show how far the rest is."""
        for active in list(self._active):
            code = active.process.poll()
            if code is None:
                continue
            if code:
                self._active.remove(active)
                reason = _why(code, active.step)
                self._fail(active.run, f"{active.step.what}: {reason} (log: {active.step.log})")
            elif active.steps:
                self._go_on(active)
            else:
                self._active.remove(active)
                self._finish(active)
        self.show(self._state())

    def _go_on(self, active: _Active) -> None:
        """Start the next step of a run."""
        active.step = active.steps.pop(0)
        try:
            active.process = self._launch(active.run, active.step, active.began, active.data)
        except InputError as error:
            self._active.remove(active)
            self._fail(active.run, str(error))

    def _finish(self, active: _Active) -> None:
        run, minutes = active.run, (time.monotonic() - active.since) / 60
        if active.whole:
            self._clock.took(run, minutes)
        if run.name in self._done:
            self.say(f"trained {run.name} again, in {spoken(minutes)}; its result stands")
            return
        try:
            check_code(run, active.began)
            result, counts = gather(self.plan, run, active.began.code, active.data, self.jobs)
        except (InputError, SpecError) as error:
            self._fail(run, str(error))
            return
        append_result(self.plan.results, result, counts)
        self._done.add(run.name)
        self.say(f"done    {run.name}: {_scores(result)}; {spoken(minutes)}")

    def _fail(self, run: Run, reason: str) -> None:
        self.failed[run.name] = reason
        self.say(f"failed  {run.name}: {reason}")

    def _state(self) -> str:
        """One line: what is at work, how much is done, when it will all be done."""
        parts, left = [], {}
        for active in self._active:
            log = active.run.place / LOG
            share = 1.0
            if active.step.log == log:
                share = share_done(log, active.run.config.training.steps)
                loss = shown_loss(log)
                parts.append(f"{active.run.name} {share:.0%}" + (f" loss {loss}" if loss else ""))
            else:
                parts.append(f"{active.run.name} scoring")
            left[active.run.name] = self._clock.minutes(active.run) * (1.02 - share)
        rest = (
            f"{len(self._done)}/{len(self.runs)} done, "
            f"{spoken(self._clock.left(self._waiting, left))} left"
        )
        shown = ", ".join(parts)
        room = WIDTH - 1 - len(rest) - 2
        return f"{shown if len(shown) <= room else shown[: room - 1] + '…'}; {rest}"

    def _stop(self) -> None:
        """End what is still at work; trainings save first."""
        end([active.process for active in self._active])
        self._active.clear()


def _why(code: int, step: Step) -> str:
    """Why a command has failed: what it said last, unless a signal ended it in the middle."""
    if code < 0:
        ended = f"ended by signal {-code}"
        return f"{ended}, as for want of memory" if -code == signal.SIGKILL else ended
    reason = last_line(step.log).removeprefix("foldformer: error: ")
    return reason[:300] or f"exit code {code}"


def _scores(result: Result) -> str:
    """The decisive score of each set, in a few letters."""
    found = []
    for name, scores in result.scores.items():
        value = scores.by(result.measure).value
        found.append(f"{name} " + ("-" if value is None else f"{value:.1f}"))
    return f"{result.measure.upper()} {', '.join(found)}"
