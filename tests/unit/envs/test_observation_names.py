"""Names of what is observed: as many as there are numbers, each once, of worlds as they are by default."""

import pytest

from heeler.envs import EnvConfig, make
from heeler.envs.observation_names import _NAMES, observation_names


@pytest.mark.parametrize("name", _NAMES)
def test_there_is_a_name_for_each_number(name: str) -> None:
    world = make(EnvConfig(id=name, num_envs=1), 0)
    names = observation_names(EnvConfig(id=name), world.observation_size)
    world.close()
    assert names == _NAMES[name]
    assert len(set(names)) == len(names)


def test_other_worlds_and_other_sizes_have_numbers() -> None:
    assert observation_names(EnvConfig(id="CartPole-v1"), 2) == ("number 0", "number 1")
    assert observation_names(EnvConfig(id="Humanoid-v5"), 1) == ("number 0",)
