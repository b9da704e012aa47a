"""Learners, one file each. `ALGORITHMS` lists those of control, `CONSTRAINED_ALGORITHMS` by name those that keep within
budgets (and the fixed penalty that they are compared with), `IMITATORS` those that learn from demonstrations alone,
`EVALUATIVE_ALGORITHMS` those that learn from good and bad, and `TEXT_ALGORITHMS` those of language models; the
conformance tests go through all."""

from collections.abc import Callable, Mapping
from typing import Any

from heeler.algorithms.bc import BC, BCConfig
from heeler.algorithms.coach import COACH, COACHConfig
from heeler.algorithms.constrained import ConstrainedPPO
from heeler.algorithms.cpo import CPO, CPOConfig
from heeler.algorithms.dagger import DAgger, DAggerConfig
from heeler.algorithms.deep_coach import DeepCOACH, DeepCOACHConfig
from heeler.algorithms.deep_tamer import DeepTAMER, DeepTAMERConfig
from heeler.algorithms.dpo import DPO, DPOConfig
from heeler.algorithms.fixed_penalty import FixedPenalty, FixedPenaltyConfig
from heeler.algorithms.focops import FOCOPS, FOCOPSConfig
from heeler.algorithms.grpo import GRPO, GRPOConfig
from heeler.algorithms.kl_penalty import KLConfig
from heeler.algorithms.kto import KTO, KTOConfig
from heeler.algorithms.online_dpo import OnlineDPO, OnlineDPOConfig
from heeler.algorithms.p3o import P3O, P3OConfig
from heeler.algorithms.ppo import PPO, PPOConfig
from heeler.algorithms.ppo_lagrangian import PPOLagrangian, PPOLagrangianConfig
from heeler.algorithms.ppo_text import TextPPO, TextPPOConfig
from heeler.algorithms.rcpo import RCPO, RCPOConfig
from heeler.algorithms.rloo import RLOO, RLOOConfig
from heeler.algorithms.sft import SFT, SFTConfig
from heeler.algorithms.sqil import SQIL, SQILConfig
from heeler.algorithms.tamer import TAMER, TAMERConfig

ALGORITHMS: tuple[tuple[type[PPO], type[PPOConfig]], ...] = ((PPO, PPOConfig),)
CONSTRAINED_ALGORITHMS: Mapping[str, tuple[type[ConstrainedPPO[Any]], Callable[[], Any]]] = {
    "ppo_lagrangian": (PPOLagrangian, PPOLagrangianConfig),
    "rcpo": (RCPO, RCPOConfig),
    "cpo": (CPO, CPOConfig),
    "focops": (FOCOPS, FOCOPSConfig),
    "p3o": (P3O, P3OConfig),
    "fixed_penalty": (FixedPenalty, FixedPenaltyConfig),
}

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
    "CONSTRAINED_ALGORITHMS",
    "CPO",
    "DPO",
    "EVALUATIVE_ALGORITHMS",
    "FOCOPS",
    "GRPO",
    "IMITATORS",
    "KTO",
    "P3O",
    "PPO",
    "RCPO",
    "RLOO",
    "SFT",
    "SQIL",
    "TAMER",
    "TEXT_ALGORITHMS",
    "BCConfig",
    "COACHConfig",
    "CPOConfig",
    "ConstrainedPPO",
    "DAgger",
    "DAggerConfig",
    "DPOConfig",
    "DeepCOACH",
    "DeepCOACHConfig",
    "DeepTAMER",
    "DeepTAMERConfig",
    "FOCOPSConfig",
    "FixedPenalty",
    "FixedPenaltyConfig",
    "GRPOConfig",
    "KLConfig",
    "KTOConfig",
    "OnlineDPO",
    "OnlineDPOConfig",
    "P3OConfig",
    "PPOConfig",
    "PPOLagrangian",
    "PPOLagrangianConfig",
    "RCPOConfig",
    "RLOOConfig",
    "SFTConfig",
    "SQILConfig",
    "TAMERConfig",
    "TextPPO",
    "TextPPOConfig",
]
