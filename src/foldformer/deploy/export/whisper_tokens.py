"""What a runtime has to know of a Whisper beside its graphs: its tokens and their parts."""

import base64
from collections.abc import Mapping
from typing import Any

from foldformer.errors import InputError


def metadata(model: Any, tokenizer: Any) -> dict[str, str]:
    """What sherpa-onnx and `hear.py` want to know of the model: sizes, and tokens with a meaning.

    Args:
        model: WhisperForConditionalGeneration.
        tokenizer: of the model.

    Raises:
        InputError: the tokenizer is not that of a Whisper.
    """
    config, generation = model.config, model.generation_config
    vocabulary = tokenizer.get_vocab()
    start = config.decoder_start_token_id
    found: dict[str, object] = {
        "model_type": "whisper",
        "n_mels": config.num_mel_bins,
        "n_audio_ctx": config.max_source_positions,
        "n_text_layer": config.decoder_layers,
        "n_text_ctx": config.max_target_positions,
        "n_text_state": config.d_model,
        "n_vocab": config.vocab_size,
        "sot": start,
        "eot": config.eos_token_id,
        "blank_id": _number(vocabulary, "\u0120"),
        "translate": _number(vocabulary, "<|translate|>"),
        "transcribe": _number(vocabulary, "<|transcribe|>"),
        "no_timestamps": _number(vocabulary, "<|notimestamps|>"),
        "no_speech": _number(vocabulary, "<|nospeech|>", "<|nocaptions|>"),
        "is_multilingual": int(bool(getattr(generation, "is_multilingual", False))),
        "sot_sequence": start,
    }
    for key in ("suppress_tokens", "begin_suppress_tokens"):  # which `generate` never writes
        never = getattr(generation, key, None) or ()
        found[key] = ",".join(str(each) for each in never if each < config.vocab_size)
    if found["is_multilingual"]:
        languages = generation.lang_to_id
        first = next(iter(languages.values()))
        found["sot_sequence"] = f"{start},{first},{found['transcribe']}"
        found["all_language_tokens"] = ",".join(map(str, languages.values()))
        found["all_language_codes"] = ",".join(languages_of(model))
    return {key: str(value) for key, value in found.items()}


def _number(vocabulary: Mapping[str, int], *names: str) -> int:
    """Of a token, which other versions of the tokenizer call otherwise."""
    for name in names:
        if name in vocabulary:
            return vocabulary[name]
    raise InputError(f"tokenizer: has no {names[0]}, so it is not that of a Whisper")


def languages_of(model: Any) -> tuple[str, ...]:
    """Codes of the languages that a Whisper hears, in the order of its tokens' names."""
    generation = model.generation_config
    if not getattr(generation, "is_multilingual", False):
        return ("en",)
    return tuple(name.strip("<|>") for name in generation.lang_to_id)


def token_table(tokenizer: Any) -> str:
    """A line for each token that is text: its bytes in base 64 and its number, in their order.

    Raises:
        InputError: tokens are not bytes, as those of a Whisper are.
    """
    letters = {letter: byte for byte, letter in _byte_letters().items()}
    special = set(tokenizer.get_added_vocab())
    lines = []
    for token, number in sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1]):
        if token in special:
            continue
        if not set(token) <= set(letters):
            raise InputError(f"tokenizer: {token!r} does not stand for bytes, as in a Whisper's")
        text = base64.b64encode(bytes(letters[letter] for letter in token)).decode()
        lines.append(f"{text} {number}\n")
    return "".join(lines)


def _byte_letters() -> dict[int, str]:
    """The letter that stands for each byte in the vocabularies of byte-level BPE (GPT-2)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {
        byte: chr(256 + place) for place, byte in enumerate(hidden)
    }
