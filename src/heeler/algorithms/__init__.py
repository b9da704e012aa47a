"""Learners, one file each. `ALGORITHMS` lists those of control and `TEXT_ALGORITHMS` those of language models; the
conformance tests go through both."""

from heeler.algorithms.dpo import DPO, DPOConfig
from heeler.algorithms.grpo import GRPO, GRPOConfig
from heeler.algorithms.kl_penalty import KLConfig
from heeler.algorithms.kto import KTO, KTOConfig
from heeler.algorithms.online_dpo import OnlineDPO, OnlineDPOConfig
from heeler.algorithms.ppo import PPO, PPOConfig
from heeler.algorithms.ppo_text import TextPPO, TextPPOConfig
from heeler.algorithms.rloo import RLOO, RLOOConfig
from heeler.algorithms.sft import SFT, SFTConfig

ALGORITHMS: tuple[tuple[type[PPO], type[PPOConfig]], ...] = ((PPO, PPOConfig),)

TEXT_ALGORITHMS = (
    (SFT, SFTConfig),
    (RLOO, RLOOConfig),
    (GRPO, GRPOConfig),
    (TextPPO, TextPPOConfig),
    (DPO, DPOConfig),
    (OnlineDPO, OnlineDPOConfig),
    (KTO, KTOConfig),
)

__all__ = [
    "ALGORITHMS",
    "DPO",
    "GRPO",
    "KTO",
    "PPO",
    "RLOO",
    "SFT",
    "TEXT_ALGORITHMS",
    "DPOConfig",
    "GRPOConfig",
    "KLConfig",
    "KTOConfig",
    "OnlineDPO",
    "OnlineDPOConfig",
    "PPOConfig",
    "RLOOConfig",
    "SFTConfig",
    "TextPPO",
    "TextPPOConfig",
]
