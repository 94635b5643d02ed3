"""The verb `compress` for models of `transformers`."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldformer.cli._bar import bar
from foldformer.cli._foreign import batches_for, lists_in
from foldformer.cli._plan_arguments import warn_if_no_smaller
from foldformer.errors import InputError, SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

    from foldformer.compress.foreign.plan import ForeignPlan

_ORIGIN = "origin.json"
"""In the folder `training`: what the model that learns there was made of."""


def run_compress(args: argparse.Namespace) -> int:
    """Fold, learn, and say what has come of it."""
    from foldformer.compress import foreign
    from foldformer.compress.foreign.files import numbers_of
    from foldformer.compress.foreign.originals import batches_of, load_original

    _check(args)
    original = load_original(args.model)
    lists = lists_in(args, original)
    plan = _plan(args, original, lists)
    heard = args.calibration or args.data
    batches = batches_for(args, original, heard) if heard else None
    learnt = batches_of(args.model, original, args.data) if args.data else []
    model = _folded(original, plan, batches, args)
    before, after = (
        sum(each.numel() * each.element_size() for each in numbers_of(one).values())
        for one in (original, model)
    )
    print(f"folded: {before / 1e6:.2f} MB -> {after / 1e6:.2f} MB", flush=True)
    warn_if_no_smaller(before, after)
    if learnt:
        _recover(args, model, original, plan, learnt)
    foreign.save(args.output, model, plan, source=args.model)
    print(f"model: {args.output}")
    if not learnt:
        print(
            "it has not learnt from the original yet: expect errors of it; give --data as\n"
            "well to let it learn"
        )
    print(f"next: foldformer.compress.foreign.load({str(args.output)!r}) in Python")
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse what is for our own models, or would replace another, before anything is loaded."""
    from foldformer.compress.foreign.files import CONFIG, PLAN, WEIGHTS

    if args.output.resolve() == args.model.resolve():
        raise SpecError(f"--output: {args.output} is the model to be folded; name another folder")
    if not (args.output / PLAN).exists():
        for name in (CONFIG, WEIGHTS):
            if (args.output / name).exists():
                raise InputError(
                    f"{args.output}: holds another model, which was not made by this command; "
                    "choose another --output"
                )
    if not args.data and (args.output / "training" / _ORIGIN).exists():
        raise InputError(
            f"{args.output}: holds a model that has learnt, which a fold alone would replace; give "
            "its --data again, or choose another --output"
        )
    others = {
        "--valid": args.valid,
        "--config": args.config,
        "--devices": args.devices,
        "--nodes": args.nodes,
        "--strategy": args.strategy != "ddp",
        "--accept-changes": args.accept_changes,
        "--skip-bad-batches": args.skip_bad_batches,
        f"{' '.join(map(str, args.settings[:1]))}": args.settings,
    }
    for option, value in others.items():
        if value:
            raise SpecError(
                f"{option}: is for foldformer's own models, and {args.model} is one of transformers"
            )
    if args.steps is not None and not args.data:
        raise SpecError("--steps: is for learning; give --data as well")
    if args.steps is not None and args.steps < 1:
        raise SpecError(f"--steps: expected 1 or more, got {args.steps}")


def _plan(args: argparse.Namespace, model: "nn.Module", lists: Sequence[str]) -> "ForeignPlan":
    """The plan that the arguments stand for; it fits the model."""
    from foldformer.cli._plan_arguments import uniform_plan
    from foldformer.compress.foreign.plan import ForeignPlan, matched
    from foldformer.compress.foreign.planning import ForeignPlanFile
    from foldformer.compress.foreign.stacks import find_stack
    from foldformer.compress.planning.file import read_plan

    if args.plan is not None:
        for option in ("uses", "rank", "order", "layers"):
            if getattr(args, option) not in (None, []):
                raise SpecError(f"--{option}: stands in the plan; give --plan or --uses")
        plan = read_plan(ForeignPlanFile, args.plan, model).plan
        try:
            matched(model, plan)
        except SpecError as error:
            raise SpecError(f"{args.plan}: {error}") from None
        return plan
    return ForeignPlan(
        stacks={
            name: uniform_plan(args, len(find_stack(model, name).layers), f"{args.model}: {name}")
            for name in lists
        }
    )


def _folded(
    original: "nn.Module",
    plan: "ForeignPlan",
    batches: Sequence[dict[str, "Tensor"]] | None,
    args: argparse.Namespace,
) -> "nn.Module":
    import copy

    from foldformer.compress import foreign

    model = copy.deepcopy(original)
    foreign.align(model, plan, start=args.start)
    moments = None
    if batches is not None:
        with bar("batches") as advance:
            moments = foreign.calibrate(model, plan.stacks, _counting(batches, advance))
    foreign.fold(model, plan, start=args.start, moments=moments)
    return model


def _counting(
    batches: Sequence[dict[str, "Tensor"]], advance: "Callable[[int, int], None]"
) -> "Iterator[dict[str, Tensor]]":
    """The batches, each counted when the next one is asked for."""
    for done, batch in enumerate(batches, 1):
        yield batch
        advance(done, len(batches))


def _recover(
    args: argparse.Namespace,
    model: "nn.Module",
    original: "nn.Module",
    plan: "ForeignPlan",
    batches: Sequence[dict[str, "Tensor"]],
) -> None:
    from foldformer.compress import foreign
    from foldformer.compress.planning.file import fingerprint
    from foldformer.spec import to_dict

    folder = args.output / "training"
    _claim(
        folder,
        {
            "model": fingerprint(original),
            "plan": to_dict(plan),
            "start": args.start,
            "calibration": args.calibration,
            "data": args.data,
        },
    )
    spec = foreign.DistilSpec() if args.steps is None else foreign.DistilSpec(steps=args.steps)
    losses: list[float] = []
    print(f"learning from {args.model}: {spec.steps} steps", flush=True)
    with bar("steps") as advance:

        def progress(step: int, loss: float) -> None:
            losses.append(loss)
            advance(step, spec.steps)

        foreign.distil(model, original, plan.stacks, batches, spec, folder, progress=progress)
    if losses:
        few = losses[-20:]
        print(f"learnt: loss {losses[0]:.4g} -> {sum(few) / len(few):.4g}", flush=True)


def _claim(folder: Path, origin: dict[str, Any]) -> None:
    """Go on with what was begun in a folder only where it was made of the same."""
    from foldformer.files import complete_files

    path = folder / _ORIGIN
    text = json.dumps(origin, indent=2)
    if path.is_file():
        if path.read_text(encoding="utf-8") != text:
            raise InputError(
                f"{folder}: learning was begun there with another model, plan or data; choose "
                "another --output, or remove that folder"
            )
        return
    with complete_files(folder) as beside:
        (beside / path.name).write_text(text, encoding="utf-8")
