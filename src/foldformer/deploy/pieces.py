"""The scores of SentencePiece's pieces, read without its library, which a device may lack."""

import struct
from pathlib import Path

from foldformer.data.tokens import Tokens
from foldformer.deploy.protobuf import DamagedError, Message
from foldformer.errors import InputError

_PIECES, _TEXT, _SCORE = 1, 1, 2


def piece_scores(model: Path, tokens: Tokens) -> dict[str, float]:
    """{piece: logarithm of its probability}, 0 for all where every character is a token.

    Args:
        model: `tokens.model`, which need not exist.
        tokens: of the same model.

    Raises:
        InputError: the file is damaged.
    """
    if not model.exists():
        return dict.fromkeys(tokens.symbols, 0.0)
    scores = {}
    try:
        whole = Message.of(model.read_bytes())
        for _, piece in whole.messages(_PIECES):
            parts = dict(piece.fields())
            scores[str(parts.get(_TEXT, ""))] = struct.unpack("<f", bytes(parts[_SCORE]))[0]
    except (DamagedError, KeyError, TypeError, struct.error, UnicodeDecodeError):
        raise InputError(f"{model}: is not a SentencePiece model") from None
    return scores
