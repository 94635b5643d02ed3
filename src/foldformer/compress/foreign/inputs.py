"""What to call a model of `transformers` with, from files: sentences, or recordings."""

import hashlib
import json
import logging
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
import torch
from torch import Tensor

from foldformer.compress.foreign.losses import IGNORED, LABELS
from foldformer.compress.stored import OnDemand
from foldformer.data.audio import to_mono_16k
from foldformer.errors import InputError

if TYPE_CHECKING:
    from lhotse.cut import Cut

_WINDOW = 30 * 16000
_MOST_TOKENS = 448

LONGEST = 512
"""Tokens of a sentence, unless asked otherwise."""

log = logging.getLogger(__name__)

T = TypeVar("T")


def sentences(
    path: str | Path, tokenizer: Any, *, batch: int = 16, longest: int = LONGEST
) -> Iterator[dict[str, Tensor]]:
    """Batches of the sentences of a text file, one a line, for BERT-like models.

    Args:
        path: UTF-8; empty lines do not count.
        tokenizer: of the model.
        batch: sentences of each.
        longest: tokens of a sentence at most, and no more than the tokenizer allows.

    Raises:
        InputError: the file cannot be read, or has no line.
    """
    return encoded(lines_of(path), tokenizer, batch=batch, longest=longest)


