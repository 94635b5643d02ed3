"""What a microphone hears, as it is heard."""

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from foldformer.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from foldformer.data.audio import Samples

_BLOCK = 0.1
"""Seconds of a block."""

log = logging.getLogger(__name__)


def microphone(
    device: str | None = None, stop: Callable[[], bool] = lambda: False
) -> "Iterator[tuple[Samples, int]]":
    """Blocks of 0.1 s, (N,), with their rate in Hz, which is the device's own.

    Args:
        device: its number, or a part of its name; the system's choice unless given.
        stop: asked before each block whether to end.

    Raises:
        InputError: there is no such device, or no library that knows devices.
        MissingExtraError: sounddevice is not installed.
    """
    sounddevice = _sounddevice()
    chosen = int(device) if device is not None and device.isdigit() else device
    try:
        about = sounddevice.query_devices(chosen, "input")
        rate = int(about["default_samplerate"])
        with sounddevice.InputStream(
            device=chosen, channels=1, samplerate=rate, dtype="float32"
        ) as source:
            while not stop():
                samples, overflowed = source.read(round(rate * _BLOCK))
                if overflowed:
                    log.warning("too slow for the microphone: some of what was said is lost")
                yield samples[:, 0], rate
    except (sounddevice.PortAudioError, ValueError) as error:
        raise InputError(
            f"microphone: {' '.join(str(error).split())}; `python -m sounddevice` lists the devices"
        ) from None


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        if error.name != "sounddevice":
            raise
        raise MissingExtraError("sounddevice", "device") from None
    except OSError as error:  # the package is there, PortAudio is not
        raise InputError(f"microphone: {error}; on Debian: apt install libportaudio2") from None
    return sounddevice
