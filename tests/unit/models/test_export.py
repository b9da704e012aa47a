"""Exported policies: equal to torch's, on NumPy alone, and refused where they were altered."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

from heeler.core.errors import RunError
from heeler.envs.spaces import flat_action_space, flat_observation, flat_observation_space, own_action
from heeler.models.export import describe_action, export_policy
from heeler.models.numpy_policy import NumpyPolicy, read_safetensors
from heeler.models.policy import Activation, Policy, PolicyConfig

BOX = Box(-1.0, 1.0, (7,), np.float32)
ACTIONS = {
    "bounded box": Box(np.array([-1, -0.05, 0], np.float32), np.array([1, 0.05, 2], np.float32)),
    "half-open box of two axes": Box(np.array([[-np.inf], [0.0]]), np.array([[0.1], [np.inf]]), dtype=np.float64),
    "discrete": Discrete(5),
    "discrete from 3": Discrete(4, start=3),
    "multi-discrete": MultiDiscrete([2, 3, 4]),
    "multi-discrete of two axes": MultiDiscrete(np.array([[2, 3], [4, 5]])),
}


def make_policy(
    observation: gymnasium.Space[Any], action: gymnasium.Space[Any], activation: Activation = "tanh", **settings: Any
) -> Policy:
    """A policy with weights and statistics that are far from those at the start."""
    torch.manual_seed(3)
    size = flat_observation_space("test", observation).shape[0]
    policy = Policy(
        PolicyConfig(hidden_sizes=(16, 9), activation=activation, **settings), size, flat_action_space("test", action)
    )
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(torch.randn_like(parameter))
    policy.learn_observations(torch.randn(100, size) * 3 + 1)
    return policy


def export(
    policy: Policy, folder: Path, observation: gymnasium.Space[Any], action: gymnasium.Space[Any]
) -> NumpyPolicy:
    export_policy(policy, folder, observation_space=observation, action_space=action, origin={"run": "r", "step": 5})
    return NumpyPolicy.load(folder)


def torch_actions(policy: Policy, action: gymnasium.Space[Any], observations: np.ndarray) -> np.ndarray:
    chosen = policy.executable(policy.act(observations, None).numpy())
    return np.stack([own_action(action, one) for one in chosen])


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS.keys())
@pytest.mark.parametrize("activation", ["tanh", "relu", "silu"])
def test_it_acts_as_the_torch_policy_does(tmp_path: Path, action: gymnasium.Space[Any], activation: Activation) -> None:
    policy = make_policy(BOX, action, activation)
    exported = export(policy, tmp_path, BOX, action)
    observations = np.random.default_rng(0).normal(0, 5, (500, 7)).astype(np.float32)
    expected = torch_actions(policy, action, observations)
    together = exported.act(observations)
    assert together.shape == expected.shape
    assert together.dtype == action.dtype
    np.testing.assert_allclose(together, expected, atol=1e-5)
    for row, one in zip(observations[:5], expected, strict=False):
        single = exported.act(row)
        np.testing.assert_allclose(single, one, atol=1e-5)
        assert action.contains(single)
    # The actions differ from row to row, so that the comparison means something.
    assert len(np.unique(expected.reshape(500, -1), axis=0)) > 1


def test_silu_does_not_overflow(tmp_path: Path) -> None:
    policy = make_policy(BOX, ACTIONS["bounded box"], "silu", normalize_observations=False)
    exported = export(policy, tmp_path, BOX, ACTIONS["bounded box"])
    with np.errstate(all="raise", under="ignore"):
        assert np.isfinite(exported.forward(np.full((1, 7), -1e6, np.float32))).all()


def test_without_normalisation(tmp_path: Path) -> None:
    policy = make_policy(BOX, ACTIONS["bounded box"], normalize_observations=False)
    exported = export(policy, tmp_path, BOX, ACTIONS["bounded box"])
    observations = np.random.default_rng(0).normal(0, 50, (100, 7)).astype(np.float32)
    np.testing.assert_allclose(
        exported.act(observations), torch_actions(policy, ACTIONS["bounded box"], observations), atol=1e-5
    )


def test_every_kind_of_observation_is_flattened_as_a_world_flattens_it(tmp_path: Path) -> None:
    space = Dict(
        picture=Box(0, 255, (2, 3), np.uint8),
        kind=Discrete(3, start=1),
        pair=Tuple((MultiDiscrete([[2, 3], [4, 2]]), MultiBinary(2), Discrete(2))),
    )
    exported = export(make_policy(space, Discrete(2)), tmp_path, space, Discrete(2))
    space.seed(0)
    for _ in range(20):
        observation = space.sample()
        flat = exported.flatten(observation)
        assert flat.dtype == np.float32
        np.testing.assert_array_equal(flat, flat_observation(space, observation))
        assert exported.act(flat) in (0, 1)


def test_the_description_tells_where_it_comes_from(tmp_path: Path) -> None:
    exported = export(make_policy(BOX, ACTIONS["bounded box"]), tmp_path, BOX, ACTIONS["bounded box"])
    assert exported.description["origin"] == {"run": "r", "step": 5}
    assert exported.description["layers"][0] == {
        "weight": "layers.0.weight",
        "bias": "layers.0.bias",
        "shape": [16, 7],
    }
    assert describe_action(ACTIONS["half-open box of two axes"])["low"] == [None, 0.0]


def test_a_wrong_observation_is_refused(tmp_path: Path) -> None:
    exported = export(make_policy(BOX, Discrete(2)), tmp_path, BOX, Discrete(2))
    with pytest.raises(ValueError, match=r"must have shape \[7\] or \[B, 7\], got \[6\]"):
        exported.act(np.zeros(6))


ALONE = """
import sys

