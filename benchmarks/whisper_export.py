"""An exported Whisper in ONNX Runtime and in sherpa-onnx, beside PyTorch: whether texts agree.

    foldformer compress MODEL --uses 2 --rank 24 --calibration CALIBRATION.jsonl.gz --output FOLDED
    foldformer export FOLDED --to onnxruntime --output EXPORT
    OMP_NUM_THREADS=1 python benchmarks/whisper_export.py FOLDED EXPORT RECORDING...
        [--record FILE]

FOLDED is a folder of `transformers`, folded or not, and EXPORT what `foldformer export` has made of
it. A recording may be a manifest. Each is heard greedily, in 30 s. Prints the texts that differ,
how many agree, how many words differ, and the size of the files. sherpa-onnx makes features of its
own and fills the 30 s otherwise, so that a text in doubt may come out differently.
"""

import argparse
from pathlib import Path
from typing import Any

import sherpa_onnx
from transformers import AutoTokenizer, WhisperFeatureExtractor
from transformers import WhisperForConditionalGeneration as Original

from _record import add_record, record
from _whisper import features_of, hear, recordings, words
from foldformer.compress import foreign
from foldformer.decode.score import score_text
from foldformer.deploy.folder import read_export
from foldformer.deploy.hear import Whisper


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("export", type=Path)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--limit", type=int, default=20, help="utterances of a manifest")
    add_record(parser)
    args = parser.parse_args()
    is_folded = (args.model / "foldformer.yaml").is_file()
    model: Any = (foreign.load if is_folded else Original.from_pretrained)(args.model)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    extractor = WhisperFeatureExtractor.from_pretrained(args.model)
    spec = read_export(args.export)
    size = sum((args.export / name).stat().st_size for name in spec.files)
    print(f"{spec.precision}: {1e-6 * size:.1f} MB of files, {spec.difference:.0e} from PyTorch")
    runtime = sherpa_onnx.OfflineRecognizer.from_whisper(
        **{name.removesuffix(".onnx"): str(args.export / name) for name in spec.files},
        tokens=str(args.export / "tokens.txt"),
        num_threads=1,
        tail_paddings=48000,
    )
    exported = Whisper(args.export)
    expected: list[str] = []
    found: dict[str, list[str]] = {"onnxruntime": [], "sherpa-onnx": []}
    for name, samples, _ in recordings(args.sources, args.limit):
        expected += hear(model, tokenizer, features_of(extractor, [samples]), longest=None)
        stream = runtime.create_stream()
        stream.accept_waveform(16000, samples)
        runtime.decode_stream(stream)
        found["onnxruntime"].append(exported.hear(samples))
        found["sherpa-onnx"].append(stream.result.text.strip())
        for where, texts in found.items():
            if texts[-1] != expected[-1]:
                print(f"{name}\n  PyTorch: {expected[-1]}\n  {where}: {texts[-1]}", flush=True)
    figures = {"files_mb": size / 1e6, "texts": len(expected)}
    for where, texts in found.items():
        same = sum(a == b for a, b in zip(texts, expected, strict=True))
        score = score_text([words(text) for text in expected], [words(text) for text in texts])
        print(
            f"{where}: {same} of {len(texts)} texts are those of PyTorch; "
            f"{score.words.percent:.2f} % of the words differ"
        )
        figures[f"{where}_same"] = same
    record(args.record, "whisper_export", f"{args.model.name}-{spec.precision}", figures)


if __name__ == "__main__":
    main()
