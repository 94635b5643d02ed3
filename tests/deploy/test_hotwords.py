"""Phrases as the runtime wants them, and pieces as SentencePiece scores them."""

from pathlib import Path

import pytest

from foldformer.data.tokens import Tokens, TokensSpec
from foldformer.deploy.hotwords import Hotwords, read_hotwords
from foldformer.deploy.pieces import find_vocabulary, piece_scores, write_vocabulary
from foldformer.errors import InputError

TEXTS = ["the cat sat on the mat", "the dog ate the cat", "a dog and a cat sat"] * 5


@pytest.fixture
def pieces(tmp_path: Path) -> Tokens:
    tokens = TokensSpec(kind="sentencepiece", vocab_size=18).build(TEXTS)
    tokens.save(tmp_path)
    return tokens


def test_scores_are_those_of_sentencepiece(pieces: Tokens, tmp_path: Path) -> None:
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokens.model"))
    found = piece_scores(tmp_path / "tokens.model", pieces)
    assert list(found) == list(pieces.symbols)
    for index, score in enumerate(found.values()):
        # The blank and the unknown symbol have no score, and are 0 there.
        assert score == pytest.approx(processor.get_score(index))
    assert len(set(found.values())) > 5


def test_a_damaged_model(pieces: Tokens, tmp_path: Path) -> None:
    path = tmp_path / "tokens.model"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"tokens\.model: is not a SentencePiece model"):
        piece_scores(path, pieces)


@pytest.mark.parametrize("phrase", ["ab :.5", "ab:2.5", "ab :1e3", "ab :+2"])
def test_a_score_that_is_written_otherwise(phrase: str, tmp_path: Path) -> None:
    tokens = Tokens(["<blk>", "<unk>", "▁", "a", "b"])
    with pytest.raises(InputError, match=r"a score of its own is written `phrase :2.5`"):
        Hotwords((phrase,)).write(tmp_path, tokens)


@pytest.mark.parametrize("phrase", ["ab :b", ": ab", "ab :a :2.5"])
def test_a_word_that_begins_like_a_score(phrase: str, tmp_path: Path) -> None:
    tokens = Tokens(["<blk>", "<unk>", "▁", "a", "b", ":"])
    with pytest.raises(InputError, match="a word that begins with a colon for a score; leave it"):
        Hotwords((phrase,)).write(tmp_path, tokens)


@pytest.mark.parametrize("letters", ["ab", "ab:.0123456789"])
@pytest.mark.parametrize("phrase", [f"ab :{39 * '9'}", f"ab :0.{50 * '0'}1"])
def test_a_score_that_no_float_holds(phrase: str, letters: str, tmp_path: Path) -> None:
    """Whatever the model can write: the runtime takes it for a score."""
    tokens = Tokens(["<blk>", "<unk>", "▁", *letters])
    with pytest.raises(InputError, match=r"with one to six digits on both sides of a point"):
        Hotwords((phrase,)).write(tmp_path, tokens)


def test_what_is_written(tmp_path: Path) -> None:
    tokens = Tokens(["<blk>", "<unk>", "▁", "a", "b", "é"])
    phrases = Hotwords(("ABÉ  ba", "bb :2.5")).write(tmp_path, tokens)
    assert phrases.read_text(encoding="utf-8") == "abé ba\nbb :2.5\n"
    write_vocabulary(tmp_path, tokens)
    lines = find_vocabulary(tmp_path, tokens).read_text(encoding="utf-8").splitlines()
    assert lines[3:] == ["a\t0.0", "b\t0.0", "é\t0.0"]


def test_a_vocabulary_has_the_scores_of_sentencepiece(pieces: Tokens, tmp_path: Path) -> None:
    write_vocabulary(tmp_path, pieces)
    rows = [line.split("\t") for line in (tmp_path / "bpe.vocab").read_text().splitlines()]
    scores = piece_scores(tmp_path / "tokens.model", pieces)
    assert {piece: float(score) for piece, score in rows} == scores


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"bpe\.vocab: missing, and phrases need it"),
        (b"", "its pieces are not those of tokens.txt"),
        (b"<blk>\t0\n<unk>\t0\na\t0\n", "its pieces are not those of tokens.txt"),
        (b"<blk> 0\n", "is damaged; expected `piece<TAB>score` a line"),
        (b"<blk>\t0\n<unk>\tx\n", "is damaged"),
        (b"\xff\t0\n", "is damaged"),
    ],
)
def test_a_bad_vocabulary(content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "bpe.vocab").write_bytes(content)
    with pytest.raises(InputError, match=message):
        find_vocabulary(tmp_path, Tokens(["<blk>", "<unk>", "b"]))


@pytest.mark.parametrize(
    ("phrases", "message"),
    [
        ((), "there are none"),
        (("ab", "abc"), "'abc': the model cannot write 'c'; leave it out"),
        (("  ",), "holds no word"),
    ],
)
def test_what_cannot_be_heard(phrases: tuple[str, ...], message: str, tmp_path: Path) -> None:
    tokens = Tokens(["<blk>", "<unk>", "▁", "a", "b"])
    with pytest.raises(InputError, match=message):
        Hotwords(phrases).write(tmp_path, tokens)


@pytest.mark.parametrize(("content", "message"), [(b"\n \n", "is empty"), (b"\xff", "not UTF-8")])
def test_a_bad_file(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "hot.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_hotwords(path, 1.5)
    path.write_text("via garibaldi\n\ncorso italia :2\n")
    assert read_hotwords(path, 3.0) == Hotwords(("via garibaldi", "corso italia :2"), 3.0)