class NothingElse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "safetensors", "gymnasium", "heeler", "yaml"):
            raise ImportError(f"{name} is not on this machine")

sys.meta_path.insert(0, NothingElse())
sys.path.insert(0, sys.argv[1])
import numpy as np
from policy import NumpyPolicy

print(NumpyPolicy.load(sys.argv[1]).act(np.linspace(-1, 1, 7)).tolist())
"""


def test_the_copy_beside_the_weights_runs_with_numpy_alone(tmp_path: Path) -> None:
    exported = export(make_policy(BOX, ACTIONS["bounded box"]), tmp_path, BOX, ACTIONS["bounded box"])
    command = [sys.executable, "-I", "-c", textwrap.dedent(ALONE), str(tmp_path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(printed) == exported.act(np.linspace(-1, 1, 7)).tolist()


def test_loading_in_heeler_brings_no_torch() -> None:
    script = "import sys, heeler.models.numpy_policy; print(any(m in sys.modules for m in ('torch', 'gymnasium')))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("name", "alter", "message"),
    [
        (
            "policy.safetensors",
            lambda content: content[:-1] + bytes([content[-1] ^ 1]),
            "policy.safetensors was altered",
        ),
        ("policy.safetensors", lambda content: content[:100], "policy.safetensors was altered"),
        ("policy.json", lambda content: content.replace(b'"tanh"', b'"relu"'), "policy.json was altered"),
        ("policy.json", lambda content: content.replace(b'"clip": 10.0', b'"clip": 9.0'), "policy.json was altered"),
        ("policy.json", lambda content: content.replace(b'"format": 1', b'"format": 2'), "has format 2, this program"),
        ("policy.json", lambda content: content[:50], "is not the description of an exported policy"),
        ("policy.json", lambda content: b"[]", "is not the description of an exported policy"),
    ],
)
def test_altered_files_are_refused(tmp_path: Path, name: str, alter: Any, message: str) -> None:
    export(make_policy(BOX, Discrete(2)), tmp_path, BOX, Discrete(2))
    before = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(alter(before))
    assert (tmp_path / name).read_bytes() != before
    with pytest.raises(ValueError, match=message):
        NumpyPolicy.load(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    export(make_policy(BOX, Discrete(2)), tmp_path, BOX, Discrete(2))
    (tmp_path / "policy.safetensors").unlink()
    with pytest.raises(ValueError, match=r"policy.safetensors cannot be read \(No such file"):
        NumpyPolicy.load(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"12345678", (5).to_bytes(8, "little") + b"{]", (2).to_bytes(8, "little") + b"[]"]
)
def test_what_is_no_safetensors_file_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="x is not a safetensors file"):
        read_safetensors(content, "x")


def test_an_export_replaces_an_earlier_one_and_nothing_else(tmp_path: Path) -> None:
    export(make_policy(BOX, Discrete(2)), tmp_path, BOX, Discrete(2))
    again = export(make_policy(BOX, Discrete(3)), tmp_path, BOX, Discrete(3))
    assert again.description["action"]["num_choices"] == [3]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "policy.py").write_text("my own work")
    with pytest.raises(RunError, match=r"already holds policy.py, and not from an export"):
        export(make_policy(BOX, Discrete(2)), mine, BOX, Discrete(2))
    assert [path.name for path in mine.iterdir()] == ["policy.py"]
    assert (mine / "policy.py").read_text() == "my own work"
