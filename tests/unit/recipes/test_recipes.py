"""Every recipe: its configuration survives a file, every argument does something, and bad ones are refused."""

from collections.abc import Callable
from inspect import signature
from typing import Any

import pytest
import yaml

from heeler.core.errors import ConfigError
from heeler.envs import make
from heeler.feedback.teachers import TEACHERS
from heeler.loop.config import RunConfig, from_dict, to_dict
from heeler.loop.evaluative.config import evaluative_config_from_dict
from heeler.loop.language.config import language_config_from_dict
from heeler.loop.offline.config import offline_config_from_dict
from heeler.loop.reward_config import reward_config_from_dict
from heeler.recipes import RECIPES, backflip, ppo, preferences
from heeler.recipes.preferences import fixed_length_settings

NEEDED: dict[str, dict[str, Any]] = {
    "backflip": {},
    "kinds": {"env": "Hopper-v5"},
    "preferences": {"env": "Hopper-v5"},
    "ppo": {"env": "Hopper-v5"},
    "reward-model": {"data": "pairs.jsonl", "model": "first"},
    "helpdesk": {},
    "chat": {"model": "first", "prompts": "prompts.jsonl"},
    "sft": {"model": "first", "data": "texts.jsonl"},
    "dpo": {"model": "first", "data": "texts.jsonl"},
    "velocity": {},
    "course": {},
    "evaluative": {"env": "CartPole-v1"},
    "imitation": {"env": "Hopper-v5", "demonstrations": "shown.npz"},
}
"""Arguments without a default."""
OTHER: dict[str, Any] = {
    "env": "Walker2d-v5",
    "seed": 5,
    "budget": 333,
    "budget_s": 333,
    "kinds": "rating,correction",
    "asking": "uniform",
    "total_steps": 777_777,
    "teacher": "people",
    "acquisition": "entropy",
    "num_envs": 32,
    "data": "others.jsonl",
    "model": "folder",
    "trunk_only": True,
    "prompts": "others.jsonl",
    "hostile": 0.25,
    "num_updates": 77,
    "lora": False,
    "learning_rate": 5e-4,
    "answers_per_update": 3,
    "max_new_tokens": 33,
    "chat_template": "chats.jinja",
    "eos_token": "<end>",
    "learner": "grpo",
    "loss": "kto",
    "beta": 0.3,
    "num_epochs": 7,
    "batch_size": 9,
    "margin": 0.125,
    "method": "cpo",
    "hazards": 11.0,
    "vases": 3.0,
    "minutes": 1.5,
    "reward": "runs/other",
    "demonstrations": "others.npz",
    "episodes": 4,
    "expert": "runs/other",
    "state_only": True,
}
"""A value of each argument that is nobody's default."""
OTHER_OF: dict[tuple[str, str], Any] = {("evaluative", "method"): "deep-coach", ("imitation", "method"): "gail"}
"""The same where a recipe's argument takes other values than another's of that name."""
WITH: dict[tuple[str, str], dict[str, Any]] = {
    ("imitation", "expert"): {"method": "dagger", "expert": "people"},
    ("imitation", "state_only"): {"method": "airl"},
}
"""What else has to be said for an argument that would be refused by itself."""


READ: dict[str, Callable[..., Any]] = {
    "reward-model": reward_config_from_dict,
    "helpdesk": language_config_from_dict,
    "chat": language_config_from_dict,
    "sft": offline_config_from_dict,
    "dpo": offline_config_from_dict,
    "evaluative": evaluative_config_from_dict,
}
"""How a configuration is read that is no run's in a world."""
WORLDS = [name for name in RECIPES if name not in READ]


def made(name: str, **changes: Any) -> Any:
    return RECIPES[name](**(NEEDED[name] | changes))


