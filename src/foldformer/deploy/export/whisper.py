"""From a Whisper of `transformers`, folded or not, to a checked export folder.

    tokens.txt    the bytes of each token, in base 64, and its number
    encoder.onnx  see `foldformer.deploy.export.whisper_parts`
    decoder.onnx
    hear.py       hears recordings with them, see `foldformer.deploy.hear`

Each weight is in one of the files, once.
"""

import copy
import shutil
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foldformer.compress.foreign.folded_linear import FoldedLinear
from foldformer.deploy import hear
from foldformer.deploy.export import linears as linears  # registers their forms
from foldformer.deploy.export.compared import compared, rounded, shortened
from foldformer.deploy.export.forms import export_form
from foldformer.deploy.export.make import check_finite, save
from foldformer.deploy.export.parity import Run, call_difference
from foldformer.deploy.export.place import check_new, new_export
from foldformer.deploy.export.precision import check_range, in_precision
from foldformer.deploy.export.provider import OLDEST, provider_options, write_provider
from foldformer.deploy.export.sharing import check_files, stored_state
from foldformer.deploy.export.trace import trace
from foldformer.deploy.export.whisper_card import whisper_card
from foldformer.deploy.export.whisper_parts import (
    AXES,
    DECODER,
    ENCODER,
    OUTPUTS,
    WhisperDecoder,
    WhisperEncoder,
    example_inputs,
)
from foldformer.deploy.export.whisper_tokens import languages_of, metadata, token_table
from foldformer.deploy.folder import (
    CARD,
    DESCRIPTION,
    HEARING,
    MODEL_CARD,
    MODEL_TYPES,
    TOKENS,
    ExportSpec,
    Precision,
    Runtime,
    SourceSpec,
    checksum,
    whisper_features,
)
from foldformer.errors import SpecError
from foldformer.nn.linears import Linear
from foldformer.spec import write_yaml

_MAKERS: dict[str, type[nn.Module]] = {ENCODER: WhisperEncoder, DECODER: WhisperDecoder}


def export_whisper(
    model: Any,
    tokenizer: Any,
    folder: str | Path,
    *,
    name: str = "whisper",
    precision: Precision = "fp32",
    reduce_range: bool = False,
    runtime: Runtime = "onnxruntime",
    card: str | None = None,
    progress: Callable[[str], None] = lambda what: None,
) -> ExportSpec:
    """Write an export into a folder that is empty or does not exist.

    Args:
        model: WhisperForConditionalGeneration, in float32; is left alone.
        tokenizer: of the model.
        folder: where to.
        name: what the card calls the model.
        precision: how weights are stored: fp32, fp16 or int8.
        reduce_range: int8 weights of products have 7 bits, for x86 without VNNI.
        runtime: what `export.yaml` says that it is for; the files are the same.
        card: that of the model, in Markdown, which goes along: licences bind what is made of it.
        progress: called with what is done next, in a few words.

    Raises:
        InputError: the folder is not empty, or cannot be written, a weight is not finite, or the
            tokenizer is not that of a Whisper.
        SpecError: int4, which only shared weights of foldformer's own models have; there is no
            range to reduce; or the files are not what they have to be.
    """
    folder = Path(folder)
    if precision == "int4":
        raise SpecError(
            "precision: int4 is for foldformer's own models; a Whisper has fp32, fp16 and int8"
        )
    check_new(folder)
    check_range(precision, reduce_range=reduce_range)
    plain = copy.deepcopy(model).eval()
    chained = _chained(copy.deepcopy(plain))
    parts = {file: make(chained) for file, make in _MAKERS.items()}
    state = _state(parts.values())
    check_finite(state)
    table, about = token_table(tokenizer), metadata(model, tokenizer)
    inputs = example_inputs(model.config)
    graphs = {}
    for file, part in parts.items():
        progress(f"{file}: making the graph")
        graphs[file] = trace(part, inputs[file], OUTPUTS[file], AXES[file])
    graphs[ENCODER].metadata_props.update(about)
    products = in_precision(graphs.values(), precision, reduce_range=reduce_range)
    stored = stored_state([graph.graph for graph in graphs.values()], state)
    differences = {file: _difference(make(plain), inputs[file]) for file, make in _MAKERS.items()}
    with new_export(folder) as beside:
        paths = [beside / file for file in graphs]
        for path in paths:
            save(graphs[path.name], path)
        weight_bytes = check_files(paths, state)
        progress("comparing with PyTorch")
        in_runtime = None
        if precision != "fp32":
            in_runtime = max(rounded(differences[path.name], path) for path in paths)
            # The same parameters: from here on `plain` computes with those that are stored.
            for make in _MAKERS.values():
                _load(make(plain), stored)
        difference = max(compared(differences[path.name], path, precision) for path in paths)
        (beside / TOKENS).write_text(table, encoding="utf-8")
        spec = ExportSpec(
            runtime=runtime,
            kind="offline-whisper",
            precision=precision,
            reduce_range=reduce_range,
            model_type=MODEL_TYPES["offline-whisper"],
            vocab_size=model.config.vocab_size,
            features=whisper_features(model.config.num_mel_bins),
            frame_ms=20,
            provider=provider_options(products),
            onnxruntime=OLDEST[precision],
            weight_bytes=weight_bytes,
            products=products,
            checksums={path.name: checksum(path) for path in [*paths, beside / TOKENS]},
            difference=shortened(difference),
            difference_fp32=None if in_runtime is None else shortened(in_runtime),
            source=SourceSpec(
                name=name,
                trained=True,
                languages=languages_of(model),
                parameters=sum(tensor.numel() for tensor in state.values()),
                foldformer=version("foldformer"),
            ),
        )
        _write_rest(beside, spec, model.config, card)
    return spec


