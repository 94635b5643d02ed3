"""The weights of a CTranslate2 model.

The format is that of `ctranslate2/specs/model_spec.py`: a header, named tensors one after the
other, and names that stand for others.
"""

import struct
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from foldformer.errors import InputError

VERSION = 6
_TYPES = (torch.float32, torch.int8, torch.int16, torch.int32, torch.float16, torch.bfloat16)


def read_variables(path: str | Path) -> tuple[str, dict[str, Tensor]]:
    """What model a file holds ("WhisperSpec"), and its tensors by name.

    Raises:
        InputError: the file is missing, truncated, or of another format or version.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            (version,) = _numbers(file, "I")
            if version != VERSION:
                raise InputError(
                    f"{path}: no CTranslate2 model of version {VERSION} (it says {version}); "
                    "convert it anew with a current ctranslate2"
                )
            kind, _ = _name(file), _numbers(file, "I")
            (count,) = _numbers(file, "I")
            variables = dict(_variable(file) for _ in range(count))
            (aliases,) = _numbers(file, "I")
            for _ in range(aliases):
                alias, name = _name(file), _name(file)
                variables[alias] = variables[name]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (struct.error, EOFError, IndexError, KeyError, ValueError, RuntimeError):
        raise InputError(f"{path}: is damaged or no CTranslate2 model; copy it again") from None
    return kind, variables


def _numbers(file: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(f"<{form}", file.read(struct.calcsize(f"<{form}")))


def _name(file: BinaryIO) -> str:
    (length,) = _numbers(file, "H")
    return file.read(length)[:-1].decode()


def _variable(file: BinaryIO) -> tuple[str, Tensor]:
    name = _name(file)
    (rank,) = _numbers(file, "B")
    shape = _numbers(file, f"{rank}I")
    (kind,) = _numbers(file, "B")
    (size,) = _numbers(file, "I")
    data = bytearray(file.read(size))
    if len(data) != size:
        raise EOFError
    if not size:
        return name, torch.empty(shape, dtype=_TYPES[kind])
    return name, torch.frombuffer(data, dtype=_TYPES[kind]).reshape(shape)
