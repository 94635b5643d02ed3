"""Text to token ids and back: characters or SentencePiece pieces, written as `tokens.txt`.

`tokens.txt` is the format of the device runtimes: UTF-8, one `symbol id` a line, ids from 0 in
order, no space in a symbol; "▁" stands for a space. Id 0 is the blank, id 1 the unknown symbol.
"""

import io
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from foldformer.errors import InputError, SpecError
from foldformer.spec import Spec

if TYPE_CHECKING:  # a device that only decodes need not have it
    import sentencepiece

BLANK, BLANK_ID = "<blk>", 0
UNKNOWN, UNKNOWN_ID = "<unk>", 1
SPACE = "▁"

_TABLE, _MODEL = "tokens.txt", "tokens.model"

TOKEN_FILES = (_TABLE, _MODEL)
"""What `Tokens.save` writes; a model of earlier tokens would belong to other symbols."""


def normalise(text: str) -> str:
    """Text as models see it: Unicode NFC, lower case, one space between words, none around."""
    folded = unicodedata.normalize("NFC", text).lower()
    return " ".join(unicodedata.normalize("NFC", folded).replace(SPACE, " ").split())


@dataclass(frozen=True, kw_only=True)
class TokensSpec(Spec):
    """What the units of text are, and how many."""

    kind: Literal["characters", "sentencepiece"] = "characters"
    """Single characters, or pieces of words that SentencePiece finds in the training texts."""

    vocab_size: int = 500
    """Number of tokens, blank and unknown included; for characters, the most to keep."""

    model: Literal["unigram", "bpe"] = "unigram"
    """How SentencePiece chooses its pieces; nothing for characters."""

    folder: str | None = None
    """A model folder whose tokens are taken as they are, whatever the texts; the other keys say
    nothing then. For a model that goes on from another one or learns from it."""

    def __post_init__(self) -> None:
        if self.vocab_size < 3:
            raise SpecError(
                f"vocab_size: {self.vocab_size}; at least 3 are needed: blank, unknown, one more"
            )

    def build(self, texts: Iterable[str]) -> "Tokens":
        """The tokens of these training texts; the same texts give the same tokens.

        Raises:
            InputError: the texts hold no character, or too few for `vocab_size` pieces; or the
                tokens of `folder` cannot be read.
        """
        if self.folder is not None:
            return Tokens.load(Path(self.folder))
        lines = [line for line in map(normalise, texts) if line]
        if not lines:
            raise InputError("the training texts hold no character; no tokens can be made")
        if self.kind == "characters":
            return Tokens(_frequent_characters(lines, self.vocab_size - 2))
        return _train_sentencepiece(lines, self)


def _frequent_characters(lines: Sequence[str], most: int) -> list[str]:
    counts = Counter(character for line in lines for character in line)
    kept = sorted(counts, key=lambda character: (-counts[character], character))[:most]
    return [BLANK, UNKNOWN, *(SPACE if c == " " else c for c in sorted(kept))]


def _train_sentencepiece(lines: Sequence[str], spec: TokensSpec) -> "Tokens":
    import sentencepiece

    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=written,
            model_type=spec.model,
            vocab_size=spec.vocab_size,
            character_coverage=1.0,
            normalization_rule_name="identity",  # `normalise` has done it
            pad_id=BLANK_ID,
            pad_piece=BLANK,
            unk_id=UNKNOWN_ID,
            unk_piece=UNKNOWN,
            bos_id=-1,
            eos_id=-1,
            num_threads=1,  # the order of sums, and so the pieces, would depend on it
            max_sentence_length=2**20,  # bytes; longer texts would be skipped in silence
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = str(error).split("] ")[-1].strip()
        raise InputError(
            f"SentencePiece cannot make {spec.vocab_size} tokens of these {len(lines)} texts "
            f"({reason or error}); choose another vocab_size"
        ) from None
    model = written.getvalue()
    return Tokens(_pieces(model), model)


def _processor(model: bytes) -> "sentencepiece.SentencePieceProcessor":
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_proto=model)


def _pieces(model: bytes) -> list[str]:
    processor = _processor(model)
    return [processor.id_to_piece(i) for i in range(processor.get_piece_size())]


