"""From recordings to text: a model, its tokens, and a search."""

import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from foldformer.checkpoint import (
    CONFIG,
    WEIGHTS,
    ModelConfig,
    complete_files,
    load_model,
    save_model,
)
from foldformer.data.audio import SAMPLING_RATE, Samples, convert, load_audio, to_mono_16k
from foldformer.data.durations import ENCODER_FRAME_MS
from foldformer.data.features import PADDING, fbank
from foldformer.data.last_chunk import chunks_of, encoder_frames_of, silence_after
from foldformer.data.pieces import LONGEST, Piece, pieces
from foldformer.data.tokens import TOKEN_FILES, Tokens
from foldformer.decode.choose import choose_search
from foldformer.decode.search import Hypothesis, Search, until
from foldformer.decode.stream import Stream
from foldformer.decode.transcript import Segment, Transcript, later
from foldformer.errors import InputError, MissingExtraError, SpecError
from foldformer.model import Model
from foldformer.nn.subsampling import FACTOR

CARD = "README.md"

Audio = str | Path | BinaryIO | NDArray[np.float32] | NDArray[np.float64] | NDArray[np.int16]


class Recognizer:
    """Recognises, or translates, recordings and streams.

    >>> recognizer = foldformer.load("runs/shared")        # doctest: +SKIP
    >>> recognizer.transcribe("hello.wav").text            # doctest: +SKIP
    """

    def __init__(
        self,
        model: Model,
        tokens: Tokens,
        config: ModelConfig,
        head: str | None = None,
        beam: int = 1,
        num_best: int = 1,
        card: str | None = None,
    ) -> None:
        """Bring together what a model folder holds.

        Args:
            model: in evaluation mode.
            tokens: what its outputs mean.
            config: what it was trained for.
            head: the kind of head to decode; the first of the model unless given.
            beam: hypotheses kept by the search; 1 is greedy.
            num_best: of them, those that `alternatives` returns at most.
            card: the model card in Markdown, which is saved with the model.

        Raises:
            SpecError: there is no such head, or `beam` is less than 1 or than `num_best`.
        """
        if not 1 <= num_best <= max(beam, 1):
            raise SpecError(f"num_best: expected 1 to {beam}, which is the beam, got {num_best}")
        self.card = card
        self.model = model
        self.tokens = tokens
        self.config = config
        self.search: Search[Any] = choose_search(model, head, beam)
        self._num_best = num_best

    @classmethod
    def load(
        cls, folder: str | Path, head: str | None = None, beam: int = 1, num_best: int = 1
    ) -> "Recognizer":
        """The recogniser in a model folder; `head`, `beam` and `num_best` as for `__init__`.

        Raises:
            InputError: the folder is incomplete or damaged.
            SpecError: it has no such head, or the beam is smaller than `num_best`.
        """
        folder = Path(folder)
        model, config = load_model(folder)
        tokens = Tokens.load(folder)
        if tokens.vocab_size != model.spec.vocab_size:
            raise InputError(
                f"{folder / 'tokens.txt'}: has {tokens.vocab_size} tokens, but the model was "
                f"trained with {model.spec.vocab_size}; it belongs to another model"
            )
        readme = folder / CARD
        # A card that somebody wrote in another encoding is no reason to refuse a model.
        card = readme.read_text("utf-8", "surrogateescape") if readme.is_file() else None
        return cls(model, tokens, config, head, beam, num_best, card)

    def save(self, folder: str | Path) -> None:
        """Write the model folder: configuration, weights, tokens, and the card if there is one.

        Raises:
            InputError: the place cannot be written, or holds what is no saved model and would be
                replaced.
        """
        _check_place(Path(folder), with_card=self.card is not None)
        with complete_files(Path(folder), TOKEN_FILES) as beside:
            save_model(beside, self.model, self.config)
            self.tokens.save(beside)
            if self.card is not None:
                (beside / CARD).write_text(self.card, "utf-8", "surrogateescape")

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        head: str | None = None,
        beam: int = 1,
        num_best: int = 1,
        **options: Any,
    ) -> "Recognizer":
        """The recogniser in a model folder or, if there is none of that name, on the hub.

        Args:
            name: a folder, or a repository on the Hugging Face hub: `user/model`.
            head: this and the next two as for `__init__`.
            beam: see there.
            num_best: see there.
            options: of `huggingface_hub.ModelHubMixin.from_pretrained`, such as `revision`,
                `token`, `cache_dir` and `local_files_only`.

        Raises:
            InputError: as for `load`, or no such repository can be had.
            MissingExtraError: huggingface_hub is not installed.
        """
        if Path(name).is_dir():
            return cls.load(name, head, beam, num_best)
        chosen = {"head": head, "beam": beam, "num_best": num_best}
        found: Recognizer = _hub().from_hub(str(name), **chosen, **options)
        return found

    def save_pretrained(self, folder: str | Path, **options: Any) -> None:
        """`save`, through the hub's mixin: with `push_to_hub=True` and `repo_id` also uploaded.

        Raises:
            MissingExtraError: huggingface_hub is not installed.
        """
        _hub().HubModel(self).save_pretrained(folder, **options)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload the model folder into a repository on the Hugging Face hub; returns its address.

        Args:
            repo_id: `user/model`; made if it does not exist.
            options: of `huggingface_hub.ModelHubMixin.push_to_hub`, such as `private` and `token`.

        Raises:
            MissingExtraError: huggingface_hub is not installed.
        """
        address: str = _hub().HubModel(self).push_to_hub(repo_id, **options)
        return address

    def transcribe(
        self, audio: Audio, sampling_rate: int | None = None, chunk: int | None = None
    ) -> Transcript:
        """Write down one recording: the best of `alternatives`, with the same arguments."""
        return self.alternatives(audio, sampling_rate, chunk)[0]

    def alternatives(
        self, audio: Audio, sampling_rate: int | None = None, chunk: int | None = None
    ) -> list[Transcript]:
        """What one recording may say, best first: `num_best` transcripts at most, no text twice.

        Args:
            audio: a path or file object of any format that libsndfile reads, or samples: (N,) or
                (N, channels), floats in [-1, 1] or integers of full scale.
            sampling_rate: of samples, in Hz; a file knows its own.
            chunk: encoder frames (40 ms) to encode at a time, as a stream would, the last chunk
                completed with silence; None hears the whole recording before it writes.

        Raises:
            InputError: the recording is missing, damaged, empty or too short.
            SpecError: `chunk` is less than 1.
        """
        if not isinstance(audio, np.ndarray):
            if isinstance(audio, (str, os.PathLike)) or hasattr(audio, "read"):
                return self._heard(load_audio(audio), chunk)
            raise InputError(
                "audio: expected a path, an open file or samples in a NumPy array, got "
                f"{type(audio).__name__}; a tensor's .numpy() is one"
            )
        if sampling_rate is None:
            raise InputError("sampling_rate: missing; samples do not know their own")
        return self._heard(to_mono_16k(audio, sampling_rate), chunk)

    def segments(
        self, audio: str | Path | BinaryIO, chunk: int | None = None, longest: float = LONGEST
    ) -> Iterator[Segment]:
        """Write down a recording of any length, part after part, in constant memory.

        A recording of `longest` seconds at most is one segment, which is what `alternatives` hears.
        A longer one is cut where it is quietest (`foldformer.data.pieces`), and each segment is
        heard for itself.

        Args:
            audio: a path or file object of any format that libsndfile reads.
            chunk: see `alternatives`.
            longest: seconds of a segment, 1 or more.

        Raises:
            InputError: the recording is missing, damaged, empty or too short. Damage is found when
                it is reached.
        """
        for piece in pieces(audio, longest):
            yield self.segment(piece, chunk)

    def segment(self, piece: Piece, chunk: int | None = None) -> Segment:
        """What is heard in a piece of a recording, with times from the recording's start.

        Raises:
            InputError: its samples are too few, or no finite numbers.
        """
        samples = convert(piece.samples, piece.sampling_rate, SAMPLING_RATE, piece.name)
        found = tuple(later(each, piece.start) for each in self._heard(samples, chunk))
        return Segment(round(piece.start, 3), round(piece.end, 3), found)

    def hear(
        self, recordings: Sequence[Samples], chunk: int | None = None
    ) -> list[list[Hypothesis]]:
        """The hypotheses of each recording, best first: those that `alternatives` puts in words.

        Args:
            recordings: samples (N,) at 16 kHz; they are one batch.
            chunk: see `alternatives`.
        """
        if chunk is not None and chunk < 1:
            raise SpecError(f"chunk: expected 1 encoder frame (40 ms) or more, got {chunk}")
        features = [_features(samples, chunk) for samples in recordings]
        lengths = torch.tensor([len(frames) for frames in features])
        padded = pad_sequence(features, batch_first=True, padding_value=PADDING)
        found = self.decode(padded, lengths, chunk)
        if chunk is None:
            return found
        ends = [encoder_frames_of(len(samples)) for samples in recordings]
        return [
            [until(hypothesis, end) for hypothesis in each]
            for each, end in zip(found, ends, strict=True)
        ]

    def _heard(self, samples: Samples, chunk: int | None) -> list[Transcript]:
        found: dict[str, Transcript] = {}
        for hypothesis in self.hear([samples], chunk)[0]:
            transcript = self.transcript(hypothesis)
            found.setdefault(transcript.text, transcript)
            if len(found) == self._num_best:
                break
        return list(found.values())

    def stream(self, chunk: int = 8, left_context: int | None = None) -> Stream[Transcript]:
        """A stream that hears `chunk` encoder frames (40 ms) at a time, 320 ms by default."""
        return Stream[Transcript](self.model, self.search, self.transcript, chunk, left_context)

    @torch.inference_mode()
    def decode(
        self, features: Tensor, lengths: Tensor, chunk: int | None = None
    ) -> list[list[Hypothesis]]:
        """The hypotheses of each utterance, best first. Features (B, T, F), lengths (B,)."""
        return decode_batch(self.model, self.search, features, lengths, chunk)

    def transcript(self, hypothesis: Hypothesis) -> Transcript:
        """A hypothesis in words and seconds."""
        return Transcript(
            text=self.tokens.decode(hypothesis.tokens),
            tokens=tuple(self.tokens.symbols[token] for token in hypothesis.tokens),
            times=tuple(round(f * ENCODER_FRAME_MS / 1000, 3) for f in hypothesis.frames),
            scores=tuple(round(score, 4) for score in hypothesis.log_probs),
            score=hypothesis.score,
        )


_TRAINING = "training"  # what a training keeps beside its model, in a folder of its own


def _check_place(folder: Path, *, with_card: bool) -> None:
    """Refuse to write a model among other files, or over the model of a training.

    Raises:
        InputError: that would be so.
    """
    there = [name for name in (CONFIG, WEIGHTS) if (folder / name).is_file()]
    if (folder / _TRAINING).is_dir():
        raise InputError(
            f"{folder}: holds a training, whose model is not written over; name another"
        )
    if len(there) < 2 and (there or (with_card and (folder / CARD).exists())):
        raise InputError(
            f"{folder / (there or [CARD])[0]}: would be replaced, and belongs to no saved model; "
            "name another folder"
        )


def _hub() -> ModuleType:
    """The module that needs huggingface_hub, which takes long to import."""
    try:
        return import_module("foldformer.decode.hub")
    except ModuleNotFoundError as error:
        if error.name != "huggingface_hub":
            raise
        raise MissingExtraError("huggingface_hub", "hub") from None


def _features(samples: Samples, chunk: int | None) -> Tensor:
    """Features (T, F) of samples (N,) at 16 kHz; for a stream those of whole chunks."""
    if chunk is None:
        return torch.from_numpy(fbank(samples))
    filled = np.pad(samples, (0, silence_after(len(samples), chunk)))
    return torch.from_numpy(fbank(filled)[: FACTOR * chunk * chunks_of(len(samples), chunk)])


def decode_batch(
    model: Model, search: Search[Any], features: Tensor, lengths: Tensor, chunk: int | None
) -> list[list[Hypothesis]]:
    """Encode a batch and search each utterance; best hypotheses first."""
    return search.decode(*model.encoder(features, lengths, chunk))
