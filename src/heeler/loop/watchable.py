"""Which monitors can find anything in a run in a world: the others watch it in vain, and no rule may wait for them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from heeler.oversight.monitors.config import MONITOR_NAMES

if TYPE_CHECKING:
    from heeler.loop.config import RunConfig

_OF_BUDGETS = ("cost_drift", "cost_over_budget")
_OF_PPO = ("entropy_collapse", "gradients", "kl_spike", "value_loss")
_OF_COMPARISONS = (
    "agreement_drift",
    "contradictory_answers",
    "disagreeing_person",
    "fast_answers",
    "feedback_stops",
    "one_sided_answers",
    "repeated_answers",
)


def watchable(config: "RunConfig", cost_names: Sequence[str] | None = None) -> tuple[str, ...]:
    """Names of the monitors that can find something.

    Args:
        config: of the run.
        cost_names: of all its costs, the world's among them; None while the world is not known yet.
    """
    blind: set[str] = set()
    if config.limits is None:
        blind |= {*_OF_BUDGETS}
    if cost_names is not None and not cost_names:
        blind |= {"cost_sensor"}
    if config.imitation is not None and not config.imitation.is_reward:
        blind |= {*_OF_PPO}
    blind |= _blind_to_answers(config)
    return tuple(name for name in MONITOR_NAMES if name not in blind)


def _blind_to_answers(config: "RunConfig") -> set[str]:
    """Those that need answers, or a reward that is learned from them, where there are none."""
    asking, blind = config.asking, set[str]()
    if config.kinds is None:
        blind |= {"hard_questions"}
    if config.preferences is None and not (config.kinds and "preference" in config.kinds.kinds):
        blind |= {*_OF_COMPARISONS}
    if asking is None:
        return blind | {"reward_disagreement", "reward_hacking"}
    if asking.teacher == "people":
        # What the world pays is not what people want of it: true returns are not looked at.
        return blind | {"return_drift", "reward_hacking"}
    return blind
