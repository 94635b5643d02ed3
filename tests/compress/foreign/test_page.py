"""What docs/how-to/compress-any-model.md shows of an encoder of text, on a tiny one."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertModel, PreTrainedTokenizerFast

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "compress-any-model.md"
WORDS = ["[PAD]", "[UNK]", "the", "cat", "dog", "sat", "ran", "on", "a", "mat", "far"]


def test_the_page_runs(
    tiny: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny("bert").save_pretrained("my-encoder")
    plain = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    plain.pre_tokenizer = Whitespace()
    made = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="[PAD]", unk_token="[UNK]")
    made.save_pretrained("my-encoder")
    said = "the cat sat on a mat\nthe dog ran far\n\na dog sat on the cat\nthe mat ran\n"
    Path("sentences.txt").write_text(said * 2)
    text = PAGE.read_text(encoding="utf-8")
    text = text.partition("## Whisper")[0] + text.partition("## Learn from the original")[2]
    found = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(found) == 4
    names: dict[str, Any] = {}
    for block in found:
        exec(compile(block, PAGE.name, "exec"), names)
    assert isinstance(names["model"], BertModel)
    assert Path("recovery/recovery.pt").is_file()
    assert {"tokenizer.json", "foldformer.yaml"} <= {path.name for path in Path("folded").iterdir()}
