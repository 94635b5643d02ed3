"""What several folders of tests need: a recogniser that talks, and Debian's packages of speech."""

import gzip
import io
import os
import random
import sys
import tarfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
import torch
from hypothesis import settings

from foldformer.checkpoint import ModelConfig
from foldformer.data.tokens import Tokens
from foldformer.decode.measures import MEASURES
from foldformer.decode.recognizer import Recognizer
from foldformer.experiment.result import Code, Example, ModelSize, Result, Scored, SetScores
from foldformer.experiment.results import Counted, append_plan, append_result, digest_of
from foldformer.experiment.spec import CellSpec, DecodeSpec, ExperimentSpec, TaskSpec
from foldformer.model import Model, ModelSpec
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.heads.ctc import CtcHead, CtcSpec
from foldformer.nn.heads.transducer import TransducerSpec
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.nn.mixers.attention import AttentionSpec
from foldformer.spec import to_dict

settings.register_profile("untimed", deadline=None)  # a busy machine makes no test fail
settings.load_profile("untimed")

SYMBOLS = ["<blk>", "<unk>", "▁", "a", "b", "c", "d"]


@pytest.fixture(scope="session")
def ended() -> Callable[[int], bool]:
    """Whether a process has ended; one that nobody has waited for yet has, too."""

    def found(process: int) -> bool:
        try:
            return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return found


@pytest.fixture(scope="session")
def talkative() -> Model:
    torch.manual_seed(3)
    spec = ModelSpec(
        vocab_size=len(SYMBOLS),
        encoder=EncoderSpec(
            d_model=16,
            num_layers=3,
            uses=3,
            mixer=AttentionSpec(num_heads=2),
            feed_forward=DenseFeedForwardSpec(d_ff=32),
            linear=ResidualSpec(rank=2),
            left_context=12,
        ),
        heads=(CtcSpec(), TransducerSpec(predictor_dim=8, joiner_dim=8)),
    )
    model = spec.build().eval()
    mean = torch.full((80,), -4.0)
    model.encoder.subsampling.set_statistics(mean, 1.0)
    head = model.head("ctc")
    assert isinstance(head, CtcHead)
    with torch.no_grad():
        head.output.weight.mul_(3)
        head.output.bias[:2] -= 2
        for name, parameter in model.head("transducer").named_parameters():
            if name.endswith("output.bias"):
                parameter[0] -= 0.5
                parameter[1] -= 4  # <unk>, which is not written
    return model


@pytest.fixture(scope="session")
def recognizer(talkative: Model) -> Callable[..., Recognizer]:
    """Make a recogniser: `recognizer(head="ctc", beam=2)`."""

    def make(head: str | None = None, beam: int = 1, num_best: int = 1) -> Recognizer:
        config = ModelConfig(model=talkative.spec)
        return Recognizer(talkative, Tokens(SYMBOLS), config, head, beam, num_best)

    return make


PROMPTS = {
    "vm-goodbye": ("Goodbye.", "Adiós.", "Au revoir.", "Arrivederci.", "До свидания."),
    "hold": ("Hold the line.", "Espere.", "Ne quittez pas.", "Resti in linea.", "Ждите."),
    "password": ("Enter your password.", "Clave.", "Mot de passe.", "Password.", "Пароль."),
    "digits/day-1": ("Monday", "lunes", "lundi", "lunedì", "понедельник"),
    "digits/day-2": ("Tuesday", "martes", "mardi", "martedì", "вторник"),
    "digits/day-5": ("Friday", "viernes", "vendredi", "venerdì", "пятница"),
    "digits/mon-2": ("March", "marzo", "mars", "marzo", "март"),
    "auth-thankyou": ("Thank you.", "Gracias.", "Merci.", "Grazie.", "Спасибо."),
    "try-again": ("Please try again.", "Otra vez.", "Essayez.", "Riprovi.", "Ещё раз."),
    "beep": ("[a simple beep tone]",) * 5,
    "vm-remark": ("(press) one", "(marque) uno", "(appuyez) un", "(prema) uno", "(нажмите) один"),
}
"""{prompt: text in en, es, fr, it, ru}: five of train, two of dev, two of test, two of none."""

