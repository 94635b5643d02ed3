"""Tiny models of transformers with random weights, and what they compute."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AlbertConfig,
    AlbertModel,
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    WhisperConfig,
    WhisperForConditionalGeneration,
)


def bert() -> BertModel:
    return BertModel(
        BertConfig(
            vocab_size=32,
            hidden_size=16,
            num_hidden_layers=4,
            num_attention_heads=2,
            intermediate_size=24,
            max_position_embeddings=16,
        )
    )


def whisper() -> WhisperForConditionalGeneration:
    return WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=32,
            num_mel_bins=4,
            d_model=16,
            encoder_layers=4,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=24,
            decoder_ffn_dim=24,
            max_source_positions=10,
            max_target_positions=16,
            decoder_start_token_id=1,
            bos_token_id=2,
            eos_token_id=2,
            pad_token_id=2,
            begin_suppress_tokens=None,
        )
    )


def llama() -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=32,
            hidden_size=16,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=24,
            max_position_embeddings=32,
        )
    )


def gpt2() -> GPT2LMHeadModel:
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=32,
            n_embd=16,
            n_layer=4,
            n_head=2,
            n_positions=32,
            bos_token_id=1,
            eos_token_id=2,
        )
    )


def albert() -> AlbertModel:
    return AlbertModel(
        AlbertConfig(
            vocab_size=32,
            embedding_size=8,
            hidden_size=16,
            num_hidden_layers=4,
            num_attention_heads=2,
            intermediate_size=24,
        )
    )


MAKERS: dict[str, Callable[[], Any]] = {
    "bert": bert,
    "whisper": whisper,
    "llama": llama,
    "gpt2": gpt2,
    "albert": albert,
}


@pytest.fixture
def tiny() -> Callable[[str], Any]:
    """Make a model of some thousand random weights: `tiny("bert")`."""

    def make(name: str) -> Any:
        torch.manual_seed(0)
        model = MAKERS[name]()
        with torch.no_grad():  # no two numbers alike: transformers starts biases at 0
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        return model.eval()

    return make


@pytest.fixture
def batch() -> Callable[[Any], dict[str, Tensor]]:
    """What to call a model with: `model(**batch(model))`."""

    def make(model: Any) -> dict[str, Tensor]:
        tokens = torch.arange(1, 13).view(2, 6)
        if model.config.model_type != "whisper":
            return {"input_ids": tokens}
        torch.manual_seed(1)
        return {"input_features": torch.randn(2, 4, 20), "decoder_input_ids": tokens}

    return make


@pytest.fixture
def outputs(batch: Callable[[Any], dict[str, Tensor]]) -> Callable[[Any], Tensor]:
    """What a model makes of its batch: hidden states or scores."""

    @torch.no_grad()
    def compute(model: Any) -> Tensor:
        found = model(**batch(model))
        return found.logits if "logits" in found else found.last_hidden_state

    return compute
