"""What the documents show works: code runs, commands parse, tables are what is computed."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from lhotse import CutSet, Recording, SupervisionSegment

import foldformer
from foldformer.checkpoint import ModelConfig, save_model
from foldformer.cli.main import build_parser, main
from foldformer.data.cuts import check_cut, read_cuts, samples_of
from foldformer.data.tokens import TokensSpec
from foldformer.measure.size import dense_entries, sizes, total
from foldformer.model import ModelSpec
from foldformer.nn.encoder import EncoderSpec
from foldformer.nn.feed_forwards.dense import DenseFeedForwardSpec
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.nn.mixers.attention import AttentionSpec
from foldformer.presets import PRESETS
from foldformer.spec import from_dict, to_dict
from foldformer.train.config import TrainConfig

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("recipes/**/*.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(document: Path, language: str) -> list[str]:
    """The code blocks of a language, in their order."""
    pattern = rf"^```{language}\n(.*?)^```$"
    return re.findall(pattern, document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def write_recording(path: Path) -> None:
    samples = 0.1 * np.random.default_rng(0).standard_normal(12000)
    soundfile.write(path, samples, 8000)


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like that after `make demo`, with models that were never trained."""
    torch.manual_seed(0)
    tokens = TokensSpec().build(["one two three"])
    model = ModelSpec(
        vocab_size=tokens.vocab_size,
        encoder=EncoderSpec(
            d_model=16,
            num_layers=2,
            uses=2,
            mixer=AttentionSpec(num_heads=2),
            feed_forward=DenseFeedForwardSpec(d_ff=16),
            linear=ResidualSpec(rank=2),
        ),
    ).build()
    for name in ("asr-dense", "asr-shared", "translate-dense", "translate-shared"):
        folder = tmp_path / "demo" / name
        folder.mkdir(parents=True)
        save_model(folder, model, ModelConfig(model=model.spec))
        tokens.save(folder)
    (tmp_path / "demo" / "recordings").mkdir()
    write_recording(tmp_path / "demo" / "recordings" / "it-date.flac")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("name", ["README.md", "docs/how-to/python.md"])
def test_python_of_the_page_runs(name: str) -> None:
    found = blocks(ROOT / name, "python")
    assert found
    namespace: dict[str, object] = {}
    for block in found:
        exec(compile(block, name, "exec"), namespace)


