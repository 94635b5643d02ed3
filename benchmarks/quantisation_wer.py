"""Word error rates of models in fp32, int8 and int4, as the runtime computes them.

    OMP_NUM_THREADS=1 python benchmarks/quantisation_wer.py MANIFEST MODEL...

Each model, with a ctc head, is exported for whole recordings in the three precisions, and every
utterance of the manifest is heard by itself, greedily, in ONNX Runtime. Prints WER and its 95 %
interval, and the change against fp32 in points.
"""

import argparse
from collections.abc import Iterator
from itertools import groupby

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from foldformer.data.batches import eval_loader
from foldformer.data.tokens import Tokens
from foldformer.decode.recognizer import Recognizer
from foldformer.decode.score import score_text
from foldformer.deploy.export.encoders import OfflineEncoder
from foldformer.deploy.export.integers import to_integers
from foldformer.deploy.export.parity import Run, session
from foldformer.nn.quantise import shared_weights

Utterance = tuple[NDArray[np.float32], str]


def utterances(manifest: str, tokens: Tokens) -> Iterator[Utterance]:
    """Features (T, 80) and text of each."""
    for batch in eval_loader(manifest, tokens):
        for features, length, text in zip(
            batch.features, batch.feature_lengths, batch.texts, strict=True
        ):
            yield features[:length].numpy(), text


def heard(run: Run, features: NDArray[np.float32], tokens: Tokens) -> str:
    """The best path of the outputs."""
    scores, lengths = run([features[None], np.array([len(features)])])
    best = scores[0, : int(lengths[0])].argmax(-1)
    return tokens.decode([int(token) for token, _ in groupby(best) if token])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest")
    parser.add_argument("models", nargs="+")
    args = parser.parse_args()
    print(f"{'model':24} {'weights':>8} {'WER %':>7} {'95 % interval':>16} {'points':>7}")
    for folder in args.models:
        recognizer = Recognizer.load(folder, "ctc")
        model, tokens = recognizer.model, recognizer.tokens
        spoken = list(utterances(args.manifest, tokens))
        traced = OfflineEncoder(model, "ctc").graph()
        first = None
        for precision in ("fp32", "int8", "int4"):
            graph = traced.clone()
            for name, value in graph.graph.initializers.items():
                value.meta.update(traced.graph.initializers[name].meta)
            if precision != "fp32":
                to_integers(graph, shared_weights(model) if precision == "int4" else ())
            run = session(ir.to_proto(graph).SerializeToString())
            texts = [heard(run, features, tokens) for features, _ in spoken]
            wer = score_text([text for _, text in spoken], texts).words
            first = wer.percent if first is None else first
            print(
                f"{folder[-24:]:24} {precision:>8} {wer.percent:7.2f} "
                f"{f'{wer.low:.2f} to {wer.high:.2f}':>16} {wer.percent - first:+7.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
