"""Models made from nothing: what their tokenizers make of texts, and what their weights begin as."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heeler.core.errors import ConfigError
from heeler.core.nouns import Message
from heeler.models.language.model import LanguageModel
from heeler.models.language.small import SmallModelConfig, new_language_model

torch.set_num_threads(1)
TEXTS = ["order 2024 costs 2024 coins", "room 2024, floor 20", "the order of the rooms"] * 4


def made(seed: int = 0, **settings: Any) -> LanguageModel:
    sizes = {"vocabulary_size": 400, "hidden_size": 16, "num_layers": 1, "num_attention_heads": 2}
    return new_language_model(SmallModelConfig(**(sizes | settings)), TEXTS, seed=seed)


MODEL = made()


def test_what_is_common_in_the_texts_is_one_token():
    def pieces(text: str) -> list[str]:
        return [MODEL.text_of([token]) for token in MODEL.completion_ids(text)[:-1].tolist()]

    assert pieces("order 2024") == ["order", " 2024"]
    assert pieces("zig") == ["z", "i", "g"]


@given(st.text(max_size=30))
def test_any_text_can_be_written(text: str):
    assert MODEL.text(MODEL.completion_ids(text)) == text


def test_a_chat_can_be_written():
    ids = MODEL.prompt_ids((Message(role="user", content="room 20"),))
    assert MODEL.tokenizer.decode(ids) == "<|user|>room 20<|end|><|assistant|>"


def test_weights_come_of_their_seed_and_have_the_spread_that_was_asked_for():
    def weight(model: LanguageModel) -> torch.Tensor:
        return model.module.get_input_embeddings().weight.detach()  # type: ignore[operator]

    assert torch.equal(weight(made(seed=3)), weight(made(seed=3)))
    assert not torch.equal(weight(made(seed=3)), weight(made(seed=4)))
    for spread in (0.02, 0.3):
        # Of some five thousand numbers the spread is known to about a hundredth; filling has a row of zeros.
        found = weight(made(hidden_size=16, initializer_range=spread))
        assert float(found[found.abs().sum(1) > 0].std()) == pytest.approx(spread, rel=0.05)


def test_heads_that_match_attend_to_a_token_like_their_own():
    """Without positions: the score that a state gives itself, beside those that it gives others."""

    def scores(matching: float) -> torch.Tensor:
        module: Any = made(hidden_size=64, num_attention_heads=4, matching=matching).module
        attention = module.model.layers[0].self_attn
        states = torch.randn(50, 64, generator=torch.Generator().manual_seed(0))
        queries, keys = (layer(states).unflatten(1, (4, 16)) for layer in (attention.q_proj, attention.k_proj))
        return torch.einsum("ihd,jhd->hij", queries, keys).detach()

    own = scores(1.0).diagonal(dim1=1, dim2=2)
    assert bool((own.mean(1) > 3 * scores(1.0).std(dim=(1, 2))).all())
    assert bool((scores(0.0).diagonal(dim1=1, dim2=2).mean(1) < scores(0.0).std(dim=(1, 2))).all())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"matching": 1.5}, "matching must be between 0 and 1, got 1.5"),
        ({"vocabulary_size": 260}, "vocabulary_size must be >= 261, got 260"),
        ({"num_layers": 0}, "num_layers must be >= 1"),
        ({"hidden_size": 18}, r"hidden_size must be a multiple of twice num_attention_heads \(4\), got 18"),
    ],
)
def test_sizes_that_cannot_be_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        made(**settings)
