"""Learners, one file each. `ALGORITHMS` lists those of control, `EVALUATIVE_ALGORITHMS` those that learn from good and
bad, and `TEXT_ALGORITHMS` those of language models; the conformance tests go through all."""

from heeler.algorithms.coach import COACH, COACHConfig
from heeler.algorithms.deep_coach import DeepCOACH, DeepCOACHConfig
from heeler.algorithms.deep_tamer import DeepTAMER, DeepTAMERConfig
from heeler.algorithms.dpo import DPO, DPOConfig
from heeler.algorithms.grpo import GRPO, GRPOConfig
from heeler.algorithms.kl_penalty import KLConfig
from heeler.algorithms.kto import KTO, KTOConfig
from heeler.algorithms.online_dpo import OnlineDPO, OnlineDPOConfig
from heeler.algorithms.ppo import PPO, PPOConfig
from heeler.algorithms.ppo_text import TextPPO, TextPPOConfig
from heeler.algorithms.rloo import RLOO, RLOOConfig
from heeler.algorithms.sft import SFT, SFTConfig
from heeler.algorithms.tamer import TAMER, TAMERConfig

ALGORITHMS: tuple[tuple[type[PPO], type[PPOConfig]], ...] = ((PPO, PPOConfig),)

EVALUATIVE_ALGORITHMS = (
    (TAMER, TAMERConfig),
    (DeepTAMER, DeepTAMERConfig),
    (COACH, COACHConfig),
    (DeepCOACH, DeepCOACHConfig),
)

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
    "COACH",
    "DPO",
    "EVALUATIVE_ALGORITHMS",
    "GRPO",
    "KTO",
    "PPO",
    "RLOO",
    "SFT",
    "TAMER",
    "TEXT_ALGORITHMS",
    "COACHConfig",
    "DPOConfig",
    "DeepCOACH",
    "DeepCOACHConfig",
    "DeepTAMER",
    "DeepTAMERConfig",
    "GRPOConfig",
    "KLConfig",
    "KTOConfig",
    "OnlineDPO",
    "OnlineDPOConfig",
    "PPOConfig",
    "RLOOConfig",
    "SFTConfig",
    "TAMERConfig",
    "TextPPO",
    "TextPPOConfig",
]