def flat(config: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                walk(f"{prefix}.{key}", item)
        else:
            values[prefix] = value

    walk("", to_dict(config))
    return values


def test_the_tables_here_name_every_recipe_and_argument():
    assert NEEDED.keys() == RECIPES.keys()
    for recipe in RECIPES.values():
        assert signature(recipe).parameters.keys() <= OTHER.keys()


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_what_it_is(name):
    recipe = RECIPES[name]
    assert recipe.__doc__
    for argument in signature(recipe).parameters:
        assert f"{argument}:" in recipe.__doc__, argument
    assert made(name).recipe == name


@pytest.mark.parametrize("name", RECIPES)
def test_its_configuration_comes_back_from_a_file(name):
    config = made(name)
    read = READ.get(name, from_dict)
    assert read(yaml.safe_load(yaml.safe_dump(to_dict(config)))) == config


@pytest.mark.parametrize("teacher", [*TEACHERS, "people"])
@pytest.mark.parametrize("name", ["backflip", "preferences"])
def test_every_teacher_comes_back_from_a_file(name, teacher):
    """The oracle's rationality is infinite, which not every file format can say."""
    config = made(name, teacher=teacher)
    assert config.preferences is not None
    assert config.preferences.teacher == ("people" if teacher == "people" else TEACHERS[teacher])
    text = yaml.safe_dump(to_dict(config))
    assert from_dict(yaml.safe_load(text)) == config
    assert from_dict(yaml.safe_load(yaml.safe_dump(to_dict(from_dict(yaml.safe_load(text)))))) == config


ARGUMENTS = [(name, argument) for name, recipe in RECIPES.items() for argument in signature(recipe).parameters]


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
def test_no_argument_is_ignored(name, argument):
    other = OTHER_OF.get((name, argument), OTHER[argument])
    given = WITH.get((name, argument), {})
    plain, changed = flat(made(name, **given)), flat(made(name, **(given | {argument: other})))
    differing = {key for key in plain.keys() | changed.keys() if plain.get(key) != changed.get(key)}
    assert differing, f"{argument}={other!r} changes nothing"


@pytest.mark.parametrize("name", WORLDS)
def test_its_world_can_be_made_and_acts(name):
    config = made(name)
    world = make(config.env, config.seed)
    observation, _ = world.reset(seed=0)
    assert observation.shape == (config.env.num_envs, *world.single_observation_space.shape)
    world.close()


def test_teachers_by_name():
    with pytest.raises(ConfigError, match=r"teacher must be one of .*people, got 'nosy'\. Did you mean 'noisy'\?"):
        backflip(teacher="nosy")


@pytest.mark.parametrize("recipe", [backflip, lambda **kwargs: preferences(env="Pendulum-v1", **kwargs)])
def test_bad_arguments_are_refused(recipe: Callable[..., RunConfig]):
    with pytest.raises(ConfigError, match="budget must be > 0, got 0"):
        recipe(budget=0)
    with pytest.raises(ConfigError, match=r"acquisition must be one of .*, got 'disagrement'"):
        recipe(acquisition="disagrement")
    with pytest.raises(ConfigError, match="total_steps must be at least one update"):
        recipe(total_steps=100)


@pytest.mark.parametrize("env", ["Hopper-v5", "Walker2d-v5", "Ant-v5", "Humanoid-v5"])
def test_the_preferences_recipe_has_episodes_of_one_length(env):
    """An early end would tell the learner something that nobody answered."""
    assert preferences(env=env).env.kwargs == {"terminate_when_unhealthy": False}
    assert ppo(env=env).env.kwargs == {}


def test_other_worlds_keep_their_own_settings():
    assert fixed_length_settings("Pendulum-v1") == {}


def test_an_oracle_is_not_expected_to_lapse():
    for teacher, lapse in (("oracle", 0.0), ("noisy", 0.1), ("people", 0.1)):
        config = preferences(env="Pendulum-v1", teacher=teacher)
        assert config.preferences is not None
        assert config.preferences.model.lapse == lapse


def test_a_learner_or_loss_that_there_is_not_is_refused():
    with pytest.raises(ConfigError, match="learner must be one of rloo"):
        made("chat", learner="reinforce")
    with pytest.raises(ConfigError, match="loss must be one of dpo"):
        made("dpo", loss="hinge")
    with pytest.raises(ConfigError, match=r"method must be one of tamer, .* Did you mean 'tamer'"):
        made("evaluative", method="tammer")
    with pytest.raises(ConfigError, match="teacher must be one of scripted, people"):
        made("evaluative", teacher="oracle")
    with pytest.raises(ConfigError, match="minutes must be > 0"):
        made("evaluative", minutes=0.0)
    with pytest.raises(ConfigError, match=r"no learner 'cpoo' keeps budgets; .* Did you mean 'cpo'"):
        made("velocity", method="cpoo")