VOICES = {
    "en": ("asterisk-core-sounds-en-wav", "en_US_f_Allison"),
    "es": ("asterisk-core-sounds-es-wav", "es_MX_f_Allison"),
    "fr": ("asterisk-core-sounds-fr-wav", "fr_CA_f_June"),
    "it": ("asterisk-core-sounds-it-wav", "it_IT_m_Carlo"),
    "ru": ("asterisk-core-sounds-ru-wav", "ru_RU_f_IvrvoiceRU"),
}

STAMPS = {
    "animals/frog": ("A frog.", "O broască.", "Una rana.", "Лягушка."),
    "animals/horse": ("A big horse.", "Un cal mare.", "Un caballo grande.", "Большая лошадь."),
    "animals/cow": ("A cow.", "O vacă.", "Una vaca.", "Корова."),
    "plants/apple": ("A red apple.", "Un măr roșu.", "Una manzana roja.", "Красное яблоко."),
    "town/house": ("A house.", "O casă.", "Una casa.", "Дом."),
    "animals/fish": ("Three fish.", "Trei pești.", "Tres peces.", "Три рыбы."),
    "plants/trees": ("Two green trees.", "Doi copaci verzi.", "Dos árboles.", "Два дерева."),
    "town/bridge": ("A bridge.", "Un pod.", "Un puente.", "Мост."),
}
"""{stamp: text in en, ro, es, ru}: five of train, one of dev, two of test."""