def lines_of(path: str | Path) -> list[str]:
    """The lines of a text file that are not empty.

    Raises:
        InputError: the file cannot be read, or has no line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: is not text in UTF-8; expected one sentence a line; manifests are for Whisper"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    said = [line for line in lines if line.strip()]
    if not said:
        raise InputError(f"{path}: is empty; expected one sentence a line")
    return said


def encoded(
    said: Sequence[str],
    tokenizer: Any,
    *,
    batch: int = 16,
    longest: int = LONGEST,
    labels: bool = False,
) -> Iterator[dict[str, Tensor]]:
    """Batches of sentences as tokens with their mask, padded; see `sentences`.

    With `labels`, the tokens are what a causal language model is to write, too.
    """
    for start in range(0, len(said), batch):
        found = tokenizer(
            list(said[start : start + batch]),
            padding=True,
            return_tensors="pt",
            **_cut(tokenizer, longest),
        )
        given = dict(found)
        if labels:
            hidden = given["attention_mask"] == 0
            given[LABELS] = given["input_ids"].masked_fill(hidden, IGNORED)
        yield given


def count_tokens(said: Sequence[str], tokenizer: Any, longest: int) -> int:
    """Tokens of sentences, as `encoded` gives them, without padding."""
    return sum(map(len, tokenizer(list(said), **_cut(tokenizer, longest))["input_ids"]))


def _cut(tokenizer: Any, longest: int) -> dict[str, Any]:
    return {"truncation": True, "max_length": min(tokenizer.model_max_length, longest)}


def recordings(
    manifests: str | Path | Sequence[str | Path],
    extractor: Any,
    tokenizer: Any,
    *,
    limit: int | None = None,
    field: str = "text",
) -> Iterator[dict[str, Tensor]]:
    """Windows of 30 s of the recordings of manifests, for Whisper; see `windows_of`.

    Args:
        manifests: one or more; Lhotse cuts with texts.
        extractor: the feature extractor of the model.
        tokenizer: of the model.
        limit: windows at most, in all, from all over the manifests.
        field: of the supervisions, that holds the text.

    Raises:
        InputError: a manifest or a recording cannot be read.
    """
    windows = windows_of([manifests] if isinstance(manifests, str | Path) else manifests)
    if limit is not None:
        windows = evenly_chosen(windows, limit)
    return iter(Windows(windows, extractor, tokenizer, field=field))


def windows_of(manifests: Sequence[str | Path]) -> list[list["Cut"]]:
    """The utterances of each window of 30 s; no recording is read for that.

    By chance, the same each time, a window holds as many utterances as fit, so that little of it is
    silence, or one alone. Whisper is called with both, and a fold that has seen full windows alone
    goes on to write when speech ends early. Utterances of more than 30 s are left out, and counted
    in the log: where in the text a window would end is not known.

    Raises:
        InputError: a manifest cannot be read.
    """
    return [cuts for path in manifests for cuts in _windows(path)]


class Windows(Sequence[dict[str, Tensor]]):
    """A batch of each window, as Whisper is called: heard whenever it is asked for.

    All of them together would take 215 MB for an hour of speech. That texts and recordings are
    there is seen before any is heard.
    """

    def __init__(
        self,
        windows: Sequence[Sequence["Cut"]],
        extractor: Any,
        tokenizer: Any,
        *,
        field: str = "text",
        labels: bool = False,
    ) -> None:
        """Arguments as of `recordings`; the windows are those of `windows_of`.

        With `labels`, the tokens of the text are what it is to write, too, without those that it is
        told before.

        Raises:
            InputError: an utterance has no such text, or its recording does not exist.
        """
        # Lhotse reads recordings, and nothing else here needs it.
        from foldformer.data.cuts import check_cut

        for cuts in windows:
            for cut in cuts:
                check_cut(cut, field)
        self._windows, self._extractor, self._labels = windows, extractor, labels
        self._tokens = [tokens_of(cuts, tokenizer, field) for cuts in windows]
        self._told = max(0, len(tokenizer("").input_ids) - 1)  # the last of them ends a text

    def __len__(self) -> int:
        return len(self._windows)

    @overload
    def __getitem__(self, index: int) -> dict[str, Tensor]: ...

    @overload
    def __getitem__(self, index: slice) -> OnDemand[dict[str, Tensor]]: ...

    def __getitem__(self, index: int | slice) -> dict[str, Tensor] | OnDemand[dict[str, Tensor]]:
        return OnDemand(self._heard, range(len(self)))[index]

    def digest(self) -> str:
        """SHA-256 of which utterances these are, and of their texts: nothing is heard for that."""
        found = hashlib.sha256(f"labels {self._labels}\n".encode())
        for cuts, tokens in zip(self._windows, self._tokens, strict=True):
            said = [[cut.id, cut.start, cut.duration] for cut in cuts]
            found.update(f"{json.dumps(said)} {tokens.tolist()}\n".encode())
        return found.hexdigest()

    def _heard(self, index: int) -> dict[str, Tensor]:
        from foldformer.data.cuts import samples_of

        cuts, tokens = self._windows[index], self._tokens[index]
        samples = np.concatenate([to_mono_16k(samples_of(cut), cut.sampling_rate) for cut in cuts])
        found = self._extractor(samples, sampling_rate=16000, return_tensors="pt")
        # The last, <|endoftext|>, is only ever an output.
        given = {"input_features": found.input_features, "decoder_input_ids": tokens[:, :-1]}
        if self._labels:
            given[LABELS] = tokens[:, 1:].clone()
            given[LABELS][:, : max(0, self._told - 1)] = IGNORED
        return given


def tokens_of(cuts: Sequence["Cut"], tokenizer: Any, field: str) -> Tensor:
    """The text of a window, (1, U + 1): all but the last are what Whisper is given."""
    from foldformer.data.cuts import text_of

    text = " " + " ".join(text_of(cut, field) for cut in cuts)
    return torch.tensor([tokenizer(text).input_ids])[:, : _MOST_TOKENS + 1]


def evenly_chosen(found: Sequence[T], number: int) -> list[T]:
    """So many at most, at equal distances in their order."""
    if len(found) <= number:
        return list(found)
    return [found[index * len(found) // number] for index in range(number)]


def _windows(manifest: str | Path) -> Iterator[list["Cut"]]:
    from foldformer.data.cuts import read_cuts

    held: list[Cut] = []
    samples = long = 0
    chance = random.Random(0)
    full = chance.random() < 0.5
    for cut in read_cuts(manifest):
        length = round(16000 * cut.duration)
        if length > _WINDOW:
            long += 1
            continue
        if held and (not full or samples + length > _WINDOW):
            yield held
            held, samples, full = [], 0, chance.random() < 0.5
        held.append(cut)
        samples += length
    if held:
        yield held
    if long:
        log.warning("%s: %d utterances of more than 30 s are left out", manifest, long)
