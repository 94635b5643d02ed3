"""`foldformer VERB ...`: finds the verb's file here, runs it, turns errors into one line."""

import argparse
import importlib
import io
import os
import pkgutil
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

from foldformer import cli
from foldformer.cli._logs import show_logs
from foldformer.errors import FoldformerError, MissingExtraError, Stopped

# Top-level module of an optional dependency -> (package to name, extra that brings it).
_EXTRAS = {
    "torch": ("torch", "torch"),
    "safetensors": ("safetensors", "torch"),
    "sentencepiece": ("sentencepiece", "torch"),
    "tqdm": ("tqdm", "torch"),
    "flashlight": ("flashlight-text", "beam"),
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
        self.exit(2, f"foldformer: error: {message}; see {self.prog} --help\n")


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
    parser = build_parser()
    args, settings = parser.parse_known_args(argv)
    if settings and not args.takes_settings:
        return _complain(
            f"unknown arguments: {' '.join(settings)}; see foldformer {args.verb} --help"
        )
    args.settings = settings
    if isinstance(sys.stdout, io.TextIOWrapper):  # a letter that the terminal cannot show: \xe9
        sys.stdout.reconfigure(errors="backslashreplace")
    show_logs(args.debug)
    try:
        code: int | None = args.run(args)
        sys.stdout.flush()  # here, where a pipe that was closed is nobody's mistake
    except FoldformerError as error:
        if args.debug:
            raise
        return _complain(str(error))
    except ModuleNotFoundError as error:
        package, extra = _EXTRAS.get((error.name or "").split(".")[0], ("", ""))
        if args.debug or not package:
            raise
        return _complain(str(MissingExtraError(package, args.extra or extra)))
    except BrokenPipeError:  # `foldformer ... | head`
        # What is still to be flushed at the end must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # a full disk, a file without permission, ...
        if args.debug or not error.filename:
            raise
        return _complain(f"{error.filename}: {error.strerror}")
    except (MemoryError, RuntimeError) as error:
        if args.debug or not _is_out_of_memory(error):
            raise
        return _complain(
            "there is not enough memory; take a smaller model, smaller batches "
            "(data.max_duration) or shorter segments (--segment)"
        )
    except Stopped as stop:
        print(f"foldformer: {stop}", file=sys.stderr)
        return 128 + stop.number
    except KeyboardInterrupt:
        print("foldformer: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    return code or 0


def _is_out_of_memory(error: Exception) -> bool:
    """Whether that is what PyTorch says, which has no type of its own for it on a CPU."""
    text = str(error)
    return isinstance(error, MemoryError) or "allocate memory" in text or "out of memory" in text


def _complain(message: str) -> int:
    print(f"foldformer: error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
