"""Overseers that learned in the game of oversight, in files, and as an overseer of a run in that game.

A folder holds the weights (`overseers.safetensors`) and what they are (`overseers.json`), with the SHA-256 of the
weights. They watch a worker of the game in PettingZoo's form (`envs.oversight_parallel`): what each sees is worked out
of what the worker sees and is about to do. So noise of their own, which a game draws for each of them, they are spared.

Shapes: N copies, n of them, K overseers, E numbers that one sees.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.numpy import load, save

from heeler import __version__
from heeler.core.errors import ConfigError, HeelerError, RunError
from heeler.core.named import under
from heeler.core.rundir import write_atomically
from heeler.core.verdict import Verdict
from heeler.envs import World
from heeler.envs.oversight_game import CHARGES, EVIDENCE_SIZE, VERDICT_SPACE, WORKER_SIZE, GameConfig
from heeler.loop.overseers.playing import GameTeam
from heeler.models.actions import CategoricalHead, action_head
from heeler.models.policy import Policy, PolicyConfig
from heeler.oversight.overseers.evidence import ALLOW, Evidence, Proposals
from heeler.oversight.overseers.quorum import QuorumConfig

TENSORS_NAME, DESCRIPTION_NAME = "overseers.safetensors", "overseers.json"
_FORMAT = 1
_DEMAND, _NOISE, _OVER, _TURN = 0, 1, 3, WORKER_SIZE
"""Columns of what a worker sees; the last says whether it is its turn."""
_UNITS = slice(1, None)
"""Of its action: a place in `sizes` for each route."""


def write_learned(folder: Path, team: GameTeam, game: GameConfig) -> list[Path]:
    """Write a team whose thresholds are set; returns the files.

    Raises:
        RunError: the disk is full or read-only.
    """
    tensors = {
        f"{charge}.{name}": tensor.detach().cpu().numpy()
        for charge, policy in zip(CHARGES, team.policies, strict=True)
        for name, tensor in policy.tensors().items()
    }
    content = save(tensors)
    described: dict[str, Any] = {
        "format": _FORMAT,
        "made_by": f"heeler {__version__}",
        "charges": list(CHARGES),
        "sees": WORKER_SIZE + 1,
        "num_choices": game.worker_space.nvec.tolist(),
        "game": asdict(game),
        "policy": asdict(team.policies[0].config),
        "quorum": asdict(team.quorum),
        # JSON knows no infinity: one that never objects.
        "thresholds": [value if math.isfinite(value) else None for value in team.thresholds.tolist()],
        "sha256": {TENSORS_NAME: hashlib.sha256(content).hexdigest()},
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder} cannot be made: {error.strerror or error}") from error
    files = {TENSORS_NAME: content, DESCRIPTION_NAME: json.dumps(described, indent=1, allow_nan=False).encode()}
    for name, each in files.items():
        write_atomically(folder / name, each)
    return [folder / name for name in files]


class LearnedOverseers:
    """A team of a folder as one overseer, which vetoes by the team's own quorum.

    Args:
        folder: that `write_learned` wrote.

    Raises:
        ConfigError: a file is missing, altered, damaged or of another format.
    """

    def __init__(self, folder: Path) -> None:
        self.name, self.folder = "learned", folder
        described, tensors, self.sha256 = _read(folder)
        try:
            self._game = TypeAdapter(GameConfig).validate_python(described["game"])
            config = TypeAdapter(PolicyConfig).validate_python(described["policy"])
            quorum = TypeAdapter(QuorumConfig).validate_python(described["quorum"])
            thresholds = [math.inf if one is None else float(one) for one in described["thresholds"]]
            policies = tuple(_policy(config, under(f"{charge}.", tensors)) for charge in CHARGES)
            self._sees, self._num_choices = int(described["sees"]), tuple(described["num_choices"])
            self._team = GameTeam(policies=policies, quorum=quorum, thresholds=np.array(thresholds))
        except (HeelerError, ValueError, KeyError, TypeError, RuntimeError) as error:
            why = " ".join(str(error).split())[:300]
            raise ConfigError(f"overseers.learned: {folder} holds no overseers that can be read ({why})") from error

    def refuse_unfit(self, world: World) -> None:
        """Refuse a world other than that which they learned to watch.

        Raises:
            ConfigError: agents see or do something else there.
        """
        head = action_head(world.single_action_space)
        num_choices = head.num_choices if isinstance(head, CategoricalHead) else None
        if (world.observation_size, num_choices) != (self._sees, self._num_choices):
            raise ConfigError(
                f"overseers.learned: {self.folder} is for agents that see {self._sees} numbers and choose among "
                f"{list(self._num_choices)}; in {world.env_id} they see {world.observation_size} and act in "
                f"{world.single_action_space}. Name a world like heeler.envs.oversight_parallel:OversightParallel, or "
                "leave them out"
            )

    def fresh(self, num_copies: int) -> np.ndarray:
        """[N, K, 2] what they sum up of each episode: figures, and demands."""
        return np.zeros((num_copies, len(CHARGES), 2))

    def review(self, evidence: Evidence) -> Verdict:
        """Judge one step as the first of its game."""
        assert evidence.observation is not None and evidence.action is not None
        one = Proposals(step=evidence.step, observation=evidence.observation[None], action=evidence.action[None])
        return self.review_all(one)[0]

    def review_all(self, proposals: Proposals) -> list[Verdict]:
        """Judge n steps; those on which it is not the worker's turn pass."""
        verdicts = [ALLOW] * len(proposals)
        turn_m = np.flatnonzero(proposals.observation[:, _TURN] > 0.5)
        if not len(turn_m):
            return verdicts
        seen_mKE = self._evidence(proposals, turn_m)
        suspicion_mK = self._team.suspicion(seen_mKE)
        vetoed_m = self._team.quorum.is_reached(suspicion_mK > self._team.thresholds)
        for place in np.flatnonzero(vetoed_m).tolist():
            verdicts[int(turn_m[place])] = self._veto(suspicion_mK[place])
        return verdicts

    def _veto(self, suspicion_K: np.ndarray) -> Verdict:
        objecting = suspicion_K > self._team.thresholds
        who = ", ".join(charge for charge, objects in zip(CHARGES, objecting.tolist(), strict=True) if objects)
        told = {
            charge: {"suspicion": float(own), "threshold": float(limit)}
            for charge, own, limit in zip(CHARGES, suspicion_K, self._team.thresholds, strict=True)
        }
        return Verdict(decision="veto", reason=f"suspected by {who}", evidence={"charges": told})

    def _evidence(self, proposals: Proposals, turn_m: np.ndarray) -> np.ndarray:
        """[m, K, E] what each overseer sees of the steps in these places, which are added to the sums."""
        game, seen = self._game, proposals.observation[turn_m].astype(np.float64)
        demand_m1, over_m = seen[:, [_DEMAND]], seen[:, _OVER]
        units_mK = np.array(game.sizes)[proposals.action[turn_m][:, _UNITS]]
        figure_mK = units_mK @ game.footprints + demand_m1 * np.array(game.demand_weights)
        figure_mK = figure_mK + game.common_noise * seen[:, [_NOISE]]
        known_mK = np.broadcast_to(demand_m1, figure_mK.shape)
        sums = self.fresh(len(proposals)) if proposals.sums is None else proposals.sums
        copies_m = turn_m if proposals.copies is None else proposals.copies[turn_m]
        sums_mK2 = np.where(over_m[:, None, None] > 0, sums[copies_m], 0) + np.stack((figure_mK, known_mK), 2)
        sums[copies_m] = sums_mK2
        root = game.num_steps**0.5
        over_mK = np.broadcast_to(over_m[:, None], figure_mK.shape)
        parts = (figure_mK, known_mK, sums_mK2[..., 0] / root, sums_mK2[..., 1] / root, over_mK)
        return np.stack(parts, 2).astype(np.float32)


