"""Run the trainings of a recipe's tables, several side by side; run again, it goes on."""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from foldformer.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foldformer.experiment.plan import Plan, Run

EXTRA = "train"
"""What this verb needs to be installed with."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "recipe",
        type=Path,
        metavar="RECIPE",
        help="a folder with experiment.yaml, or another such YAML file",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="PATTERN",
        help="only the cells, or the runs TASK/CELL/SEED, that match one of these patterns, "
        "and the runs whose models they need",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="runs side by side, on one core each; default: one for each core",
    )
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="show that every cell runs: a few steps on tiny data, with results of its own",
    )
    parser.add_argument(
        "--list", action="store_true", help="only print the runs, which are done, and their time"
    )


def run(args: argparse.Namespace) -> int:
    """Do what is left of the experiment; 2 if a run has failed."""
    if args.jobs is not None and args.jobs < 1:
        raise SpecError(f"--jobs: expected 1 or more, got {args.jobs}")
    from foldformer.experiment.origin import cores
    from foldformer.experiment.plan import chosen, plan
    from foldformer.experiment.progress import Screen, counted
    from foldformer.experiment.runner import Runner
    from foldformer.experiment.spec import read_experiment

    planned = plan(read_experiment(args.recipe), args.recipe, args.smoke)
    runs = chosen(planned, args.only)
    jobs = args.jobs or cores()
    if args.list:
        _list(planned, runs, jobs)
        return 0
    screen = Screen()
    runner = Runner(planned, runs, jobs, screen.say, screen.show)
    whole = runner.run()
    print(f"results: {planned.results}")
    if not whole:
        of = counted(len(runs), "run")
        print(f"{len(runner.failed)} of {of} failed; the same command tries again")
        return 2
    shown = args.recipe if not args.smoke else planned.results
    print(f"next: foldformer report {shlex.quote(str(shown))}")
    return 0


def _list(planned: "Plan", runs: "Mapping[str, Run]", jobs: int) -> None:
    from foldformer.experiment.finished import is_due, is_finished, result_beside
    from foldformer.experiment.progress import counted, spoken
    from foldformer.experiment.results import read_results

    recorded = read_results(planned.results)
    beside = None if planned.beside is None else read_results(planned.beside)
    states = {}
    for run in runs.values():
        states[run.name] = "begun" if run.place.exists() else ""
        if is_finished(planned, run, recorded):
            states[run.name] = "done"
        elif beside is not None and result_beside(planned, run, beside) is not None:
            states[run.name] = "taken"
    done = {name for name, state in states.items() if state in ("done", "taken")}
    total = left = 0.0
    for run in runs.values():
        again = run.name in done and is_due(run, runs, done)  # for its model, which is not there
        state = f"{states[run.name]}{', train' if again else ''}"
        print(f"{run.name:44}{state:14}{run.minutes:6.1f} min")
        total += run.minutes
        left += run.minutes if again or run.name not in done else 0.0
    rest = f"left: {spoken(left)}, {spoken(left / jobs)} with {jobs} at a time"
    print(
        f"{counted(len(runs), 'run')}, {spoken(total)} of one core; {rest if left else 'all done'}"
    )
