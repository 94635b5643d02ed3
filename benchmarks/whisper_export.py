"""A folded Whisper in PyTorch, in ONNX Runtime and in sherpa-onnx: sizes, and whether texts agree.

    OMP_NUM_THREADS=1 python benchmarks/whisper_export.py MODEL CALIBRATION.jsonl.gz RECORDING...

MODEL is a folder of `transformers`; its layers are folded in pairs, with residuals of a sixteenth
of the width, calibrated on the manifest. A recording may be a manifest. Each is heard greedily, in
30 s. Prints the texts that differ, how many agree, and the size of the files. sherpa-onnx makes
features of its own and fills the 30 s otherwise, so that a text in doubt may come out differently.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import sherpa_onnx
from transformers import AutoTokenizer, WhisperFeatureExtractor
from transformers import WhisperForConditionalGeneration as Whisper

from _whisper import features_of, hear, recordings
from foldformer.compress.foreign import ForeignPlan, align, calibrate, find_stacks, fold, inputs
from foldformer.compress.plan import Plan
from foldformer.deploy.export.parity import session
from foldformer.deploy.export.whisper import DECODER, ENCODER, export_whisper
from foldformer.nn.linears.residual import ResidualSpec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("calibration")
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--limit", type=int, default=20, help="utterances of a manifest")
    args = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    extractor = WhisperFeatureExtractor.from_pretrained(args.model)
    model = Whisper.from_pretrained(args.model).eval()
    print(f"the original: {4e-6 * sum(p.numel() for p in model.parameters()):.1f} MB of weights")
    stacks = find_stacks(model)
    spec = ResidualSpec(rank=model.config.d_model // 16)
    plan = ForeignPlan(
        stacks={
            name: Plan(uses=(2,) * (len(stack.layers) // 2), linear=spec)
            for name, stack in stacks.items()
        }
    )
    align(model, plan)
    batches = inputs.recordings(args.calibration, extractor, tokenizer, limit=30)
    fold(model, plan, moments=calibrate(model, stacks, batches))
    print(f"folded: {4e-6 * sum(p.numel() for p in model.parameters()):.1f} MB of weights")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        difference = export_whisper(model, tokenizer, folder)
        size = sum(path.stat().st_size for path in folder.glob("*.onnx"))
        print(f"exported: {1e-6 * size:.1f} MB of files, {difference:.0e} from PyTorch", flush=True)
        agree = {"ONNX Runtime": 0, "sherpa-onnx": 0}
        runtime = sherpa_onnx.OfflineRecognizer.from_whisper(
            encoder=str(folder / ENCODER),
            decoder=str(folder / DECODER),
            tokens=str(folder / "tokens.txt"),
            num_threads=1,
            tail_paddings=48000,
        )
        encode, decode = session(folder / ENCODER), session(folder / DECODER)
        total = 0
        for name, samples, _ in recordings(args.sources, args.limit):
            features = features_of(extractor, [samples])
            (expected,) = hear(model, tokenizer, features)
            stream = runtime.create_stream()
            stream.accept_waveform(16000, samples)
            runtime.decode_stream(stream)
            texts = {
                "ONNX Runtime": said(model, tokenizer, encode, decode, features.numpy()),
                "sherpa-onnx": stream.result.text.strip(),
            }
            total += 1
            for where, text in texts.items():
                agree[where] += text == expected
                if text != expected:
                    print(f"{name}\n  PyTorch: {expected}\n  {where}: {text}", flush=True)
        for where, count in agree.items():
            print(f"{where}: {count} of {total} texts are those of PyTorch")


def said(model, tokenizer, encode, decode, features) -> str:
    """Greedily, 100 tokens at most, without those that `generate` never writes."""
    config, generation = model.config, model.generation_config
    cross = encode([features])
    shape = (config.decoder_layers, 1, config.max_target_positions, config.d_model)
    caches = [np.zeros(shape, dtype=np.float32)] * 2
    tokens = [config.decoder_start_token_id, generation.no_timestamps_token_id]
    fresh, written = list(tokens), []
    while len(written) < 100:
        offset = np.array([len(tokens) - len(fresh)])
        scores, *caches = decode([np.array([fresh]), *caches, *cross, offset])
        last = scores[0, -1].copy()
        last[list(generation.suppress_tokens or [])] = -np.inf
        if not written:
            last[list(generation.begin_suppress_tokens or [])] = -np.inf
        fresh = [int(last.argmax())]
        if fresh[0] == config.eos_token_id:
            break
        tokens += fresh
        written += fresh
    return tokenizer.decode(written, skip_special_tokens=True).strip()


if __name__ == "__main__":
    main()
