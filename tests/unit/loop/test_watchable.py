"""Rules wait only for monitors that can find something in a run of their kind."""

from dataclasses import replace
from pathlib import Path

import pytest

from heeler.core.errors import ConfigError
from heeler.loop.config import RunConfig
from heeler.loop.language.config import LanguageRunConfig
from heeler.loop.running import run
from heeler.loop.watchable import watchable
from heeler.oversight.interventions import InterventionsConfig, RuleConfig
from heeler.oversight.monitors import MONITOR_NAMES, MonitorsConfig
from heeler.recipes import imitation, kinds, ppo, preferences, velocity
from tests.unit.loop.language.tiny import tiny_language_run
from tests.unit.loop.tiny import CARTPOLE_SHOWN, tiny_ppo

ANSWERS = {
    "agreement_drift",
    "contradictory_answers",
    "disagreeing_person",
    "fast_answers",
    "feedback_stops",
    "one_sided_answers",
    "repeated_answers",
}
OF_THE_REWARD = {"reward_disagreement", "reward_hacking"}
BUDGETS = {"cost_drift", "cost_over_budget"}
OF_PPO = {"entropy_collapse", "gradients", "kl_spike", "value_loss"}


@pytest.mark.parametrize(
    ("config", "blind"),
    [
        (ppo(env="Pendulum-v1"), BUDGETS | ANSWERS | OF_THE_REWARD | {"hard_questions"}),
        (velocity(), ANSWERS | OF_THE_REWARD | {"hard_questions"}),
        (preferences(env="Pendulum-v1"), BUDGETS | {"hard_questions"}),
        (
            preferences(env="Pendulum-v1", teacher="people"),
            BUDGETS | {"hard_questions", "return_drift", "reward_hacking"},
        ),
        (kinds(env="Pendulum-v1"), BUDGETS),
        (kinds(env="Pendulum-v1", kinds="rating"), BUDGETS | ANSWERS),
        (
            imitation(env="CartPole-v1", demonstrations=str(CARTPOLE_SHOWN), method="bc"),
            BUDGETS | ANSWERS | OF_THE_REWARD | OF_PPO | {"hard_questions"},
        ),
        (
            imitation(env="CartPole-v1", demonstrations=str(CARTPOLE_SHOWN), method="gail"),
            BUDGETS | ANSWERS | OF_THE_REWARD | {"hard_questions"},
        ),
    ],
)
def test_who_can_find_something(config: RunConfig, blind: set[str]) -> None:
    assert set(MONITOR_NAMES) - set(watchable(config)) == blind
    for name in sorted(blind):
        with pytest.raises(ConfigError, match=f"monitor '{name}' can find nothing in a run of this kind; those that"):
            replace(config, interventions=ruled(name), monitors=MonitorsConfig())
    seeing = set(watchable(config)) - {"breakdown", "stall"}
    for name in sorted(seeing):
        replace(config, interventions=ruled(name), monitors=MonitorsConfig())


def ruled(monitor: str) -> InterventionsConfig:
    return InterventionsConfig(rules=(RuleConfig(monitor=monitor, act="warn"),), trusted="release")


@pytest.mark.parametrize("monitor", ["cost_sensor", "cost_*"])
def test_a_world_without_costs_is_found_out_before_anything_is_written(monitor: str, tmp_path: Path) -> None:
    config = replace(tiny_ppo(), interventions=ruled(monitor), monitors=MonitorsConfig())
    with pytest.raises(ConfigError, match="can find nothing in a run of this kind"):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("monitor", ["return_drift", "stuck_sensor", "cost_drift", "fast_answers", "value_loss"])
def test_what_a_language_model_does_not_show_is_waited_for_by_no_rule(monitor: str, tmp_path: Path) -> None:
    config: LanguageRunConfig = tiny_language_run(tmp_path / "model")
    with pytest.raises(ConfigError, match=f"monitor '{monitor}' can find nothing.* can: checkpoints, entropy_collapse"):
        replace(config, interventions=ruled(monitor), monitors=MonitorsConfig())
    for name in ("kl_spike", "reward_disagreement", "resources"):
        replace(config, interventions=ruled(name), monitors=MonitorsConfig())


def test_a_monitor_that_is_off_is_said_to_be_off() -> None:
    with pytest.raises(ConfigError, match="no monitor 'gradients' watches this run; there are"):
        replace(tiny_ppo(), interventions=ruled("gradients"), monitors=MonitorsConfig(off=("gradients",)))
