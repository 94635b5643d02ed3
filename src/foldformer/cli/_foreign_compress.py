"""The verb `compress` for models of `transformers`."""

import argparse
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from foldformer.cli._bar import bar
from foldformer.cli._foreign import batches_for, kept_lines, lists_in
from foldformer.cli._plan_arguments import warn_if_no_smaller
from foldformer.cli._training import asked_keys, parse_settings
from foldformer.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

    from foldformer.compress.foreign.distil import DistilSpec
    from foldformer.compress.foreign.folder import ForeignOrigin
    from foldformer.compress.foreign.originals import LearningBatches
    from foldformer.compress.foreign.plan import ForeignPlan
    from foldformer.compress.foreign.recovery import RecoverySpec


def run_compress(args: argparse.Namespace) -> int:
    """Fold, learn, and say what has come of it."""
    from foldformer.compress import foreign
    from foldformer.compress.foreign.fold import fold_structure
    from foldformer.compress.foreign.folder import write_fold, write_record
    from foldformer.compress.foreign.originals import load_original
    from foldformer.compress.stored import give_back_matrices

    recovery = _recovery(args)
    train = list(recovery.data.train)
    give_back_matrices()
    model = load_original(args.model)
    plan = _plan(args, model)
    origin = _origin(args, model, plan, train)
    learning = _learning(args, model, recovery) if train else None
    before, kept = _bytes(model), kept_lines(model, list(plan.stacks))
    if learning is not None and _goes_on(args, model, learning, recovery):
        fold_structure(model, plan)  # what has been learnt takes the place of all its numbers
        done = "folded before"
    else:
        _fold(model, plan, _calibration(args, model, plan, recovery), args)
        done = "folded"
    after = _bytes(model)
    print(f"{done}: {before / 1e6:.2f} MB -> {after / 1e6:.2f} MB")
    print("\n".join(kept), flush=True)
    warn_if_no_smaller(before, after)
    if learning is not None:
        write_record(args.output, origin)
        # Read again: a copy that is kept meanwhile would double the memory of the fold.
        _recover(args, model, load_original(args.model), plan, learning, recovery)
        foreign.save(args.output, model, plan, source=args.model)
    else:
        write_fold(args.output, model, origin)
    print(f"model: {args.output}")
    if learning is None:
        print(
            "it has not learnt from the original yet: expect errors of it; give --data as\n"
            "well to let it learn"
        )
    print(f"next: {_following(args, model)}")
    return 0


def _bytes(model: "nn.Module") -> int:
    """That the numbers of a model take, each once."""
    from foldformer.compress.foreign.files import numbers_of

    return sum(each.numel() * each.element_size() for each in numbers_of(model).values())


def _following(args: argparse.Namespace, model: "nn.Module") -> str:
    """What to do with the model."""
    from foldformer.compress.foreign.stacks import model_type

    if model_type(model) == "whisper":
        return f"foldformer export {shlex.quote(str(args.output))} --to onnxruntime"
    return f"foldformer.compress.foreign.load({str(args.output)!r}) in Python"


def _recovery(args: argparse.Namespace) -> "RecoverySpec":
    """How the fold is to learn, after refusing what is for our own models, or cannot be.

    Raises:
        SpecError: there is such an option, or a key that is unknown or has a wrong value.
    """
    from foldformer.compress.foreign.recovery import RecoverySpec
    from foldformer.spec import from_dict, override

    if args.output.resolve() == args.model.resolve():
        raise SpecError(f"--output: {args.output} is the model to be folded; name another folder")
    others = {
        "--devices": args.devices,
        "--nodes": args.nodes,
        "--strategy": args.strategy != "ddp",
        "--accept-changes": args.accept_changes,
        "--skip-bad-batches": args.skip_bad_batches,
    }
    for option, value in others.items():
        if value:
            raise SpecError(
                f"{option}: is for foldformer's own models, and {args.model} is one of transformers"
            )
    settings = parse_settings(args.settings)
    asked = asked_keys(args, settings)
    try:
        recovery = from_dict(RecoverySpec, override(asked, settings))
    except SpecError as error:
        raise SpecError(f"recovery: {error}") from None
    if (asked or settings) and not recovery.data.train:
        raise SpecError("--valid, --steps, --config and keys: for learning; give --data as well")
    return recovery


