"""A reward model of texts, fitted to pairs that people judged."""

from dataclasses import replace

from heeler.loop.config import REWARD_MODEL
from heeler.loop.reward_config import SMALL, RewardRunConfig, TrunkConfig
from heeler.models.language.weights import OptimizerConfig
from heeler.rewards.language_model import RewardModelConfig


def reward_model(*, data: str, model: str = "", ngrams: bool = True, seed: int = 0) -> RewardRunConfig:
    """Fit a reward model to pairs of texts that people judged.

    Args:
        data: pairs with chosen and rejected: .jsonl, .json (also .gz), .parquet, a folder saved by datasets, or a hub
            id.
        model: language model whose hidden states it reads: a folder, a hub id, or small for one that is made and
            trained from nothing; without it the reward is one of n-grams alone.
        ngrams: whether the reward has a linear part on n-grams of words and letters.
        seed: everything random in the run follows from it, the split of the prompts too.
    """
    reward = RewardModelConfig() if ngrams else RewardModelConfig(ngrams=None)
    trunk = None
    if model == SMALL:
        trunk = TrunkConfig(model=SMALL, num_pretraining_epochs=3)
        steps = OptimizerConfig(learning_rate=3e-4, num_warmup_updates=10, final_learning_rate_share=0.0)
        reward = replace(reward, optimizer=steps, num_epochs=2)
    elif model:
        trunk = TrunkConfig(model=model)
    return RewardRunConfig(recipe=REWARD_MODEL, data=data, trunk=trunk, model=reward, seed=seed)