def _read(folder: Path) -> tuple[Mapping[str, Any], dict[str, np.ndarray], str]:
    """The description, the weights, and the SHA-256 of the description, which names that of the weights."""
    try:
        content = (folder / DESCRIPTION_NAME).read_bytes()
        weights = (folder / TENSORS_NAME).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"overseers.learned: {error.filename} cannot be read: {error.strerror}; name a folder that "
            "`python -m heeler.recipes.overseers` wrote"
        ) from error
    try:
        described = json.loads(content)
        if described["format"] != _FORMAT:
            raise ConfigError(
                f"overseers.learned: {folder} is of format {described['format']!r}, expected {_FORMAT}; use the heeler "
                "that made it"
            )
        if hashlib.sha256(weights).hexdigest() != described["sha256"][TENSORS_NAME]:
            raise ConfigError(
                f"overseers.learned: {folder / TENSORS_NAME} was altered: its SHA-256 is not the one in "
                f"{DESCRIPTION_NAME}"
            )
        return described, load(weights), hashlib.sha256(content).hexdigest()
    except ConfigError:
        raise
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ConfigError(f"overseers.learned: {folder / DESCRIPTION_NAME} is damaged ({error})") from error


def _policy(config: PolicyConfig, tensors: Mapping[str, np.ndarray]) -> Policy:
    # Overseers that a run is given must not move what it draws.
    with torch.random.fork_rng(devices=[]):
        policy = Policy(config, EVIDENCE_SIZE, VERDICT_SPACE)
    policy.load_tensors({name: torch.from_numpy(array.copy()) for name, array in tensors.items()})
    return policy
