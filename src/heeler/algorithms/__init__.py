"""Learners, one file each. `ALGORITHMS` lists those of control, `IMITATORS` those that learn from demonstrations alone,
`EVALUATIVE_ALGORITHMS` those that learn from good and bad, and `TEXT_ALGORITHMS` those of language models; the
conformance tests go through all."""

from heeler.algorithms.bc import BC, BCConfig
from heeler.algorithms.coach import COACH, COACHConfig
from heeler.algorithms.dagger import DAgger, DAggerConfig
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
from heeler.algorithms.sqil import SQIL, SQILConfig
from heeler.algorithms.tamer import TAMER, TAMERConfig

ALGORITHMS: tuple[tuple[type[PPO], type[PPOConfig]], ...] = ((PPO, PPOConfig),)

IMITATORS = ((BC, BCConfig), (DAgger, DAggerConfig), (SQIL, SQILConfig))
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
    "BC",
    "COACH",
    "DPO",
    "EVALUATIVE_ALGORITHMS",
    "GRPO",
    "IMITATORS",
    "KTO",
    "PPO",
    "RLOO",
    "SFT",
    "SQIL",
    "TAMER",
    "TEXT_ALGORITHMS",
    "BCConfig",
    "COACHConfig",
    "DAgger",
    "DAggerConfig",
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
    "SQILConfig",
    "TAMERConfig",
    "TextPPO",
    "TextPPOConfig",
]
