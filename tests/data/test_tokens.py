import random
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldformer.data.tokens import TOKEN_FILES, Tokens, TokensSpec, normalise
from foldformer.errors import InputError, SpecError
from foldformer.files import complete_files

TEXTS = [
    "Please enter your number, followed by the hash key.",
    "Введите ваш номер, ёлка и подъезд.",
    "Ça va être naïf: où est l'hôtel?",
    "È già mezzanotte, perché no?",
    "El niño comió piñas; ¿cuántas?",
    "Die Straße über den Fluß.",
    "Το σπίτι μας",  # noqa: RUF001 - Greek that looks like Latin is meant
]
ALPHABET = sorted({c for text in TEXTS for c in normalise(text)})
known_texts = st.text(st.sampled_from(ALPHABET), max_size=40)


@pytest.fixture(scope="module", params=["characters", "unigram", "bpe"])
def tokens(request: pytest.FixtureRequest) -> Tokens:
    if request.param == "characters":
        return TokensSpec().build(TEXTS)
    return TokensSpec(kind="sentencepiece", model=request.param, vocab_size=80).build(TEXTS)


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert once.split() == ([] if once == "" else once.split(" "))


def test_normalising_composes_lowers_and_collapses() -> None:
    assert normalise("  E\u0301te\u0301 \n\t ПРИВЕТ\u3000▁Ok ") == "été привет ok"


@pytest.mark.parametrize("text", TEXTS)
def test_every_training_text_survives(tokens: Tokens, text: str) -> None:
    ids = tokens.encode(text)
    assert min(ids) >= 2
    assert max(ids) < tokens.vocab_size
    assert tokens.decode(ids) == normalise(text)


def test_two_spaces_in_a_row_are_one(tokens: Tokens) -> None:
    space = (
        tokens.encode("a b")[1:-1] if tokens.kind == "characters" else [tokens.symbols.index("▁")]
    )
    ids = [*tokens.encode("el"), *space, *space, *tokens.encode("no"), *space]
    assert tokens.decode(ids) == "el no"


def test_any_text_of_known_characters_survives(tokens: Tokens) -> None:
    @given(known_texts)
    def survives(text: str) -> None:
        assert tokens.decode(tokens.encode(text)) == normalise(text)

    survives()


def test_blank_and_unknown_come_first(tokens: Tokens) -> None:
    assert tokens.symbols[:2] == ("<blk>", "<unk>")
    assert tokens.vocab_size == len(tokens.symbols) == len(set(tokens.symbols))


def test_what_was_never_seen_is_unknown_and_reported(tokens: Tokens) -> None:
    ids = tokens.encode("日 nein")
    assert ids.count(1) == 1
    assert "<unk>" in tokens.decode(ids)
    assert list(tokens.count_unknown(["日本", "日 nein"]).items()) == [("日", 2), ("本", 1)]
    assert not tokens.count_unknown(TEXTS)


def test_blanks_are_left_out_of_text(tokens: Tokens) -> None:
    ids = tokens.encode(TEXTS[0])
    among_blanks = [0, *(j for i in ids for j in (i, 0, 0))]
    assert tokens.decode(among_blanks) == tokens.decode(ids)
    assert tokens.encode("") == tokens.encode("  ") == []
    assert tokens.decode([]) == ""


def test_saved_tokens_are_loaded_again(tokens: Tokens, tmp_path: Path) -> None:
    tokens.save(tmp_path / "model")
    loaded = Tokens.load(tmp_path / "model")
    assert (loaded.symbols, loaded.kind) == (tokens.symbols, tokens.kind)
    for text in [*TEXTS, "日 nein"]:
        assert loaded.encode(text) == tokens.encode(text)


def test_the_table_is_what_the_runtimes_read(tokens: Tokens, tmp_path: Path) -> None:
    tokens.save(tmp_path)
    raw = (tmp_path / "tokens.txt").read_bytes()
    assert raw.endswith(b"\n")
    assert b"\r" not in raw
    rows = [line.split(" ") for line in raw.decode("utf-8").splitlines()]
    assert rows == [[symbol, str(i)] for i, symbol in enumerate(tokens.symbols)]


def test_tokens_without_a_model_replace_tokens_with_one(tmp_path: Path) -> None:
    for spec in (TokensSpec(kind="sentencepiece", vocab_size=80), TokensSpec()):
        with complete_files(tmp_path, TOKEN_FILES) as beside:
            spec.build(TEXTS).save(beside)
    assert Tokens.load(tmp_path).kind == "characters"


