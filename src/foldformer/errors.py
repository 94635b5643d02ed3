"""The three errors a user can cause; the command line turns each into one line and exit code 2.

Beside them `Stopped`, which is none.
"""


class FoldformerError(Exception):
    """What a user can mend. The message says what, what was got, what is allowed, what to do."""


class SpecError(FoldformerError):
    """A wrong configuration: unknown key, wrong type, impossible combination."""


class InputError(FoldformerError):
    """A damaged, missing or foreign file: audio, manifest, tokens or model folder."""


class MissingExtraError(FoldformerError):
    """An optional dependency that this action needs is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed; it comes with: pip install 'foldformer[{extra}]'"
        )


class Stopped(BaseException):
    """A signal ended what was going on; the message says how to go on.

    No `Exception`, like KeyboardInterrupt: nothing on the way may take it for an error.
    """

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number