def _calibration(
    args: argparse.Namespace,
    model: "nn.Module",
    plan: "ForeignPlan",
    recovery: "RecoverySpec",
) -> "Sequence[dict[str, Tensor]] | None":
    """What the fold is calibrated with: of the data to learn from, nothing that is kept apart."""
    lists, data = list(plan.stacks), recovery.data
    if args.calibration:
        return batches_for(args, model, lists, args.calibration, field=data.text)
    if not data.train:
        return None
    share = 0.0 if data.valid else data.valid_share
    return batches_for(args, model, lists, data.train, field=data.text, valid_share=share)


def _learning(
    args: argparse.Namespace, original: "nn.Module", recovery: "RecoverySpec"
) -> "LearningBatches":
    """What is learnt from, and measured on; the original can be learnt from."""
    from foldformer.compress.foreign.losses import check_learnable
    from foldformer.compress.foreign.originals import learning_batches

    found = learning_batches(
        args.model,
        original,
        recovery.data.train,
        valid=recovery.data.valid,
        field=recovery.data.text,
        valid_share=recovery.data.valid_share,
        labels=recovery.training.distillation.data > 0,
    )
    if recovery.training.distillation.output:
        check_learnable(original, found.learnt[0])
    return found


def _distil(model: "nn.Module", recovery: "RecoverySpec") -> "DistilSpec":
    from foldformer.compress.foreign.stacks import model_type

    return recovery.training.distil(recovery.seed, model_type(model))


def _goes_on(
    args: argparse.Namespace,
    model: "nn.Module",
    learning: "LearningBatches",
    recovery: "RecoverySpec",
) -> bool:
    """Whether an earlier call has learnt something, from the same and in the same way."""
    from foldformer.compress.foreign.distil import goes_on
    from foldformer.compress.foreign.folder import TRAINING

    spec = _distil(model, recovery)
    return goes_on(args.output / TRAINING, spec, learning.learnt, learning.valid)


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
    args: argparse.Namespace, original: "nn.Module", plan: "ForeignPlan", train: list[str]
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
        calibration=tuple(args.calibration or train),
    )
    return checked(args.output, named_as_before(args.output, origin), alone=not train)


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
    batches: "LearningBatches",
    recovery: "RecoverySpec",
) -> None:
    from foldformer.compress import foreign
    from foldformer.compress.foreign.course import CURVE
    from foldformer.compress.foreign.folder import TRAINING
    from foldformer.train.allocator import keep_freed_memory

    keep_freed_memory()  # the fold gave back what a step wants again
    spec = _distil(model, recovery)
    folder = args.output / TRAINING
    losses: list[float] = []
    print(f"learning from {args.model}: {spec.steps} steps", flush=True)
    validated: list[str] = []
    with bar("steps", logged=True) as advance:

        def progress(step: int, loss: float) -> None:
            losses.append(loss)
            advance(step, spec.steps, ", ".join([f"loss {loss:.3g}", *validated[-1:]]))

        def note(row: Mapping[str, float]) -> None:
            validated.append(f"validation {row['loss']:.3g}")

        best = foreign.distil(
            model,
            original,
            plan.stacks,
            batches.learnt,
            spec,
            folder,
            valid=batches.valid,
            progress=progress,
            validated=note,
        )
    if losses:
        few = losses[-20:]
        print(f"learnt: loss {losses[0]:.4g} -> {sum(few) / len(few):.4g}", flush=True)
    if best is None:
        print("not validated: there is nothing to measure on; give --valid, or more of --data")
        return
    scores = {name: best[name] for name in ("loss", "distillation", "data") if name in best}
    said = ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
    print(f"best validation: {said}, after step {best['step']:.0f}")
    if spec.data:
        print(f"  data of the original there: {foreign.data_loss(original, batches.valid):.4g}")
    print(f"curve: {folder / CURVE}", flush=True)
