"""Whether an export hears what its model hears, on real utterances.

    python benchmarks/parity.py MODEL MANIFEST [--number 200] [--precision fp32 int8 int4]
        [--chunk 320ms] [--states fp32 int8] [--reduce-range] [--beam 1] [--record FILE]

For each head and precision, exports MODEL for whole recordings and for streams of `--chunk`, runs
the first NUMBER utterances of the manifest through sherpa-onnx and through PyTorch, and prints how
many have the same tokens, how far the times of those differ at most, in frames of 40 ms, and the
word error rate of both. `--states` says how streams remember, in fp32 unless told otherwise. A
stream in PyTorch is the encoder under its chunk mask.
"""

import argparse
from itertools import islice, product
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import foldformer.deploy
from _record import add_record, record, setting
from foldformer.data.cuts import read_cuts, samples_of, text_of
from foldformer.data.durations import ENCODER_FRAME_MS, encoder_frames
from foldformer.decode.recognizer import Recognizer
from foldformer.decode.score import score_text
from foldformer.deploy.export.make import export
from foldformer.deploy.folder import StreamSpec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("manifest")
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--precision", nargs="+", default=["fp32"])
    parser.add_argument("--chunk", default="320ms")
    parser.add_argument("--states", nargs="+", choices=["fp32", "int8"], default=["fp32"])
    parser.add_argument("--reduce-range", action="store_true")
    parser.add_argument("--beam", type=int, default=1)
    add_record(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cuts = list(islice(read_cuts(args.manifest), args.number))
    sounds = [(samples_of(cut), int(cut.sampling_rate)) for cut in cuts]
    chunk = encoder_frames(args.chunk)
    print(f"{len(cuts)} utterances; streams of {args.chunk}; beam {args.beam}")
    print(
        "export                     precision  states  same tokens  "
        "times, frames  WER there  WER here"
    )
    for head in Recognizer.load(args.model).model.heads:
        recognizer = Recognizer.load(args.model, head, args.beam)
        texts = [text_of(cut, recognizer.config.text) for cut in cuts]
        left_context = recognizer.model.encoder.left_context
        kept: dict[str, dict[str, float]] = {}
        for frames in (None, chunk):
            here = [recognizer.transcribe(*sound, chunk=frames) for sound in sounds]
            for precision, states in product(args.precision, args.states):
                stream = None
                if frames is not None:
                    stream = StreamSpec(chunk=chunk, left_context=left_context, states=states)
                elif states != args.states[0]:
                    continue  # whole recordings have none
                with TemporaryDirectory() as place:
                    folder = Path(place) / "export"
                    spec = export(
                        recognizer.model,
                        recognizer.tokens,
                        recognizer.config,
                        folder,
                        name=args.model,
                        head=head,
                        stream=stream,
                        precision=precision,
                        reduce_range=args.reduce_range,
                    )
                    # A beam is a transducer's there: CTC is greedy.
                    beam = args.beam if head == "transducer" else 1
                    device = foldformer.deploy.load(folder, beam=beam)
                    there = [device.transcribe(*sound) for sound in sounds]
                same = [a.tokens == b.tokens for a, b in zip(there, here, strict=True)]
                apart = [
                    abs(s - t) * 1000 / ENCODER_FRAME_MS
                    for a, b, equal in zip(there, here, same, strict=True)
                    if equal
                    for s, t in zip(a.times, b.times, strict=True)
                ]
                rates = [_wer(texts, [each.text for each in found]) for found in (there, here)]
                remembers = "" if stream is None else stream.states
                said = args.chunk if frames is not None else "offline"
                kept[setting(precision, said, remembers or "fp32")] = {
                    "utterances": len(cuts),
                    "same": sum(same),
                    "frames_apart": max(apart, default=0),
                    "there": rates[0],
                    "here": rates[1],
                }
                print(
                    f"{spec.kind:26} {precision:9}  {remembers:6} {sum(same):6}/{len(same)} "
                    f"{max(apart, default=0):14.1f} {rates[0]:9.2f}% {rates[1]:8.2f}%",
                    flush=True,
                )
        name = f"{Path(args.model).name}-{head}" + "-reduced" * args.reduce_range
        record(args.record, Path(__file__).stem, name, kept)


def _wer(references: list[str], hypotheses: list[str]) -> float:
    return float(score_text(references, hypotheses).words.percent)


if __name__ == "__main__":
    main()
