"""What has changed since a run began, and whether it can go on with that."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path

from foldformer.checkpoint import CONFIG, WEIGHTS
from foldformer.data.batches import manifests_of
from foldformer.data.shar import manifests_in
from foldformer.errors import InputError, SpecError
from foldformer.spec import from_dict, read_yaml, to_dict, write_yaml
from foldformer.train.config import TrainConfig

_CONFIG, _MANIFESTS = "config.yaml", "manifests.json"

# What may change at any time, since the weights do not depend on it.
_FREE = (
    "output",
    "data.num_workers",
    "data.cache_gb",
    "training.activation_checkpointing",
    "training.save_every",
    "training.threads",
)
# What the checkpoint has been made for.
_FIXED = ("data.text", "tokens", "model", "training.accumulate")


def write_origin(folder: Path, config: TrainConfig) -> None:
    """Note what a run is made of: its configuration, what its manifests say, and its teacher."""
    write_yaml(folder / _CONFIG, config)
    (folder / _MANIFESTS).write_text(json.dumps(_fingerprints(config), indent=1), encoding="utf-8")


def check_same(state: Path, config: TrainConfig, accept: bool) -> None:
    """Refuse to go on with a run in another way than it began, unless that is wanted and possible.

    Args:
        state: the folder with what `write_origin` wrote.
        config: the configuration now.
        accept: go on with other data, another schedule and the like.

    Raises:
        InputError: something has changed; the message says all that has, old -> new.
    """
    changed = _differences(_earlier(state / _CONFIG), to_dict(config))
    changed = {key: change for key, change in changed.items() if not _among(key, _FREE)}
    fixed = [key for key in changed if _among(key, _FIXED)]
    if "training.ema" in changed and 0 in changed["training.ema"]:
        fixed.append("training.ema")  # there are no averages, or nothing that would go on with them
    said = [f"{key} {_shown(old)} -> {_shown(new)}" for key, (old, new) in changed.items()]
    said += [f"{path} says something else" for path in _rewritten(state / _MANIFESTS, config)]
    if fixed:
        raise InputError(
            f"{state}: holds a run that began in another way: {'; '.join(said)}; it cannot go on "
            f"with {', '.join(fixed)} changed: choose another `output`, or remove {state.parent} "
            "to begin anew"
        )
    if said and not accept:
        raise InputError(
            f"{state}: holds a run that began in another way: {'; '.join(said)}; go on all the "
            "same with --accept-changes, or choose another `output`"
        )


def _earlier(path: Path) -> dict[str, object]:
    try:
        return to_dict(from_dict(TrainConfig, read_yaml(path)))
    except SpecError as error:
        raise InputError(f"{path}: {error}; remove {path.parents[1]} to begin anew") from None


def _among(key: str, places: tuple[str, ...]) -> bool:
    return any(key == place or key.startswith(f"{place}.") for place in places)


def _differences(earlier: object, now: object, key: str = "") -> dict[str, tuple[object, object]]:
    """{dotted key: (old, new)} of all that differs; null for a key that is not there."""
    if earlier == now:
        return {}
    if isinstance(earlier, Mapping) and isinstance(now, Mapping):
        pairs = [(name, earlier.get(name), now.get(name)) for name in {**earlier, **now}]
    elif isinstance(earlier, list) and isinstance(now, list) and len(earlier) == len(now):
        pairs = [(str(i), *both) for i, both in enumerate(zip(earlier, now, strict=True))]
    else:
        return {key: (earlier, now)}
    found: dict[str, tuple[object, object]] = {}
    for name, old, new in pairs:
        found |= _differences(old, new, f"{key}.{name}" if key else name)
    return found


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _fingerprints(config: TrainConfig) -> dict[str, str]:
    """{path: SHA-256 of what the manifest says}, packed or not, and of the teacher's files."""
    data = config.data
    paths = [*manifests_of(data.train), *manifests_of(data.valid)]
    if (augmentation := data.augmentation) is not None:
        room = augmentation.reverberation
        sounds = (augmentation.noise, room.responses if room is not None else None)
        paths += [path for path in sounds if path is not None]
    if config.training.distillation is not None:
        teacher = config.training.distillation.teacher
        paths += [f"{teacher}/{name}" for name in (CONFIG, WEIGHTS)]
    return {path: digest for path in paths if (digest := _digest(Path(path)))}


def _digest(path: Path) -> str | None:
    """None for a file that cannot be read: whoever reads the cuts says it better."""
    digest = hashlib.sha256()
    try:
        for each in manifests_in(path) if path.is_dir() else [path]:
            with gzip.open(each) if each.suffix == ".gz" else each.open("rb") as file:
                while block := file.read(2**20):
                    digest.update(block)
    except (OSError, EOFError, zlib.error):
        return None
    return digest.hexdigest()


def _rewritten(path: Path, config: TrainConfig) -> list[str]:
    """The manifests that say something else than they did."""
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        return [
            name for name, now in _fingerprints(config).items() if earlier.get(name, now) != now
        ]
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path}: is missing or damaged ({error}); remove {path.parents[1]} to begin anew"
        ) from None
