"""Learners, one file each. `ALGORITHMS` lists those of control, `IMITATORS` those that learn from demonstrations alone,
and `TEXT_ALGORITHMS` those of language models; the conformance tests go through all three."""

from heeler.algorithms.bc import BC, BCConfig
from heeler.algorithms.dagger import DAgger, DAggerConfig
from heeler.algorithms.dpo import DPO, DPOConfig
from heeler.algorithms.grpo import GRPO, GRPOConfig
from heeler.algorithms.kl_penalty import KLConfig
from heeler.algorithms.kto import KTO, KTOConfig
from heeler.algorithms.online_dpo import OnlineDPO, OnlineDPOConfig
from heeler.algorithms.ppo import PPO, PPOConfig
from heeler.algorithms.ppo_text import TextPPO, TextPPOConfig
from heeler.algorithms.rloo import RLOO, RLOOConfig
from heeler.algorithms.sft import SFT, SFTConfig
from heeler.algorithms.sqil import SQIL, SQILConfig

ALGORITHMS: tuple[tuple[type[PPO], type[PPOConfig]], ...] = ((PPO, PPOConfig),)

IMITATORS = ((BC, BCConfig), (DAgger, DAggerConfig), (SQIL, SQILConfig))

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
    "BC",
    "DPO",
    "GRPO",
    "IMITATORS",
    "KTO",
    "PPO",
    "RLOO",
    "SFT",
    "SQIL",
    "TEXT_ALGORITHMS",
    "BCConfig",
    "DAgger",
    "DAggerConfig",
    "DPOConfig",
    "GRPOConfig",
    "KLConfig",
    "KTOConfig",
    "OnlineDPO",
    "OnlineDPOConfig",
    "PPOConfig",
    "RLOOConfig",
    "SFTConfig",
    "SQILConfig",
    "TextPPO",
    "TextPPOConfig",
]
