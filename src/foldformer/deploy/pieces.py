"""The pieces that a runtime cuts phrases into: `bpe.vocab`, `piece<TAB>score` a line."""

import math
import struct
from pathlib import Path

from foldformer.data.tokens import Tokens
from foldformer.deploy.protobuf import DamagedError, Message
from foldformer.errors import InputError

VOCABULARY = "bpe.vocab"

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


def write_vocabulary(folder: Path, tokens: Tokens) -> None:
    """Write `bpe.vocab` beside the files of the tokens; it is for exports of a transducer.

    Raises:
        InputError: `tokens.model` is damaged.
    """
    scores = piece_scores(folder / "tokens.model", tokens)
    text = "".join(f"{piece}\t{score}\n" for piece, score in scores.items())
    (folder / VOCABULARY).write_text(text, encoding="utf-8", newline="\n")


def find_vocabulary(folder: Path, tokens: Tokens) -> Path:
    """`bpe.vocab` of an export, after a look at its lines: a bad one ends the runtime's process.

    Raises:
        InputError: it is missing, malformed, or of other tokens.
    """
    path = folder / VOCABULARY
    if not path.is_file():
        raise InputError(f"{path}: missing, and phrases need it; export the model again")
    try:
        rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        pieces = [piece for piece, score in rows if math.isfinite(float(score))]
    except ValueError:  # not UTF-8, more or less than two columns, or no number
        raise InputError(f"{path}: is damaged; expected `piece<TAB>score` a line") from None
    if tuple(pieces) != tokens.symbols:
        raise InputError(f"{path}: its pieces are not those of tokens.txt; export the model again")
    return path