def _state(parts: Iterable[nn.Module]) -> dict[str, Tensor]:
    """The parameters that the files have to hold, {name in its part: tensor}, each once.

    The maps of the decoder that are applied to what was heard are in the encoder's file.
    """
    names: dict[int, str] = {}
    found: dict[str, Tensor] = {}
    for part in parts:
        for name, tensor in part.state_dict(keep_vars=True).items():
            if id(tensor) not in names:
                names[id(tensor)] = name
                found[name] = tensor.detach()
    return found


def _difference(part: nn.Module, inputs: Mapping[str, Tensor]) -> Callable[[Run], float]:
    def difference(run: Run) -> float:
        return call_difference(part, run, list(inputs.values()))

    return difference


def _load(part: nn.Module, stored: Mapping[str, Any]) -> None:
    """Take over those of the stored parameters that the part has under their names."""
    own = part.state_dict()
    with torch.no_grad():
        for name, numbers in stored.items():
            if name in own:
                own[name].copy_(torch.from_numpy(numbers))


def _write_rest(folder: Path, spec: ExportSpec, config: Any, card: str | None) -> None:
    """Everything but the ONNX files and the tokens."""
    write_yaml(folder / DESCRIPTION, spec)
    write_provider(folder, spec.provider)
    shutil.copyfile(str(hear.__file__), folder / HEARING)
    if card is not None:
        (folder / MODEL_CARD).write_text(card, encoding="utf-8")
    sizes = {file: (folder / file).stat().st_size for file in spec.files}
    text = whisper_card(spec, sizes, config, card is not None)
    (folder / CARD).write_text(text, encoding="utf-8")


def _chained(model: Any) -> Any:
    """The model with its folded maps in the form that graphs are traced in."""
    forms: dict[int, Linear] = {}
    for module in list(model.modules()):
        if isinstance(module, FoldedLinear):
            key = id(module.linear)
            if key not in forms:
                form = export_form(module.linear)
                assert isinstance(form, Linear)
                forms[key] = form
            module.exchange(forms[key])
    return model
