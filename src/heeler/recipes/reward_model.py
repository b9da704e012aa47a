"""A reward model of texts, fitted to pairs that people judged."""

from dataclasses import replace

from heeler.core.errors import ConfigError
from heeler.loop.config import REWARD_MODEL
from heeler.loop.reward_config import SMALL, RewardRunConfig, TrunkConfig
from heeler.rewards.reward_settings import RewardModelConfig


def reward_model(
    *,
    data: str,
    model: str = "",
    chat_template: str = "",
    eos_token: str = "",
    trunk_only: bool = False,
    seed: int = 0,
) -> RewardRunConfig:
    """Fit a reward model to pairs of texts that people judged.

    Args:
        data: pairs with chosen and rejected, or answers with label, of which prompts with a good and a bad one are
            learned from: .jsonl, .json (also .gz), .parquet, a folder saved by datasets, or a hub id.
        model: language model whose hidden states it reads: a folder, a hub id, or small for one that is made and
            trained from nothing; without it the reward is one of n-grams alone.
        chat_template: file with the Jinja template of chats, in place of the one of that model's tokenizer.
        eos_token: the token that ends a text, in place of the one of that model's tokenizer.
        trunk_only: the reward is the language model's alone, without its linear part on n-grams.
        seed: everything random in the run follows from it, the split of the prompts too.
    """
    reward = RewardModelConfig(ngrams=None) if trunk_only else RewardModelConfig()
    trunk = None
    if model:
        trunk = TrunkConfig(model=model, chat_template=chat_template, eos_token=eos_token)
    elif chat_template or eos_token:
        raise ConfigError(
            "chat_template and eos_token would be ignored: there is no model; leave them out, or name one"
        )
    if trunk is not None and model == SMALL:
        # All that a model of this size knows it has from the pairs' own texts: more would be learned by rote.
        trunk, reward = replace(trunk, num_pretraining_epochs=4), replace(reward, learning="heads")
    return RewardRunConfig(recipe=REWARD_MODEL, data=data, trunk=trunk, model=reward, seed=seed)