@pytest.mark.parametrize(
    ("name", "model", "manifest"),
    [
        ("docs/how-to/plan.md", "runs/mine", "data/train.jsonl.gz"),
        ("docs/concepts/compression.md", "demo/asr-dense", "demo/corpus/train.jsonl.gz"),
    ],
)
def test_python_of_the_page_folds(
    name: str, model: str, manifest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    tokens = TokensSpec().build(["one two three"])
    spec = ModelSpec(
        vocab_size=tokens.vocab_size,
        encoder=EncoderSpec(
            d_model=16,
            num_layers=6,
            mixer=AttentionSpec(num_heads=2),
            feed_forward=DenseFeedForwardSpec(d_ff=16),
        ),
    )
    folder = tmp_path / model
    folder.mkdir(parents=True)
    save_model(folder, spec.build(), ModelConfig(model=spec))
    tokens.save(folder)
    sounds = (tmp_path / manifest).parent
    sounds.mkdir(parents=True)
    write_recording(sounds / "a.wav")
    cut = Recording.from_file(sounds / "a.wav").to_cut()
    cut.supervisions = [SupervisionSegment("a", cut.recording_id, 0.0, cut.duration, text="one")]
    CutSet([cut]).to_file(tmp_path / manifest)
    (tmp_path / "plan.yaml").write_text("uses: [3, 3]\nlinear: {kind: residual, rank: 16}\n")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for block in blocks(ROOT / name, "python"):
        exec(compile(block, name, "exec"), namespace)
    folded = namespace["folded"]
    assert isinstance(folded, foldformer.Model)
    assert len(folded.encoder.depth.layers) == 2


def test_a_folder_of_recordings_becomes_a_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for number in range(40):
        write_recording(folder / f"{number}.wav")
        (folder / f"{number}.txt").write_text(f"guten Tag {number}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "how-to" / "own-data.md").read_text(encoding="utf-8")
    command = next(line for line in page.splitlines() if line.startswith("    foldformer corpus"))
    assert main(shlex.split(command)[1:]) == 0
    block, *_ = blocks(ROOT / "docs" / "how-to" / "own-data.md", "yaml")
    data = yaml.safe_load(block)["data"]
    cuts = [cut for manifest in data.values() for cut in read_cuts(manifest)]
    for cut in cuts:
        check_cut(cut, "text")
    assert len(cuts) == 36  # of 40: a tenth tests
    assert {len(samples_of(cut)) for cut in cuts} == {12000}


def test_configurations_are_accepted() -> None:
    """All that say what to make; others show a part."""
    found = [
        block
        for document in DOCUMENTS
        for block in blocks(document, "yaml")
        if block.startswith("output:")
    ]
    assert len(found) >= 6
    for block in found:
        config = from_dict(TrainConfig, yaml.safe_load(block))
        config.with_vocabulary(30).model.check()


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_commands_parse(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    shown = re.findall(r"^ *(?:\$| {4}) ?foldformer ([a-z].*)$", text, re.MULTILINE)
    for block in blocks(document, "sh"):
        shown += re.findall(r"^foldformer (.*)$", block, re.MULTILINE)
    for command in shown:
        args, settings = build_parser().parse_known_args(command.partition("#")[0].split())
        assert not settings or args.takes_settings


def test_every_verb_has_a_section() -> None:
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    help_text = build_parser().format_help()
    verbs = re.findall(r"^    ([a-z]+)\b", help_text, re.MULTILINE)
    assert {"corpus", "describe", "evaluate", "train", "transcribe"} <= set(verbs)
    for verb in verbs:
        assert f"\n## `foldformer {verb}" in page


def test_every_public_name_has_a_reference() -> None:
    page = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\.\. auto\w+:: foldformer\.(\w+)$", page, re.MULTILINE))
    assert documented == set(foldformer.__all__)


def test_sizes_of_the_presets() -> None:
    """The README's table, and the shares in the concepts, against what is counted."""
    concepts = (ROOT / "docs" / "concepts" / "sharing.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, spec in PRESETS.items():
        with torch.device("meta"):
            depth = spec.encoder.build().depth
        uses = spec.encoder.uses_of_layers[0]
        rank = to_dict(spec.encoder.linear)["rank"]
        entries = sum(size.parameters for role, size in sizes(depth) if role != "other")
        share = f"{100 * entries / dense_entries(depth):.2f} %"
        layers = total(size for _, size in sizes(depth))
        assert f"| {uses} | {rank} | {entries:,} | {share} |" in concepts
        assert (
            f"| `{name}` | {uses} | {rank} | {share} | {layers.parameters / 1e6:.3f} "
            f"| {layers.fp32 / 1e6:.2f} MB | {layers.int8 / 1e6:.2f} MB |"
        ) in readme


def test_every_recipe_is_on_the_page() -> None:
    page = (ROOT / "docs" / "how-to" / "recipes.md").read_text(encoding="utf-8")
    pattern = r"^```\{include\} \.\./\.\./recipes/(\w+)/README\.md$"
    included = re.findall(pattern, page, re.MULTILINE)
    recipes = {path.parent.name for path in ROOT.glob("recipes/*/README.md")}
    assert {*included, "demo", "compress"} == recipes  # which have pages of their own


def anchors(document: Path) -> set[str]:
    """The headings of a page as its links name them, as GitHub and MyST do."""
    text = re.sub(r"^```.*?^```$", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_lead_somewhere(document: Path) -> None:
    """Where the pages are read as they lie; what becomes of them is tested with the site."""
    text = document.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
        page = document.parent / target if target else document
        assert page.exists(), target
        assert not anchor or anchor in anchors(page), f"{target}#{anchor}"