@pytest.mark.parametrize("model", ["unigram", "bpe"])
def test_training_twice_gives_the_same_pieces(model: str) -> None:
    spec = TokensSpec(kind="sentencepiece", model=model, vocab_size=80)
    assert spec.build(TEXTS).symbols == spec.build(iter(TEXTS)).symbols
    assert spec.build(TEXTS).vocab_size == 80


def test_only_the_most_frequent_characters_are_kept() -> None:
    tokens = TokensSpec(vocab_size=4).build(["aaa bbb b ccc c c", "zz"])
    assert tokens.symbols == ("<blk>", "<unk>", "▁", "c")
    assert tokens.encode("b c") == [1, 2, 3]


def test_pieces_without_their_model_decode_but_do_not_encode(tmp_path: Path) -> None:
    tokens = TokensSpec(kind="sentencepiece", vocab_size=80).build(TEXTS)
    tokens.save(tmp_path)
    (tmp_path / "tokens.model").unlink()
    loaded = Tokens.load(tmp_path)
    assert loaded.decode(tokens.encode(TEXTS[1])) == normalise(TEXTS[1])
    with pytest.raises(InputError, match=r"tokens\.model is missing"):
        loaded.encode("a")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "no such file"),
        ("", "line 1: expected `symbol id`, got ''"),
        ("<blk> 0\n<unk> 1\na\n", "line 3: expected `symbol id`, got 'a'"),
        ("<blk> 0\n<unk> 1\na b 2\n", "line 3: expected `symbol id`"),
        ("<blk> 0\n<unk> 1\na x\n", "line 3: expected `symbol id`"),
        ("<blk> 0\n<unk> 1\na 3\n", "line 3: expected id 2, got 3"),
        ("a 0\nb 1\n", "expected <blk> with id 0"),
        ("<blk> 0\na 1\n<unk> 2\n", "expected <blk> with id 0 and <unk> with id 1"),
        ("<blk> 0\n<unk> 1\na 2\na 3\n", "'a' has two ids"),
    ],
)
def test_a_bad_table_is_named_with_what_is_wrong(
    tmp_path: Path, table: str | None, message: str
) -> None:
    if table is not None:
        (tmp_path / "tokens.txt").write_text(table)
    with pytest.raises(InputError, match=message) as error:
        Tokens.load(tmp_path)
    assert str(error.value).startswith(str(tmp_path / "tokens.txt"))


def test_a_table_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        Tokens.load(tmp_path)


def test_a_foreign_or_damaged_model_is_refused(tmp_path: Path) -> None:
    TokensSpec(kind="sentencepiece", vocab_size=80).build(TEXTS).save(tmp_path / "a")
    TokensSpec(kind="sentencepiece", vocab_size=81).build(TEXTS).save(tmp_path / "b")
    (tmp_path / "a" / "tokens.model").write_bytes((tmp_path / "b" / "tokens.model").read_bytes())
    with pytest.raises(InputError, match=r"its pieces are not those of tokens\.txt"):
        Tokens.load(tmp_path / "a")
    (tmp_path / "b" / "tokens.model").write_bytes(b"no model")
    with pytest.raises(InputError, match="is not a SentencePiece model"):
        Tokens.load(tmp_path / "b")


def test_a_model_with_a_wrong_byte(tmp_path: Path) -> None:
    """It is refused in one line, or does its work: no other error, wherever the byte is."""
    TokensSpec(kind="sentencepiece", vocab_size=80).build(TEXTS).save(tmp_path)
    path = tmp_path / "tokens.model"
    good, draw, said = path.read_bytes(), random.Random(0), []
    for _ in range(300):
        bad = bytearray(good)
        bad[draw.randrange(len(bad))] ^= 1 + draw.randrange(255)
        path.write_bytes(bad)
        try:
            Tokens.load(tmp_path).encode(TEXTS[0])
        except InputError as error:
            said.append(str(error))
    assert 0 < len(said) < 300
    assert all(line.startswith(f"{path}: ") and "\n" not in line for line in said)


def test_impossible_sizes_are_explained() -> None:
    with pytest.raises(SpecError, match="at least 3"):
        TokensSpec(vocab_size=2)
    with pytest.raises(InputError, match=r"cannot make 5000 tokens .* <= "):
        TokensSpec(kind="sentencepiece", vocab_size=5000).build(TEXTS)
    with pytest.raises(InputError, match="cannot make 10 tokens"):
        TokensSpec(kind="sentencepiece", vocab_size=10).build(TEXTS)
    with pytest.raises(InputError, match="no character"):
        TokensSpec().build(["", "  "])
