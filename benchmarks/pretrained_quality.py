"""What folded copies of a pretrained model still do, beside the original, on held-out data.

    foldformer plan MODEL --weights 118MB --calibration CALIBRATION -o plan.yaml
    foldformer compress MODEL --plan plan.yaml --calibration CALIBRATION --data DATA --output FOLDED
    python benchmarks/pretrained_quality.py sentences MODEL TEST.txt FOLDED...
    python benchmarks/pretrained_quality.py whisper MODEL TEST.jsonl.gz FOLDED...

MODEL is a folder of `transformers` (see `fold_pretrained.py` on where to get some), and each FOLDED
one that `compress` has made of it. For a sentence encoder, prints the cosine between the embeddings
of both, mean over sentences, and the rank correlation of the similarities of all pairs of
sentences. For Whisper, the word error rate without case and punctuation, and its change in percent
of the original's with the 95 % interval of a paired bootstrap over utterances. Beside them, the
share of the numbers of the layers that is left, the steps that were learnt, and the minutes that
they took, validations among them.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn
from transformers import AutoTokenizer, WhisperFeatureExtractor

from _record import add_record, record
from _texts import embedded, likeness, texts_of
from _whisper import features_of, hear, recordings, words
from foldformer.compress import foreign
from foldformer.compress.foreign import inputs
from foldformer.compress.foreign.course import CURVE
from foldformer.compress.foreign.originals import load_original
from foldformer.compress.foreign.stacks import layers_of
from foldformer.decode.compare import compare
from foldformer.decode.measures import MEASURES

Figures = dict[str, float]


def numbers(model: nn.Module, lists: list[str]) -> int:
    """All numbers of the layers, each shared one once."""
    layers = nn.ModuleList(layer for name in lists for layer in layers_of(model, name))
    return sum(parameter.numel() for parameter in layers.parameters())


def learning(folder: Path) -> Figures:
    """What `compress` noted of the learning."""
    path = folder / "training" / CURVE
    if not path.is_file():
        return {"steps": 0.0, "minutes": 0.0}
    last = json.loads(path.read_text(encoding="utf-8"))[-1]
    return {"steps": last["step"], "minutes": last["seconds"] / 60}


def sentences(args: argparse.Namespace) -> Iterator[Figures]:
    """Of the original, and of each folded model."""
    batches = list(inputs.encoded(texts_of(args.test), AutoTokenizer.from_pretrained(args.model)))
    reference = None
    for model in models(args):
        found = embedded(model, batches)
        reference = found if reference is None else reference
        cosine, rank = likeness(reference, found)
        yield {"cosine": cosine, "rank": rank}


def whisper(args: argparse.Namespace) -> Iterator[Figures]:
    """Of the original, and of each folded model."""
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    extractor = WhisperFeatureExtractor.from_pretrained(args.model)
    spoken = list(recordings([args.test], args.limit))
    features = features_of(extractor, [samples for _, samples, _ in spoken])
    said = [words(text) for *_, text in spoken]
    reference = None
    for model in models(args):
        heard = [words(text) for text in hear(model, tokenizer, features)]
        counts = MEASURES["wer"].counts(said, heard)
        reference = counts if reference is None else reference
        found = compare(MEASURES["wer"], counts, reference)
        change = found.relative
        yield {
            "wer": found.value,
            "errors": float(counts[:, :3].sum()),
            "words": float(counts[:, 3].sum()),
            **({} if change is None else {"change": change.value}),
            **({} if change is None else {"low": change.low, "high": change.high}),
        }


def models(args: argparse.Namespace) -> Iterator[Any]:
    yield load_original(args.model).eval()
    for folder in args.folded:
        yield foreign.load(folder).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["sentences", "whisper"])
    parser.add_argument("model", type=Path)
    parser.add_argument("test")
    parser.add_argument("folded", type=Path, nargs="+")
    parser.add_argument("--limit", type=int, default=1000, help="utterances at most")
    add_record(parser)
    args = parser.parse_args()
    judged = sentences(args) if args.kind == "sentences" else whisper(args)
    found: dict[str, Figures] = {}
    original = load_original(args.model)
    lists = list(foreign.find_stacks(original))
    whole = numbers(original, lists)
    for folder, figures in zip([args.model, *args.folded], judged, strict=True):
        left = numbers(original if folder == args.model else foreign.load(folder), lists) / whole
        name = "original" if folder == args.model else folder.name
        found[name] = {"left": left, **learning(folder), **figures}
        shown = (f"{key} {value:.6g}" for key, value in found[name].items())
        print(f"{name}: {', '.join(shown)}", flush=True)
    record(args.record, Path(__file__).stem, args.kind, found)


if __name__ == "__main__":
    main()
