"""A policy in a world on its way into use: evaluated from its checkpoint, gated, proposed and, if so set, approved.

What is judged is what the checkpoint holds, by its hash; what the learner has in its memory is never asked. Both sides
act by their likeliest action, as a released policy does. Candidates are offered once each, however often the run is
killed.
"""

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch

from heeler.core.errors import ConfigError, RunError, WorldError
from heeler.core.gate_records import GateRecord, GateRecords
from heeler.core.releases import Release, Releases
from heeler.core.rollout import cost_figure
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.core.seeding import stream
from heeler.envs import make
from heeler.evaluation.returns import HALTED, Evaluation
from heeler.loop.acts import LEARNER, Acts
from heeler.loop.config import RunConfig
from heeler.loop.costs import OwnCosts, costs_of
from heeler.loop.reading import evaluate_policy, overseers_state, policy_of, shield_state
from heeler.loop.released import released_checkpoint
from heeler.models.policy import Policy
from heeler.oversight.control_gate import judge_control
from heeler.oversight.control_gate_config import ControlGateConfig
from heeler.oversight.control_gate_nouns import Episodes
from heeler.oversight.control_gate_records import control_record

GATE = "gate"
"""Who approved what the gate passed, where no person has to."""
_AT_ONCE = 100


class Learned(Protocol):
    """A run of which candidates are offered."""

    step: int
    update: int


def is_offer_due(config: RunConfig, update: int) -> bool:
    """Whether the policy after so many updates is to be offered as a candidate."""
    gate = config.gate
    return gate is not None and update > 0 and (update % gate.every == 0 or update >= config.num_updates)


def offers(directory: RunDirectory, config: RunConfig, acts: Acts) -> Callable[[Learned], None]:
    """What offers a run's candidates where that is due; it does nothing where no gate is set.

    Args:
        directory: of the run.
        config: of the run.
        acts: takes a line for each.
    """

    def offer(run: Learned) -> None:
        if config.gate is not None and is_offer_due(config, run.update):
            offer_checkpoint(directory, config, config.gate, run.step, acts)

    return offer


def offer_checkpoint(
    directory: RunDirectory,
    config: RunConfig,
    gate: ControlGateConfig,
    step: int,
    acts: Acts,
    *,
    person: str = LEARNER,
) -> tuple[Release, GateRecord | None]:
    """Gate a checkpoint and propose it, where that was not done yet.

    Args:
        directory: of the run.
        config: of the run.
        gate: what the candidate has to show.
        step: of the checkpoint.
        acts: takes a line for the decision.
        person: who proposes it.

    Returns:
        The release, approved or not; and what the gate decided, None where that was done before.

    Raises:
        CheckpointError: the checkpoint is damaged.
        ConflictError: it was altered after it was evaluated, or another release came into use meanwhile.
    """
    releases = Releases(directory, needs_gate=True)
    checkpoint = directory.load_checkpoint(step)
    name = str(uuid.uuid5(uuid.NAMESPACE_OID, checkpoint.sha256))
    known = next((release for release in releases.all() if release.id == name), None)
    if known is not None:
        # A kill may have come between its proposal and its approval.
        return _approved_if_set(directory, known, gate, acts), None
    record = gate_checkpoint(directory, config, gate, checkpoint)
    decided = "passed" if record.passed else "kept back"
    entry = acts.note("gate.decide", step=step, outcome=decided, sha256=record.sha256)
    release = releases.propose(name, step, person, audit_head=entry.sha256, gate=record)
    return _approved_if_set(directory, release, gate, acts), record


def _approved_if_set(directory: RunDirectory, release: Release, gate: ControlGateConfig, acts: Acts) -> Release:
    """The release, put into use where the gate has passed it against what is in use, and nobody else has to."""
    releases = Releases(directory, needs_gate=True)
    if release.approved_by is not None or release.withdrawn_by is not None or release.gate_sha256 is None:
        return release
    record, in_use = GateRecords(directory).get(release.gate_sha256), releases.in_use()
    is_against_it = record.current_sha256 == (None if in_use is None else in_use.checkpoint_sha256)
    # A share of the episodes says nothing where nothing else acts in the rest.
    by_gate = gate.approval == "gate" or (gate.approval == "canary" and in_use is None)
    if not (record.passed and is_against_it and by_gate):
        return release
    approved = releases.approve(release.id, GATE)
    acts.note("release.approve", step=release.step, release=release.id, approved_by=GATE)
    return approved


