"""Manifests looked through to the last sample: what is in them, and what is wrong with them."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress, islice

from lhotse.cut import Cut

from foldformer.data.batches import manifests_of, unheard
from foldformer.data.cuts import check_cut, language_of, read_cuts, samples_of, text_of
from foldformer.data.selection import Selection, Survey
from foldformer.data.tokens import Tokens
from foldformer.errors import InputError


@dataclass
class LanguageContent:
    """The utterances of one language that are used."""

    seconds: list[float] = field(default_factory=list)
    """Of each utterance."""
    num_tokens: int = 0


@dataclass
class CheckedManifest:
    """What is in a manifest, and what is wrong with it."""

    survey: Survey
    """Which utterances are used, and why the others are not."""
    total_seconds: float = 0.0
    """Of all utterances."""
    errors: list[str] = field(default_factory=list)
    """What keeps a training from beginning, or would stop it."""
    languages: dict[str, LanguageContent] = field(default_factory=dict)
    rates: Counter[int] = field(default_factory=Counter)
    """Seconds that are used at each sampling rate."""


class Evaluation:
    """What validation uses: nearly everything; in the place of a `Selection`."""

    def __init__(self, tokens: Tokens, text: str, longest: float) -> None:
        self.tokens = tokens
        self.text = text
        self.longest = longest

    def survey(self, path: str) -> Survey:
        """See `Selection.survey`."""
        return Survey(path, remedy="raise max_duration")

    def judge(self, cut: Cut, found: Survey) -> None:
        """See `Selection.judge`."""
        reason = unheard(cut, self.longest)
        if not reason:
            check_cut(cut, self.text)
            found.unknown += self.tokens.count_unknown([text_of(cut, self.text)])
        found.add(cut, reason)


def texts_in(patterns: str | Sequence[str], text: str) -> Iterator[str]:
    """The texts of all cuts that have one; what is wrong with the others is found elsewhere."""
    for path in manifests_of(patterns):
        try:
            for cut in read_cuts(path):
                try:
                    yield text_of(cut, text)
                except InputError:
                    continue
        except InputError:
            continue


def check_manifest(path: str, choice: Selection | Evaluation) -> CheckedManifest:
    """Look at every cut of a manifest, without its audio."""
    found = CheckedManifest(choice.survey(path))
    try:
        for cut in read_cuts(path):
            _add(found, cut, choice)
    except InputError as error:
        found.errors.append(str(error))
    if not found.errors and found.survey.problem:
        found.errors.append(found.survey.problem)
    return found


def _add(found: CheckedManifest, cut: Cut, choice: Selection | Evaluation) -> None:
    found.total_seconds += max(cut.duration, 0.0)
    try:
        choice.judge(cut, found.survey)
    except InputError as error:
        found.survey.used.append(False)
        found.errors.append(str(error))
    if not found.survey.used[-1]:
        return
    content = found.languages.setdefault(language_of(cut), LanguageContent())
    content.seconds.append(cut.duration)
    content.num_tokens += len(choice.tokens.encode(text_of(cut, choice.text)))
    found.rates[int(cut.sampling_rate)] += cut.duration


def check_audio(found: CheckedManifest, advance: Callable[[float], object]) -> None:
    """Decode every utterance of a manifest that is used; errors are added to it.

    Args:
        found: the manifest.
        advance: is told the seconds that have been decoded since the last call.
    """
    cuts = compress(read_cuts(found.survey.path), found.survey.used)
    # A manifest that breaks off does so again, which has been noted.
    for cut in islice(cuts, found.survey.num_used):
        try:
            samples_of(cut)
        except InputError as error:
            found.errors.append(str(error))
        advance(cut.duration)