def spoken(name: str, text: str, rate: int) -> np.ndarray:
    """Noise that lasts as long as the text would, of its own for each name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    samples = 0.1 * rng.standard_normal(int((0.3 + 0.07 * len(text)) * rate))
    return np.rint(32768 * samples).astype(np.int16)


def encoded(samples: np.ndarray, rate: int, kind: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind)
    return file.getvalue()


def write_deb(path: Path, files: Mapping[str, bytes], compression: str = "xz") -> None:
    """A Debian package (deb(5)): an `ar` archive of a version, a control part and the files."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=f"w:{compression}") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": b"odd",
        f"data.tar.{compression}": data.getvalue(),
    }
    with path.open("wb") as deb:
        deb.write(b"!<arch>\n")
        for name, content in members.items():
            deb.write(f"{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode())
            deb.write(content + b"\n" * (len(content) % 2))


@pytest.fixture(scope="session")
def asterisk_packages() -> dict[str, dict[str, bytes]]:
    """{package: {file: content}}: eleven packages of Asterisk's prompts, nine of them spoken."""
    packages: dict[str, dict[str, bytes]] = {}
    for number, (language, (package, folder)) in enumerate(VOICES.items()):
        texts = {prompt: said[number] for prompt, said in PROMPTS.items()}
        lines = ["; a comment: not a prompt", "", *(f"{name}: {t}" for name, t in texts.items())]
        doc = f"usr/share/doc/asterisk-core-sounds-{language}"
        packages[f"asterisk-core-sounds-{language}"] = {
            f"{doc}/core-sounds-{language}.txt.gz": gzip.compress("\n".join(lines).encode()),
            f"{doc}/copyright": f"texts: {language}".encode(),
        }
        voices = [(package, folder)]
        if language == "it":
            voices.append(("asterisk-prompt-it-menardi-wav", "it_IT_f_Menardi"))
        for package, folder in voices:
            sounds = {name: spoken(folder + name, text, 8000) for name, text in texts.items()}
            sounds["unwritten"] = spoken(folder, "nobody knows", 8000)
            packages[package] = {f"usr/share/doc/{package}/copyright": package.encode()} | {
                f"usr/share/asterisk/sounds/{folder}/{name}.wav": encoded(samples, 8000, "WAV")
                for name, samples in sounds.items()
            }
    return packages


@pytest.fixture(scope="session")
def tuxpaint_packages() -> dict[str, dict[str, bytes]]:
    """{package: {file: content}}: the package of Tux Paint's stamps, spoken in three languages."""
    name = "tuxpaint-stamps-default"
    files = {f"usr/share/doc/{name}/copyright": b"GPL-2+"}
    for stamp, (english, *others) in STAMPS.items():
        place = f"usr/share/tuxpaint/stamps/{stamp}"
        texts = dict(zip(("ro", "es", "ru"), others, strict=True))
        lines = [english, *(f"{language}.utf8={text}" for language, text in texts.items())]
        files[f"{place}.txt"] = "\n".join(lines).encode()
        files[f"{place}.png"] = b"a picture"
        files[f"{place}.ogg"] = b"a noise"
        for language, text in texts.items():
            samples = spoken(stamp + language, text, 44100)
            stereo = np.stack([samples, 0 * samples], axis=1)
            files[f"{place}_desc_{language}.ogg"] = encoded(stereo, 44100, "OGG")
    return {name: files}


@pytest.fixture(scope="session")
def debian(
    tmp_path_factory: pytest.TempPathFactory,
    asterisk_packages: dict[str, dict[str, bytes]],
    tuxpaint_packages: dict[str, dict[str, bytes]],
) -> Path:
    """A folder with the twelve packages as `.deb` files."""
    folder = tmp_path_factory.mktemp("debian")
    for name, files in {**asterisk_packages, **tuxpaint_packages}.items():
        write_deb(folder / f"{name}_1.0-1_all.deb", files)
    return folder


APT = """#!{python}
import os, pathlib, shutil, sys, time
source, log, stuck = (pathlib.Path(path) for path in {paths!r})
names = [word for word in sys.argv[1:] if word not in ("download", "-q", "--print-uris")]
for name in names:
    found = sorted(source.glob(name + "_*.deb"))
    if not found:
        sys.exit("E: Unable to locate package " + name)
    if "--print-uris" in sys.argv:
        size = found[0].stat().st_size
        print("'http://deb.example/%s'" % found[0].name, found[0].name, size, "SHA256:0")
        continue
    with log.open("a") as file:
        print(name, file=file)
    if stuck.exists() and stuck.read_text() == name:
        pathlib.Path(found[0].name).write_bytes(found[0].read_bytes()[:100])
        stuck.with_name("waiting").write_text(str(os.getpid()))
        time.sleep(60)
    shutil.copy(found[0], ".")
"""


@pytest.fixture
def apt(tmp_path: Path, debian: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `apt-get` that has those packages, first in PATH. Returns a folder: `log` lists what was
    downloaded; at a package that is named in `stuck` it writes `waiting`, and stops halfway."""
    folder = tmp_path / "apt"
    folder.mkdir()
    paths = [str(debian), str(folder / "log"), str(folder / "stuck")]
    (folder / "apt-get").write_text(APT.format(python=sys.executable, paths=paths))
    (folder / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return folder


WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "zero"]

EXPERIMENT = ExperimentSpec(
    title="Numbers",
    output="runs/numbers",
    seeds=(1, 2),
    tasks={
        "recognition": TaskSpec(
            config="base.yaml", measure="wer", sets={"spoken": "a.jsonl", "new voices": "b.jsonl"}
        ),
        "translation": TaskSpec(config="base.yaml", measure="bleu", sets={"spoken": "a.jsonl"}),
    },
    cells={
        "dense": CellSpec(title="dense", table="paper", paper="dense"),
        "k3-r16": CellSpec(title="K = 3, R = 16", table="paper", against="dense", paper="k3-r16"),
        "k9-r16": CellSpec(title="K = 9, R = 16", table="paper", against="dense", paper="k9-r16"),
    },
)
"""An experiment that was never run: its results are made up, to test what is made of results."""

MADE_UP_ENCODER = EncoderSpec(d_model=16, num_layers=18, mixer=AttentionSpec(num_heads=2))

MADE_UP = {"dense": (0.10, 100.0, 4e6), "k3-r16": (0.12, 50.0, 2e6), "k9-r16": (0.3, 28.0, 1.1e6)}
"""{cell: (share of words that are wrong, share of dense, bytes)}."""


def made_up(task: str, cell: str, seed: int, name: str, number: int) -> list[dict[str, str]]:
    """Utterances of a set, and what a model with so many errors could write."""
    said, heard = random.Random(name), random.Random(f"{task} {cell} {seed} {name}")
    utterances = []
    for each in range(number):
        words = said.choices(WORDS, k=8)
        wrong = [heard.choice(WORDS) if heard.random() < MADE_UP[cell][0] else w for w in words]
        texts = {"reference": " ".join(words), "hypothesis": " ".join(wrong)}
        utterances.append({"id": f"{name}-{each:03}", "language": "en", **texts})
    return utterances


def made_up_result(task: str, cell: str, seed: int) -> tuple[Result, dict[str, Counted]]:
    """A result with its counts, as a run would give them."""
    said = EXPERIMENT.tasks[task]
    counts, scores, examples = {}, {}, {}
    for name in said.sets:
        utterances = made_up(task, cell, seed, name, 40)
        texts = [[each[key] for each in utterances] for key in ("reference", "hypothesis")]
        counts[name] = Counted(
            utterances=digest_of(each["id"] for each in utterances),
            counts=MEASURES[said.measure].counts(*texts),
        )
        value = Scored(value=MEASURES[said.measure].value(counts[name].counts), low=0.0, high=None)
        scores[name] = SetScores(
            utterances=40, words=320, audio_seconds=60.0, languages={},
            wer=value, cer=value, bleu=value, chrf=value,
        )  # fmt: skip
        examples[name] = tuple(Example(**each) for each in utterances[:2])
    _, share, size = MADE_UP[cell]
    whole = round(size)
    curve = [
        {"step": 10.0 * i, "hours": 0.1 * i, "seconds": 9.0 * i, said.measure: 100.0 / i + seed}
        for i in (1, 2, 3)
    ]
    data = dict.fromkeys(["train", "valid", *said.sets], "0123456789abcdef")
    result = Result(
        task=task,
        cell=cell,
        seed=seed,
        smoke=False,
        measure=said.measure,
        config={"model": {"encoder": to_dict(MADE_UP_ENCODER)}},
        decode=DecodeSpec(),
        data=data,
        code=Code(revision="0123456789ab", digest="fedcba9876543210"),
        versions={"torch": "2.0"},
        machine={"processor": "a processor", "cores": 2},
        date="2026-01-01T00:00:00+00:00",
        hours=0.3,
        seconds=27.0,
        size=ModelSize(
            parameters=whole // 4,
            fp32=whole,
            fp16=whole // 2,
            int8=whole // 4,
            int4=whole // 8,
            share=share,
        ),
        curve=tuple(curve),
        scores=scores,
        counts=f"numbers/{task}.{cell}.{seed}.json.gz",
        examples=examples,
    )
    return result, counts


@pytest.fixture(scope="session")
def write_results() -> Callable[..., Path]:
    """Write made-up results: `write_results(folder, without=["recognition/dense/1"])`.

    `changed` has keys of single results to be replaced: {"TASK/CELL/SEED": {key: value}}."""

    def write(
        folder: Path,
        without: tuple[str, ...] = (),
        changed: Mapping[str, Mapping[str, object]] = {},
        spec: ExperimentSpec = EXPERIMENT,
    ) -> Path:
        path = folder / "numbers.jsonl"
        append_plan(path, spec)
        for seed in EXPERIMENT.seeds:
            for task in EXPERIMENT.tasks:
                for cell in EXPERIMENT.cells:
                    result, counts = made_up_result(task, cell, seed)
                    if result.name not in without:
                        result = replace(result, **changed.get(result.name, {}))
                        append_result(path, result, counts)
        return path

    return write