def gate_checkpoint(
    directory: RunDirectory, config: RunConfig, gate: ControlGateConfig, checkpoint: Checkpoint
) -> GateRecord:
    """Evaluate a checkpoint beside the policy in use, and decide; nothing is written.

    Where no release is in use, it is compared with the policy that learning began with.

    Raises:
        ConfigError: a cost with a budget is none of the world's.
        CheckpointError: the release in use was altered.
        RunError: the world broke down.
    """
    claims = gate.claims(config.limits.costs if config.limits is not None else ())
    in_use = Releases(directory).in_use()
    # By the step, so that a run that is made again is judged alike: a checkpoint's hash is that of its clock too.
    seed = int(stream(config.seed, f"gate {checkpoint.step}").integers(2**31 - gate.num_episodes))
    with torch.random.fork_rng(devices=[]):
        current = None if in_use is None else _released_checkpoint(directory, in_use)
        names = [claim.name for claim in claims]
        # Both are held to what the candidate's costs say, those that it learned among them.
        own = costs_of(checkpoint, config)
        sides = [_episodes(one, config, gate.num_episodes, seed, names, own) for one in (checkpoint, current)]
    result = judge_control(gate, claims, *sides)
    return control_record(
        gate,
        claims,
        result,
        candidate=sides[0],
        current=sides[1],
        candidate_sha256=checkpoint.sha256,
        current_sha256=None if in_use is None else in_use.checkpoint_sha256,
        seed=seed,
    )


def _released_checkpoint(directory: RunDirectory, release: Release) -> Checkpoint:
    return released_checkpoint(Releases(directory).checkpoint_folder(release), release)


def first_policy(config: RunConfig) -> Policy:
    """The policy that learning begins with; the seed alone makes it."""
    world = make(config.env.single(), config.seed)
    try:
        return config.learner(world).fresh_policy(config.seed)
    finally:
        world.close()


def _episodes(
    checkpoint: Checkpoint | None, config: RunConfig, num: int, seed: int, costs: list[str], own: OwnCosts | None
) -> Episodes:
    """Fresh episodes of a checkpoint's policy, behind the overseers and the shield that it had; of the first policy
    where there is no checkpoint.

    The same seed gives the same first states whoever acts.
    """
    parts: list[Evaluation] = []
    if checkpoint is None:
        policy, behind = first_policy(config), {}
    else:
        policy, behind = policy_of(checkpoint, config), _behind(checkpoint, config)
    single = replace(config, env=replace(config.env, vectorization=config.env.single().vectorization))
    try:
        for start in range(0, num, _AT_ONCE):
            size = min(_AT_ONCE, num - start)
            played = {"num_episodes": size, "seed": seed + start, "own_costs": own}
            parts.append(evaluate_policy(policy, single, **played, **behind))
    except WorldError as error:
        # A world of the gate's own: that of the run is as it was.
        raise RunError(f"the gate could not play its episodes: {error}") from error
    known = parts[0].figures
    for name in costs:
        if cost_figure(name) not in known:
            raise ConfigError(f"gate.budgets: {config.env.id} has no cost {name!r}")

    def joined(values: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(values).astype(np.float64)

    return Episodes(
        returns=joined([part.returns for part in parts]),
        lengths=joined([part.lengths for part in parts]),
        costs={name: joined([part.figures[cost_figure(name)] for part in parts]) for name in costs},
        num_halted=int(sum(part.figures[HALTED].sum() for part in parts)) if HALTED in known else 0,
    )


def _behind(checkpoint: Checkpoint, config: RunConfig) -> dict[str, Any]:
    """What stood beside a policy when its checkpoint was written, as `evaluate_policy` takes it."""
    return {
        "learned": shield_state(checkpoint),
        "overseen": overseers_state(checkpoint),
    }
