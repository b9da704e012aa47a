"""A run's steps under overseers: each is reviewed before it is carried out, in one batch over all copies of the world.

What is allowed is carried out as it is; in place of what is vetoed a trusted policy's action is; a halt stops the run,
whose last whole update is kept. The learner goes on learning from the actions that its policy chose: to it, overseers
are a part of the world.

Shapes: N copies, O observation numbers, A action numbers.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from heeler.core.errors import ConfigError, RunError, RunHalted
from heeler.core.named import under
from heeler.core.verdict import Verdict
from heeler.envs import World
from heeler.loop.overseers.settings import OverseersConfig, build_team
from heeler.models.actions import CategoricalHead, action_head
from heeler.models.numpy_policy import NumpyPolicy
from heeler.oversight.overseers.evidence import Proposals
from heeler.rollouts.collector import Collector

Figures = dict[str, float]
_MAX_WORDS = 300


class ActionReview:
    """What stands between a policy and its world: called with what was seen and proposed, gives what is carried out.

    Args:
        config: the overseers.
        world: in which the steps are to be taken.
        collector: that takes them; says where episodes stand and what they cost so far.
        clock_s: reads the time.
        processor_s: reads the time that this process has computed.

    Raises:
        ConfigError: an overseer or the trusted policy cannot be had, or does not fit the world; a budget is of nothing
            that is counted here.
    """

    def __init__(
        self,
        config: OverseersConfig,
        world: World,
        collector: Collector,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        processor_s: Callable[[], float] = time.process_time,
    ) -> None:
        self.config, self._world, self._collector = config, world, collector
        head = action_head(world.single_action_space)
        built = build_team(config, num_choices=head.num_choices if isinstance(head, CategoricalHead) else ())
        self.team, self._conduct, self._rules_sha256 = built.team, built.conduct, built.rules_sha256
        self._trusted = _trusted_policy(config.trusted, world)
        self._clock_s, self._processor_s = clock_s, processor_s
        self._began_s, self._began_processor_s = clock_s(), processor_s()
        self._earlier = np.zeros(2)
        self._energy = np.zeros(world.num_envs)
        self._previous: tuple[np.ndarray, np.ndarray] | None = None
        self.step = 0
        """Environment steps that were reviewed, over all copies."""
        self._num_vetoed = self._num_modified = self._num_since = 0
        self._objected: dict[str, str] = {}
        """Who objected since the last look, and why at first."""
        self._objected_before: frozenset[str] = frozenset()
        self._refuse_uncounted()

    def __call__(self, observation: np.ndarray, proposed: np.ndarray) -> np.ndarray:
        """Review a step of all copies.

        Args:
            observation: [N, O] what the policy saw.
            proposed: [N, A] what it is about to do, within the bounds.

        Returns:
            [N, A] what is to be carried out.

        Raises:
            RunHalted: the overseers halt the run.
        """
        is_first = self._collector.episode_step == 0
        self._energy[is_first] = 0
        proposals = Proposals(
            step=self.step,
            observation=observation,
            action=proposed,
            spent=self._spent(proposed),
            previous=self._previous,
            is_first=None if self._previous is None else is_first,
        )
        verdicts = self.team.review_all(proposals)
        executed = self._carried_out(proposals, verdicts)
        self._energy += np.square(executed.astype(np.float64)).sum(1)
        if self._conduct is not None:
            self._conduct.learn(proposals, executed, np.array([one.decision == "allow" for one in verdicts]))
        self._previous = (observation.copy(), executed.copy())
        self.step += len(verdicts)
        self._num_since += len(verdicts)
        return executed

    def _carried_out(self, proposals: Proposals, verdicts: list[Verdict]) -> np.ndarray:
        rows = [number for number, verdict in enumerate(verdicts) if verdict.decision != "allow"]
        if not rows:
            return proposals.action
        executed = proposals.action.copy()
        trusted = self._trusted(proposals.observation[rows])
        for place, number in enumerate(rows):
            verdict = verdicts[number]
            for name, told in verdict.evidence["overseers"].items():
                self._objected.setdefault(name, str(told["reason"])[:_MAX_WORDS])
            if verdict.decision == "halt":
                raise RunHalted(f"overseers halted the run at step {self.step:,}: {verdict.reason}")
            replacement = self._fitting(verdict) if verdict.decision == "modify" else None
            executed[number] = trusted[place] if replacement is None else replacement
            self._num_modified += replacement is not None
            self._num_vetoed += replacement is None
        return executed

    def _fitting(self, verdict: Verdict) -> np.ndarray | None:
        """The action that a verdict puts in place; None where it is none, so that the trusted policy's takes it."""
        space = self._world.single_action_space
        try:
            action = np.atleast_1d(np.asarray(verdict.replacement))
        except ValueError:
            return None
        if isinstance(space, gymnasium.spaces.Box):
            fits = action.shape == space.shape and action.dtype.kind in "iuf" and bool(np.isfinite(action).all())
            return np.clip(action, space.low, space.high) if fits else None
        num_choices = np.array(action_head(space).num_choices)  # pyright: ignore[reportAttributeAccessIssue]
        fits = action.shape == num_choices.shape and action.dtype.kind in "iu"
        return action if fits and bool(((action >= 0) & (action < num_choices)).all()) else None

    def _spent(self, proposed: np.ndarray) -> dict[str, np.ndarray]:
        num, collector = self._world.num_envs, self._collector
        seconds, compute = self._times_s()
        spent = {name: collector.episode_cost[:, place] for place, name in enumerate(self._world.cost_names)}
        return spent | {
            "steps": collector.episode_step + 1.0,
            "energy": self._energy + np.square(proposed.astype(np.float64)).sum(1),
            "seconds": np.full(num, seconds),
            "compute": np.full(num, compute),
            "money": np.full(num, compute / 3600 * self.config.money_per_hour),
        }

    def _times_s(self) -> np.ndarray:
        """Seconds of the run, and of its processor, over all its sittings."""
        now = np.array([self._clock_s() - self._began_s, self._processor_s() - self._began_processor_s])
        return self._earlier + now

    def _refuse_uncounted(self) -> None:
        counted = self._spent(np.zeros((self._world.num_envs, 1)))
        for budget in self.config.resources:
            if budget.name not in counted:
                raise ConfigError(
                    f"overseers.resources: nothing tells how much of {budget.name!r} is used in this world; told are "
                    f"{', '.join(counted)}"
                )

    def metrics(self) -> Figures:
        """Shares of the steps since the last call, and how often each overseer has failed in all."""
        num = max(1, self._num_since)
        figures: Figures = {
            "overseers/vetoed": self._num_vetoed / num,
            "overseers/modified": self._num_modified / num,
        }
        for name in self.team.names:
            figures[f"overseers/{name}/objections"] = float(self.team.objections[name])
            figures[f"overseers/{name}/failures"] = float(self.team.failures[name])
        self._num_since = self._num_vetoed = self._num_modified = 0
        return figures

    def new_objections(self) -> dict[str, str]:
        """Why each overseer objected at first since the last call, where others do than at the call before."""
        found, before = self._objected, self._objected_before
        self._objected, self._objected_before = {}, frozenset(found)
        return found if self._objected_before != before else {}

    def kept(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """What a checkpoint keeps: arrays, and JSON-ready values."""
        state = {"step": self.step, "team": self.team.state(), "rules_sha256": self._rules_sha256}
        return self._arrays(), state | {"times_s": self._times_s().tolist()}

    def _arrays(self) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {"energy": self._energy.copy()}
        if self._previous is not None:
            found |= {"previous.observation": self._previous[0].copy(), "previous.action": self._previous[1].copy()}
        if self._conduct is not None:
            found |= {f"conduct.{name}": array for name, array in self._conduct.arrays().items()}
        return found

    def load(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Go on from what `kept` returned.

        Raises:
            RunError: the file of rules was changed since.
        """
        if state["rules_sha256"] != self._rules_sha256:
            raise RunError(
                f"{self.config.rules} was changed since the checkpoint was saved; put the old rules back, or begin "
                "another run with the new ones"
            )
        self.step = int(state["step"])
        self.team.load(state["team"])
        self._energy = arrays["energy"].copy()
        self._earlier = np.array(state["times_s"])
        self._began_s, self._began_processor_s = self._clock_s(), self._processor_s()
        self._num_since = self._num_vetoed = self._num_modified = 0
        self._objected = {}
        previous = under("previous.", dict(arrays))
        self._previous = (previous["observation"].copy(), previous["action"].copy()) if previous else None
        if self._conduct is not None:
            self._conduct.load(under("conduct.", dict(arrays)))


def check_overseers(config: OverseersConfig | None, world: World) -> None:
    """Refuse overseers that cannot be had in a world, before anything is written.

    Raises:
        ConfigError: as `ActionReview`.
    """
    if config is not None:
        ActionReview(config, world, Collector(world, 1, record_snapshots=False))


def _trusted_policy(folder: str, world: World) -> Callable[[np.ndarray], np.ndarray]:
    """[n, A] actions by [n, O] observations, of the policy that takes over."""
    space = world.single_action_space
    head = action_head(space)
    if not folder:
        still = np.zeros(head.action_size, head.action_dtype)
        if isinstance(space, gymnasium.spaces.Box):
            still = np.clip(still, space.low, space.high)
        return lambda observation: np.broadcast_to(still, (len(observation), len(still)))
    try:
        policy = NumpyPolicy.load(Path(folder))
    except ValueError as error:
        raise ConfigError(f"overseers.trusted: {error}") from error
    sample = np.asarray(policy.act(np.zeros((1, policy.observation_size), np.float32))).reshape(1, -1)
    if policy.observation_size != world.observation_size or sample.shape[1] != head.action_size:
        raise ConfigError(
            f"overseers.trusted: the policy in {folder} takes {policy.observation_size} numbers and gives "
            f"{sample.shape[1]}; this world has {world.observation_size} and takes {head.action_size}"
        )
    return lambda observation: np.asarray(policy.act(observation)).reshape(len(observation), -1)
