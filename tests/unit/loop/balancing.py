"""A run of CartPole with checkpoints made by hand: policies that balance, and policies that do the opposite."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from heeler.core.gate_records import GateRecord
from heeler.core.releases import Release, Releases
from heeler.core.rundir import RunDirectory
from heeler.core.seeding import stream
from heeler.envs import make
from heeler.loop.acts import Acts
from heeler.loop.config import RunConfig, to_dict
from heeler.loop.control_gating import gate_checkpoint, offer_checkpoint
from heeler.models.policy import Policy
from heeler.oversight.control_gate_config import ControlGateConfig
from tests.unit.loop.tiny import tiny_ppo

GATE = ControlGateConfig(margin=20.0, num_episodes=60, return_range=(0.0, 100.0), every=3)
"""Episodes of 100 steps, so that balancing earns 100; what falls at once earns some 10."""


def config(gate: ControlGateConfig | None = GATE) -> RunConfig:
    run = tiny_ppo("CartPole-v1", gate=gate)
    return replace(run, env=replace(run.env, kwargs={"max_episode_steps": 100}))


def a_policy(run: RunConfig, strength: float) -> Policy:
    """Pushes the cart to where the pole falls; with a strength below 0 away from there."""
    world = make(run.env.single(), 0)
    with torch.random.fork_rng():
        policy = Policy(run.algorithm.policy, world.observation_size, world.single_action_space)
    world.close()
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.zero_()
        first, *between, last = policy.actor.layers
        first.weight[0] = torch.tensor([0.05, 0.1, 1.0, 1.0])
        first.weight[1] = -first.weight[0]
        for layer in between:
            layer.weight[0, 0] = layer.weight[1, 1] = 1.0
        last.weight[:, :2] = strength * torch.tensor([[-1.0, 1.0], [1.0, -1.0]])
    return policy


def a_run(path: Path, strengths: dict[int, float], run: RunConfig | None = None) -> RunDirectory:
    """A run with a checkpoint of each step, whose policy has this strength."""
    run = run or config()
    directory = RunDirectory.create(path, to_dict(run))
    for step, strength in strengths.items():
        tensors = {f"learner.policy.{name}": t.numpy() for name, t in a_policy(run, strength).tensors().items()}
        state = {"lineage": {"policy_version": step // 100, "answers": 0}, "preferences": None}
        directory.save_checkpoint(step, tensors, state, keep=99)
    return directory


def offer(directory: RunDirectory, step: int, run: RunConfig | None = None) -> tuple[Release, GateRecord | None]:
    """What the run's own gate says of a checkpoint."""
    run = run or config()
    assert run.gate is not None
    return offer_checkpoint(directory, run, run.gate, step, Acts(directory))


def foist(directory: RunDirectory, step: int, release_id: str, **changes: Any) -> Release:
    """A checkpoint with a record of a gate that judged another: as if the world had been kinder to it then."""
    run = config()
    assert run.gate is not None
    kinder = directory.load_checkpoint(directory.checkpoint_steps()[0])
    record = gate_checkpoint(directory, run, run.gate, kinder)
    record = replace(record, candidate_sha256=directory.load_checkpoint(step).sha256, **changes)
    assert record.passed
    return Releases(directory, needs_gate=True).propose(release_id, step, "learner", audit_head="0" * 64, gate=record)


def observations(num: int, seed: int = 0) -> np.ndarray:
    """[N, 4] states in which a pole leans."""
    return stream(seed, "leaning").uniform(-0.1, 0.1, (num, 4)).astype(np.float32)
