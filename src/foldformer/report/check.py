"""What a check of a training found, as text, 80 columns wide."""

import textwrap

from foldformer.data.check import CheckedManifest, LanguageContent
from foldformer.data.selection import shown
from foldformer.train.check import Checked
from foldformer.train.memory import Memory

_WIDTH = 80
_MOST = 20
"""Errors that are written out."""


def check_report(found: Checked) -> str:
    """The lines that `foldformer train CONFIG --check` prints."""
    lines: list[str] = []
    for title, manifests in (("training", found.train), ("validation", found.valid)):
        for manifest in manifests:
            lines += [*_contents(title, manifest), *_left_out(manifest)]
            if manifest.survey.unknown:
                lines += _wrapped(f"  without a token: {shown(manifest.survey.unknown)}")
            lines.append("")
    if found.tokens is not None:
        lines.append(f"tokens: {found.tokens.vocab_size} {found.tokens.kind}")
    if found.memory is not None:
        lines += [f"batches in an epoch: {found.batches}", *_memory(found, found.memory)]
    errors = found.all_errors
    for error in errors[:_MOST]:
        lines += _wrapped(f"error: {error}", "  ")
    if len(errors) > _MOST:
        lines.append(f"and {len(errors) - _MOST} errors more")
    number = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
    lines.append(f"{number}: training cannot start" if errors else "training can start")
    return "\n".join(lines)


def _contents(title: str, manifest: CheckedManifest) -> list[str]:
    lines = [
        f"{title}: {manifest.survey.path}",
        f"  {'':16}{'utterances':>12}{'hours':>9}{'seconds: least':>16}{'median':>8}{'most':>8}"
        f"{'tokens/s':>9}",
    ]
    for language, content in sorted(manifest.languages.items()):
        lines.append(_row(language or "no language", content))
    if len(manifest.languages) > 1:
        lines.append(_row("all", _together(manifest)))
    total = sum(manifest.rates.values())
    shares = (
        f"{rate} Hz {seconds / total:.1%}" for rate, seconds in sorted(manifest.rates.items())
    )
    return [*lines, f"  sampling rates: {', '.join(shares) or 'none'}"]


def _row(name: str, content: LanguageContent) -> str:
    seconds = sorted(content.seconds)
    return (
        f"  {name[:16]:16}{len(seconds):12}{sum(seconds) / 3600:9.2f}{seconds[0]:16.2f}"
        f"{seconds[len(seconds) // 2]:8.2f}{seconds[-1]:8.2f}"
        f"{content.num_tokens / sum(seconds):9.1f}"
    )


def _together(manifest: CheckedManifest) -> LanguageContent:
    contents = manifest.languages.values()
    return LanguageContent(
        [seconds for content in contents for seconds in content.seconds],
        sum(content.num_tokens for content in contents),
    )


def _left_out(manifest: CheckedManifest) -> list[str]:
    """Why utterances are left out, how many, their share of the hours, the first of them."""
    survey = manifest.survey
    if not survey.left_out:
        return []
    lines = [f"  left out of {len(survey.used)}, and their share of the hours:"]
    for reason, left in survey.left_out.items():
        share = left.seconds / manifest.total_seconds if manifest.total_seconds else 0.0
        lines += _wrapped(f"{len(left.ids):8} {share:7.2%}  each {reason}: {left.named}", 20)
    return lines


def _memory(found: Checked, memory: Memory) -> list[str]:
    shape = memory.largest
    rows = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "optimiser": memory.optimiser,
        "moving average": memory.average,
        "exact weights": memory.exact,
        "gradients that are sent": memory.buffers,
        "shares put together": memory.gathered,
        "teacher": memory.teacher,
        f"activations ({shape.batch} x {shape.frames / 100:.1f} s)": memory.activations,
        "features kept": memory.cache,
        "together": memory.total,
        f"{found.sharing} processes": memory.total * (found.sharing if found.sharing > 1 else 0),
        "the machine has": found.available,
    }
    each = f"of each process of {found.processes} " if found.processes > 1 else ""
    lines = [f"memory {each}in MiB, beside that of Python and its libraries:"]
    return lines + [f"  {name:32}{size / 2**20:10.1f}" for name, size in rows.items() if size]


def _wrapped(text: str, indent: str | int = 4) -> list[str]:
    later = indent if isinstance(indent, str) else " " * indent
    return textwrap.wrap(
        text, _WIDTH, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )
