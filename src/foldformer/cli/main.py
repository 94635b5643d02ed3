"""`foldformer VERB ...`: finds the verb's file here, runs it, turns errors into one line."""

import argparse
import importlib
import pkgutil
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

from foldformer import cli
from foldformer.cli._logs import complain, say, show_logs
from foldformer.cli._process import abandon_stdout, ended_in_order, open_streams, reason_of
from foldformer.errors import FoldformerError, MissingExtraError, Stopped

# Top-level module of an optional dependency -> (package to name, extra that brings it).
_EXTRAS = {
    "torch": ("torch", "torch"),
    "safetensors": ("safetensors", "torch"),
    "sentencepiece": ("sentencepiece", "torch"),
    "tqdm": ("tqdm", "torch"),
    "transformers": ("transformers", "transformers"),
    "lightning": ("lightning", "train"),
    "lhotse": ("lhotse", "train"),
    "scipy": ("scipy", "train"),
    "kaldialign": ("kaldialign", "train"),
    "sacrebleu": ("sacrebleu", "train"),
    "jinja2": ("jinja2", "train"),
    "markupsafe": ("markupsafe", "train"),
    "onnx": ("onnx", "export"),
    "onnx_ir": ("onnx-ir", "export"),
    "onnxscript": ("onnxscript", "export"),
    "onnxruntime": ("onnxruntime", "export"),
    "sherpa_onnx": ("sherpa-onnx", "device"),
    "sounddevice": ("sounddevice", "device"),
}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, like all errors of the command, and not the usage before."""

    def error(self, message: str) -> NoReturn:
        """See argparse."""
        complain(f"{message}; see {self.prog} --help")
        raise SystemExit(2)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command: one subparser for each file of `foldformer.cli`."""
    parser = _Parser(
        prog="foldformer",
        description="Speech Transformers that fit always-on devices.",
    )
    parser.add_argument(
        "--version", action="version", version=f"foldformer {version('foldformer')}"
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks and debug messages")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for info in pkgutil.iter_modules(cli.__path__):
        if info.name == "main" or info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{cli.__name__}.{info.name}")
        summary = (module.__doc__ or "").strip().splitlines()[0]
        verb = verbs.add_parser(info.name, help=summary, description=summary, allow_abbrev=False)
        # A verb that needs more than the package missing first names the extra that brings all.
        extra = getattr(module, "EXTRA", None)
        verb.set_defaults(run=module.run, takes_settings=False, extra=extra)
        verb.add_argument(
            "--debug",
            action="store_true",
            default=argparse.SUPPRESS,
            help="show tracebacks and debug messages",
        )
        module.add_arguments(verb)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, or 2 for what the user can mend."""
    open_streams()
    try:
        with ended_in_order():
            return _run(argv)
    except Stopped as stop:
        say(f"foldformer: {stop}")
        return 128 + stop.number
    except KeyboardInterrupt:
        say("foldformer: interrupted")
        return 128 + signal.SIGINT


def _settings_last(words: Sequence[str]) -> list[str]:
    """The words with `--key.key VALUE` behind the rest; the order among each is kept.

    argparse does not know these keys, and would take VALUE for an argument of the verb.
    """
    first: list[str] = []
    last: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        key, equals, _ = word.partition("=")
        if not (word.startswith("--") and "." in key):
            first.append(word)
            continue
        last.append(word)
        if not equals and rest:
            last.append(rest.pop(0))
    return first + last


def _run(argv: Sequence[str] | None) -> int:
    parser = build_parser()
    args, settings = parser.parse_known_args(_settings_last(sys.argv[1:] if argv is None else argv))
    if settings and not args.takes_settings:
        complain(f"unknown arguments: {' '.join(settings)}; see foldformer {args.verb} --help")
        return 2
    args.settings = settings
    show_logs(args.debug)
    try:
        code: int | None = args.run(args)
        sys.stdout.flush()  # here, where a pipe that was closed is nobody's mistake
    except FoldformerError as error:
        if args.debug:
            raise
        complain(error)
        return 2
    except ModuleNotFoundError as error:
        package, extra = _EXTRAS.get((error.name or "").split(".")[0], ("", ""))
        if args.debug or not package:
            raise
        # The verb's own extra brings all that the verb needs, where the package is one of these.
        complain(
            MissingExtraError(package, args.extra if extra == "torch" and args.extra else extra)
        )
        return 2
    except BrokenPipeError:  # `foldformer ... | head`
        abandon_stdout()
        return 1
    except OSError as error:  # a full disk, a file without permission, ...
        if args.debug or not (reason := reason_of(error)):
            raise
        complain(reason)
        return 2
    except (MemoryError, RuntimeError) as error:
        if args.debug or not _is_out_of_memory(error):
            raise
        complain(
            "there is not enough memory; take a smaller model, smaller batches "
            "(data.max_duration) or shorter segments (--segment)"
        )
        return 2
    return code or 0


def _is_out_of_memory(error: Exception) -> bool:
    """Whether that is what PyTorch says, which has no type of its own for it on a CPU."""
    text = str(error)
    said = ("allocate memory", "out of memory", "Storage size calculation overflowed")
    return isinstance(error, MemoryError) or any(each in text for each in said)


if __name__ == "__main__":
    raise SystemExit(main())
