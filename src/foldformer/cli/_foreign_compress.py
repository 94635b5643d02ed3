"""The verb `compress` for models of `transformers`."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from foldformer.cli._bar import bar
from foldformer.cli._foreign import batches_for, kept_lines, lists_in
from foldformer.cli._plan_arguments import warn_if_no_smaller
from foldformer.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

    from foldformer.compress.foreign.folder import ForeignOrigin
    from foldformer.compress.foreign.plan import ForeignPlan


def run_compress(args: argparse.Namespace) -> int:
    """Fold, learn, and say what has come of it."""
    from foldformer.compress import foreign
    from foldformer.compress.foreign.distil import check_learnable
    from foldformer.compress.foreign.folder import write_fold, write_record
    from foldformer.compress.foreign.originals import batches_of, load_original
    from foldformer.compress.stored import give_back_matrices

    _check(args)
    give_back_matrices()
    model = load_original(args.model)
    plan = _plan(args, model)
    origin = _origin(args, model, plan)
    heard = args.calibration or args.data
    batches = batches_for(args, model, list(plan.stacks), heard) if heard else None
    learnt = batches_of(args.model, model, args.data) if args.data else []
    if learnt:
        check_learnable(model, learnt[0])
    before, kept = _bytes(model), kept_lines(model, list(plan.stacks))
    _fold(model, plan, batches, args)
    after = _bytes(model)
    print(f"folded: {before / 1e6:.2f} MB -> {after / 1e6:.2f} MB")
    print("\n".join(kept), flush=True)
    warn_if_no_smaller(before, after)
    if learnt:
        write_record(args.output, origin)
        # Read again: a copy that is kept meanwhile would double the memory of the fold.
        _recover(args, model, load_original(args.model), plan, learnt)
        foreign.save(args.output, model, plan, source=args.model)
    else:
        write_fold(args.output, model, origin)
    print(f"model: {args.output}")
    if not learnt:
        print(
            "it has not learnt from the original yet: expect errors of it; give --data as\n"
            "well to let it learn"
        )
    print(f"next: foldformer.compress.foreign.load({str(args.output)!r}) in Python")
    return 0


def _bytes(model: "nn.Module") -> int:
    """That the numbers of a model take, each once."""
    from foldformer.compress.foreign.files import numbers_of

    return sum(each.numel() * each.element_size() for each in numbers_of(model).values())


def _check(args: argparse.Namespace) -> None:
    """Refuse what is for our own models, or cannot be, before anything is loaded."""
    if args.output.resolve() == args.model.resolve():
        raise SpecError(f"--output: {args.output} is the model to be folded; name another folder")
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


def _plan(args: argparse.Namespace, model: "nn.Module") -> "ForeignPlan":
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
            for name in lists_in(args, model)
        }
    )


def _origin(
    args: argparse.Namespace, original: "nn.Module", plan: "ForeignPlan"
) -> "ForeignOrigin":
    """What the fold is made of; --output may hold nothing else."""
    from foldformer.compress.foreign.folder import ForeignOrigin, checked
    from foldformer.compress.planning.file import fingerprint
    from foldformer.compress.record import named_as_before

    origin = ForeignOrigin(
        model=str(args.model),
        weights=fingerprint(original),
        plan=plan,
        start=args.start,
        calibration=tuple(args.calibration or args.data),
    )
    return checked(args.output, named_as_before(args.output, origin), alone=not args.data)


def _fold(
    model: "nn.Module",
    plan: "ForeignPlan",
    batches: Sequence[dict[str, "Tensor"]] | None,
    args: argparse.Namespace,
) -> None:
    from foldformer.compress import foreign

    foreign.align(model, plan, start=args.start)
    moments = None
    if batches is not None:
        with bar("batches") as advance:
            moments = foreign.calibrate(model, plan.stacks, _counting(batches, advance))
    foreign.fold(model, plan, start=args.start, moments=moments)


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
    from foldformer.compress.foreign.folder import TRAINING

    spec = foreign.DistilSpec() if args.steps is None else foreign.DistilSpec(steps=args.steps)
    losses: list[float] = []
    print(f"learning from {args.model}: {spec.steps} steps", flush=True)
    with bar("steps") as advance:

        def progress(step: int, loss: float) -> None:
            losses.append(loss)
            advance(step, spec.steps)

        foreign.distil(
            model, original, plan.stacks, batches, spec, args.output / TRAINING, progress=progress
        )
    if losses:
        few = losses[-20:]
        print(f"learnt: loss {losses[0]:.4g} -> {sum(few) / len(few):.4g}", flush=True)
