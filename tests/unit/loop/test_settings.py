"""Settings by dotted name: changed, checked, and refused with the nearest right one."""

from typing import Any

import pytest

from heeler.core.errors import ConfigError
from heeler.loop.config import RunConfig, from_dict, to_dict
from heeler.loop.language.config import language_config_from_dict
from heeler.loop.settings import assign, described, dotted
from heeler.recipes import backflip, chat, helpdesk, ppo, preferences


def changed(config: RunConfig, *assignments: str) -> RunConfig:
    return from_dict(assign(to_dict(config), assignments))


def test_every_kind_of_value() -> None:
    config = changed(
        backflip(),
        "algorithm.learning_rate=1e-4",
        "algorithm.target_kl=0.02",
        "algorithm.normalize_rewards=false",
        "algorithm.policy.activation=relu",
        "algorithm.policy.hidden_sizes=[32, 16]",
        "preferences.model.hidden_sizes=8,9",
        "preferences.model.inputs=observation",
        "preferences.teacher.beta=inf",
        "preferences.schedule.budget=10",
        "env.kwargs.max_episode_steps=200",
        "trackers=tensorboard,mlflow",
        "seed=7",
    )
    assert config.preferences is not None
    assert config.algorithm.learning_rate == 1e-4
    assert config.algorithm.target_kl == 0.02
    assert config.algorithm.normalize_rewards is False
    assert config.algorithm.policy.activation == "relu"
    assert config.algorithm.policy.hidden_sizes == (32, 16)
    assert config.preferences.model.hidden_sizes == (8, 9)
    assert config.preferences.model.inputs == ("observation",)
    assert config.preferences.teacher != "people"
    assert config.preferences.teacher.beta == float("inf")
    assert config.preferences.schedule.budget == 10
    assert config.env.kwargs == {"max_episode_steps": 200}
    assert config.trackers == ("tensorboard", "mlflow")
    assert config.seed == 7


def test_a_name_that_yaml_takes_for_a_truth_value_is_a_name() -> None:
    config = changed(ppo(env="CartPole-v1"), "monitors={off: [kl_spike]}")
    assert config.monitors is not None
    assert config.monitors.off == ("kl_spike",)
    assert changed(ppo(env="CartPole-v1"), "algorithm.normalize_rewards=off").algorithm.normalize_rewards is False


def test_nothing_else_changes() -> None:
    before = to_dict(backflip())
    after = dotted(assign(before, ["seed=1"]))
    assert {name for name, value in dotted(before).items() if after[name] != value} == {"seed"}
    assert before == to_dict(backflip())
    assert changed(backflip(), "preferences.teacher=people").preferences.teacher == "people"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("seed", "expected NAME=VALUE, such as algorithm.learning_rate=1e-3; got 'seed'"),
        ("=3", "expected NAME=VALUE"),
        ("sed=3", "no setting 'sed'. Did you mean 'seed'?"),
        ("algorithm.lerning_rate=3", "no setting 'algorithm.lerning_rate'. Did you mean 'algorithm.learning_rate'?"),
        ("activation=tanh", "no setting 'activation'. Did you mean 'algorithm.policy.activation'?"),
        ("preferences.schedule.budget=3", "no setting 'preferences.schedule.budget'"),
        ("seed.deeper=3", "no setting 'seed.deeper'"),
        ("algorithm.clip=abc", "setting algorithm.clip: .*valid number.*got 'abc'"),
        ("total_steps=1.5", r"setting total_steps: .*integer.*got 1\.5"),
        ("algorithm.clip=-1", "algorithm: clip must be > 0, got -1.0"),
        ("algorithm.policy.activation=rely", "setting algorithm.policy.activation: .*got 'rely'"),
        ("env.num_envs=0", "env: num_envs must be at least 1, got 0"),
        ("total_steps=10", "total_steps must be at least one update's 4096"),
        ("algorithm=3", "setting algorithm: .*got 3"),
        (
            "shield={mask: {function: a.py:f}, fallback: {kind: halt}}",
            "no setting shield.mask.function. shield.mask takes source$",
        ),
        ("seed=[", "seed: '\\[' cannot be read as a value"),
        ("trackers=tensorbord", r"setting trackers\[0\]: .*got 'tensorbord'"),
    ],
)
def test_what_is_wrong_is_named(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        changed(ppo(env="CartPole-v1"), assignment)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ((), "there is no setting num_env."),
        (("algorithm",), "there is no setting algorithm.num_env."),
        (("env",), "there is no setting env.num_env. Did you mean 'env.num_envs'?"),
        (("preferences", "teacher"), "there is no setting preferences.teacher.num_env"),
    ],
)
def test_a_file_with_an_unknown_setting_is_refused(place: tuple[str, ...], message: str) -> None:
    values: dict[str, Any] = to_dict(backflip())
    inner = values
    for part in place:
        inner = inner[part]
    inner["num_env"] = 3
    with pytest.raises(ConfigError, match=message):
        from_dict(values)


@pytest.mark.parametrize(
    ("teacher", "name", "value", "message"),
    [
        ("oracle", "gamma", 5.0, "TeacherConfig.gamma must be > 0 and at most 1, got 5.0"),
        ("oracle", "side_bias", float("nan"), "TeacherConfig.side_bias must be -1 to 1, got nan"),
        ("oracle", "beta", "high", "valid number, .*got 'high'"),
        ("crowd", "hostile_share", 2.0, "hostile_share must be .*got 2.0"),
    ],
)
def test_a_bad_value_does_not_put_another_class_in_its_place(teacher: str, name: str, value: Any, message: str) -> None:
    """A simulated teacher and a crowd may stand in one place, and each lacks what the other has."""
    values: dict[str, Any] = to_dict(preferences(env="Pendulum-v1", teacher=teacher))
    values["preferences"]["teacher"][name] = value
    with pytest.raises(ConfigError, match=rf"preferences\.teacher.*{message}"):
        from_dict(values)


@pytest.mark.parametrize(("name", "told"), [(1, "1"), (None, "None"), (True, "True"), (2.5, "2.5")])
def test_a_name_that_yaml_takes_for_something_else_is_refused(name: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=rf"there is no setting {told}\."):
        from_dict({name: 2})
    with pytest.raises(ConfigError, match=rf"there is no setting env\.{told}\."):
        from_dict({"env": {name: 2}})


def test_a_file_says_what_it_was_made_of() -> None:
    for config in (backflip(), ppo(env="CartPole-v1")):
        assert from_dict(to_dict(config)) == config


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("budgets.toxicity=.nan", "budgets.toxicity must be a share, 0 to 1, or None for no limit, got nan"),
        ("budgets.toxicity=-1", "budgets.toxicity must be a share.*got -1.0"),
        ("budgets.toxicity=1.5", "budgets.toxicity must be a share.*got 1.5"),
        ("learned.weight=.inf", "learned.weight must be > 0 and finite, got inf"),
    ],
)
def test_what_no_language_model_can_learn_by_is_refused(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        language_config_from_dict(assign(to_dict(helpdesk()), [assignment]))
    language_config_from_dict(assign(to_dict(helpdesk()), ["budgets.toxicity=null"]))


def test_a_setting_that_may_be_a_group_says_what_the_group_holds() -> None:
    config = chat(model="m", prompts="p")
    types = {setting.name: setting.type for setting in described(config, to_dict(config))}
    assert types["parts.repetition"] == "float | {weight: float, size: int}"
    assert types["parts.functions"] == "tuple[{weight: float, function: str, name: str}, ...]"
    assert types["release.approval"] == "Literal['gate', 'people', 'canary']"
    assert types["store"] == "str"
