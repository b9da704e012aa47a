"""What a configuration file may hold: nothing unknown, nothing of the wrong type, nothing that would be ignored."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import yaml

from heeler.core.errors import ConfigError
from heeler.envs import EnvConfig
from heeler.feedback.schedule import LabelSchedule
from heeler.loop.config import from_dict, to_dict
from heeler.loop.preferences_config import PreferencesConfig
from heeler.recipes import ppo, preferences
from heeler.rewards.preference_model import PreferenceModelConfig
from tests.unit.loop.tiny import tiny_ppo, tiny_preferences


def changed(path: str, value: Any) -> dict[str, Any]:
    """A sound configuration with one setting changed or added."""
    values = to_dict(preferences(env="Pendulum-v1"))
    *parents, last = path.split(".")
    place = values
    for name in parents:
        place = place[name]
    place[last] = value
    return values


UNKNOWN = [
    ("sed", "seed"),
    ("env.num_env", "env.num_envs"),
    ("algorithm.learnig_rate", "algorithm.learning_rate"),
    ("algorithm.policy.hidden_size", "algorithm.policy.hidden_sizes"),
    ("preferences.segment_lenght", "preferences.segment_length"),
    ("preferences.schedule.bugdet", "preferences.schedule.budget"),
    ("preferences.teacher.betta", "preferences.teacher.beta"),
    ("preferences.model.num_member", "preferences.model.num_members"),
]


@pytest.mark.parametrize(("path", "near"), UNKNOWN)
def test_unknown_settings_are_refused_with_the_nearest_right_name(path, near):
    with pytest.raises(ConfigError, match=f"{path}.* Did you mean '{near}'"):
        from_dict(changed(path, 1))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("total_steps", "many"),
        ("total_steps", 1.5),
        ("total_steps", None),
        ("total_steps", float("inf")),
        ("env", "Pendulum-v1"),
        ("env.num_envs", "x"),
        ("env.num_envs", [1]),
        ("env.vectorization", "synch"),
        ("algorithm.learning_rate", "fast"),
        ("algorithm.policy.hidden_sizes", [64, "a"]),
        ("algorithm.policy.hidden_sizes", 64),
        ("algorithm.device", "tpu"),
        ("preferences.teacher", "peple"),
        ("preferences.teacher.beta", "very"),
        ("preferences.model.inputs", ["reward"]),
        ("trackers", ["wandb"]),
    ],
)
def test_wrong_types_are_refused_by_name(path, value):
    with pytest.raises(ConfigError, match=path.split(".")[0]):
        from_dict(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("total_steps", 0, "total_steps must be >= 1, got 0"),
        ("total_steps", 10, "total_steps must be at least one update's"),
        ("num_steps", 0, "num_steps must be >= 1, got 0"),
        ("env.num_envs", 0, "num_envs must be at least 1, got 0"),
        ("checkpoint_every", 0, "checkpoint_every must be >= 1"),
        ("torch_threads", 0, "torch_threads must be >= 1"),
        ("torch_threads", 100_000, "torch_threads must be at most 1024, got 100000"),
        ("keep_checkpoints", 0, "keep_checkpoints must be >= 1"),
        ("num_evaluation_episodes", 0, "num_evaluation_episodes must be >= 1"),
        ("preferences.segment_length", 65, r"segment_length must be <= num_steps \(64\)"),
        ("preferences.segment_length", 0, "segment_length must be >= 1"),
        ("preferences.schedule.budget", 0, "budget must be > 0, got 0"),
        ("preferences.acquisition", "disagreemnt", "acquisition must be one of"),
        ("preferences.exploration", -1.0, "exploration must be >= 0"),
        ("preferences.exploration", math.inf, "exploration must be >= 0 and finite"),
        ("preferences.exploration", math.nan, "exploration must be >= 0 and finite"),
        ("preferences.restart_share", 0.0, "restart_share must be above 0 and below 1, or None, got 0.0"),
        ("preferences.restart_share", 1.0, "restart_share must be above 0 and below 1"),
        ("preferences.restart_share", math.nan, "restart_share must be above 0 and below 1"),
        ("preferences.history_share", 1.5, "history_share must be between 0 and 1"),
        ("preferences.refit_every", 0, "refit_every must be >= 1"),
        ("preferences.model.lapse", 1.0, "lapse must be at least 0 and below 1"),
        ("preferences.model.num_members", 0, "num_members must be > 0"),
        ("preferences.teacher.mistake", 1.5, "TeacherConfig.mistake must be a probability"),
        ("algorithm.discount", 1.5, "discount must be between 0 and 1"),
        ("algorithm.num_epochs", 0, "num_epochs must be > 0"),
    ],
)
def test_values_out_of_range_are_refused_in_plain_words(path, value, message):
    with pytest.raises(ConfigError, match=message) as error:
        from_dict(changed(path, value))
    assert "Value error" not in str(error.value)


@pytest.mark.parametrize("path", ["recipe", "env", "total_steps", "preferences.schedule", "preferences.teacher"])
def test_a_missing_setting_is_named(path):
    values = to_dict(preferences(env="Pendulum-v1"))
    *parents, last = path.split(".")
    place = values
    for name in parents:
        place = place[name]
    del place[last]
    with pytest.raises(ConfigError, match=rf"\b{path}\b") as error:
        from_dict(values)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("acquisition", ["disagreement", "information_gain"])
def test_an_acquisition_that_needs_an_ensemble_is_refused_without_one(acquisition):
    values = changed("preferences.acquisition", acquisition)
    values["preferences"]["model"]["num_members"] = 1
    with pytest.raises(ConfigError, match="num_members"):
        from_dict(values)


def test_numbers_written_as_other_numbers_are_taken():
    """YAML reads 1e6 as a float and 1 as an integer; both say what is meant."""
    assert from_dict(changed("total_steps", 1e6)).total_steps == 1_000_000
    assert from_dict(changed("algorithm.learning_rate", 1)).algorithm.learning_rate == 1.0
    assert from_dict(changed("preferences.teacher.beta", "inf")).preferences.teacher.beta == float("inf")


@pytest.mark.parametrize(
    "kwargs",
    [
        {"desc": ["SFF", "FHF", "FFG"], "is_slippery": False},
        {"map_name": None, "reward_schedule": (1, 0, 0)},
        {"size": (8, 8), "success_rate": 1.0},
        {"options": {"wind": 0.5, "walls": [[1, 2], None], "inner": {"on": True}}},
        {"healthy_z_range": (0.8, math.inf), "limit": -math.inf},
    ],
)
def test_a_worlds_own_settings_come_back_from_a_file_as_they_were(kwargs):
    config = ppo(env="FrozenLake-v1")
    config = replace(config, env=replace(config.env, kwargs=kwargs))
    again = from_dict(yaml.safe_load(yaml.safe_dump(to_dict(config), sort_keys=False)))
    # 1, 1.0 and True are equal, and not the same to a world.
    assert repr(again) == repr(config)


def test_a_worlds_setting_that_no_file_can_hold_is_refused():
    with pytest.raises(ConfigError, match=r"env\.kwargs\.size must be made of numbers, .*; got array.*, a ndarray"):
        EnvConfig(id="FrozenLake-v1", kwargs={"size": {"of": [np.zeros(2)]}})


def test_defaults_fill_what_is_left_out():
    values = to_dict(ppo(env="Pendulum-v1"))
    del values["checkpoint_every"], values["algorithm"]["clip"], values["preferences"]
    config = from_dict(values)
    assert (config.checkpoint_every, config.algorithm.clip, config.preferences) == (20, 0.2, None)


def test_exploration_without_an_ensemble_is_refused():
    schedule, alone = LabelSchedule(budget=10), PreferenceModelConfig(num_members=1)
    with pytest.raises(ConfigError, match="num_members must be >= 2"):
        PreferencesConfig(schedule=schedule, teacher="people", acquisition="random", exploration=1.0, model=alone)


@pytest.mark.parametrize(
    ("share", "restart", "progress"),
    [
        (None, None, {0: 0.0, 3: 0.25, 6: 0.5, 12: 1.0}),
        (0.5, 6, {0: 0.0, 3: 0.5, 5: 5 / 6, 6: 0.0, 9: 0.5, 12: 1.0}),
        (0.25, 3, {2: 2 / 3, 3: 0.0, 12: 1.0}),
        # A run so short that there is no update before, or after.
        (0.01, None, {6: 0.5}),
        (0.99, None, {6: 0.5}),
    ],
)
def test_progress_is_that_of_the_policy(share, restart, progress):
    config = tiny_preferences()
    assert config.preferences is not None
    config = replace(config, preferences=replace(config.preferences, restart_share=share))
    assert config.num_updates == 12
    assert config.restart_update == restart
    assert {update: config.progress(update) for update in progress} == pytest.approx(progress)


def test_a_run_on_the_true_reward_has_one_policy():
    config = tiny_ppo()
    assert config.restart_update is None
    assert config.progress(config.num_updates) == 1.0