class Tokens:
    """The symbols of a model, and text to and from their ids.

    Args:
        symbols: one for each id; the blank at 0, the unknown symbol at 1.
        model: the bytes of the SentencePiece model that cuts text into these symbols; None means
            that every character is a symbol.
    """

    def __init__(self, symbols: Sequence[str], model: bytes | None = None) -> None:
        _check_symbols(symbols)
        self.symbols = tuple(symbols)
        self._ids = {symbol: i for i, symbol in enumerate(symbols)}
        self._model = model
        self._processor = _processor(model) if model is not None else None

    @property
    def kind(self) -> Literal["characters", "sentencepiece"]:
        """How text is cut into symbols."""
        return "characters" if self._processor is None else "sentencepiece"

    @property
    def vocab_size(self) -> int:
        """Number of ids, blank and unknown included."""
        return len(self.symbols)

    def encode(self, text: str) -> list[int]:
        """The ids of `normalise(text)`; what no symbol stands for becomes `UNKNOWN_ID`.

        Raises:
            InputError: the symbols are pieces of words, and their SentencePiece model is missing.
        """
        text = normalise(text)
        if self._processor is not None:
            ids: list[int] = self._processor.encode(text)
            return ids
        if any(len(symbol) > 1 for symbol in self.symbols[2:]):
            raise InputError(
                f"these tokens are pieces of words, and {_MODEL} is missing, so text cannot be cut "
                f"into them; put it beside {_TABLE}"
            )
        return [self._ids.get(symbol, UNKNOWN_ID) for symbol in text.replace(" ", SPACE)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids: symbols joined, blanks left out, "▁" as the space between two words.

        Several "▁" are one space: CTC writes two where a blank lies between them. An unknown
        symbol is written as `<unk>`, so that it cannot pass for correct text.
        """
        joined = "".join(self.symbols[i] for i in ids if i != BLANK_ID)
        return " ".join(word for word in joined.split(SPACE) if word)

    def count_unknown(self, texts: Iterable[str]) -> Counter[str]:
        """How often each character that has no symbol occurs in the texts, most frequent first."""
        characters = Counter(c for text in texts for c in normalise(text) if c != " ")
        known = {c for symbol in self.symbols[2:] for c in symbol}
        unknown = {c: n for c, n in characters.items() if c not in known}
        return Counter(dict(sorted(unknown.items(), key=lambda item: (-item[1], item[0]))))

    def save(self, folder: Path) -> None:
        """Write `tokens.txt`, and `tokens.model` beside it where there is one."""
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{symbol} {i}\n" for i, symbol in enumerate(self.symbols)]
        (folder / _TABLE).write_text("".join(lines), encoding="utf-8", newline="\n")
        if self._model is not None:
            (folder / _MODEL).write_bytes(self._model)

    @classmethod
    def load(cls, folder: Path) -> "Tokens":
        """Read what `save` wrote.

        Raises:
            InputError: `tokens.txt` is missing or malformed, its ids are not 0, 1, 2, ..., it does
                not begin with the blank and the unknown symbol, or `tokens.model` is damaged or
                has other pieces.
        """
        written = cls.load_symbols(folder)
        if not (folder / _MODEL).exists():
            return written
        model = (folder / _MODEL).read_bytes()
        try:
            pieces = _pieces(model)
        except (RuntimeError, UnicodeDecodeError):
            raise InputError(f"{folder / _MODEL}: is not a SentencePiece model") from None
        if tuple(pieces) != written.symbols:
            raise InputError(
                f"{folder / _MODEL}: its pieces are not those of {_TABLE}; "
                f"take both files from the same folder"
            )
        return cls(pieces, model)

    @classmethod
    def load_symbols(cls, folder: Path) -> "Tokens":
        """Read `tokens.txt` alone, which is enough to write text, and needs no SentencePiece.

        Raises:
            InputError: as for `load`.
        """
        table = folder / _TABLE
        symbols = _read_table(table)
        try:
            return cls(symbols)
        except InputError as error:
            raise InputError(f"{table}: {error}") from None


def _check_symbols(symbols: Sequence[str]) -> None:
    if list(symbols[:2]) != [BLANK, UNKNOWN]:
        raise InputError(
            f"the first symbols are {list(symbols[:2])}; expected {BLANK} with id {BLANK_ID} and "
            f"{UNKNOWN} with id {UNKNOWN_ID}: these tokens were made for another kind of model"
        )
    twice = [symbol for symbol, n in Counter(symbols).items() if n > 1]
    if twice:
        raise InputError(f"the symbol {twice[0]!r} has two ids; expected every symbol once")
    for i, symbol in enumerate(symbols):
        if not symbol or symbol.split() != [symbol]:
            raise InputError(f"the symbol {symbol!r} of id {i} is empty or holds a space")


def _read_table(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected one `symbol id` a line") from None
    except (UnicodeDecodeError, IsADirectoryError):
        raise InputError(f"{path}: is not a text file in UTF-8") from None
    symbols: list[str] = []
    for number, line in enumerate(text.rstrip("\n").split("\n"), start=1):
        parts = line.split()
        if len(parts) != 2 or not parts[1].isdecimal():
            raise InputError(f"{path}, line {number}: expected `symbol id`, got {line!r}")
        if int(parts[1]) != len(symbols):
            raise InputError(
                f"{path}, line {number}: expected id {len(symbols)}, got {parts[1]}; "
                f"ids must be consecutive from 0"
            )
        symbols.append(parts[0])
    return symbols
