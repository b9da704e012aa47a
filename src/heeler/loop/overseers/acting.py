"""Steps under overseers: each is reviewed before it is carried out, in one batch over all copies of the world.

What is allowed is carried out as it is; in place of what is vetoed a trusted policy's action is; a halt stops the run,
whose last whole update is kept. The learner goes on learning from the actions that its policy chose: to it, overseers
are a part of the world.

Shapes: N copies, n of them, O observation numbers, A action numbers.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from heeler.core.errors import ConfigError, RunError, RunHalted
from heeler.core.named import under
from heeler.core.verdict import Verdict
from heeler.envs import World
from heeler.loop.overseers.course import Course, EpisodeCount, Episodes, energy_of
from heeler.loop.overseers.objections import Objections, plain
from heeler.loop.overseers.replacing import fitting, trusted_policy
from heeler.loop.overseers.settings import OverseersConfig, build_team
from heeler.loop.parts import Kept, Part
from heeler.models.actions import CategoricalHead, action_head
from heeler.oversight.overseers.ethics import check_parts
from heeler.oversight.overseers.evidence import Proposals, all_allowed

Figures = dict[str, float]


class Reviewed(NamedTuple):
    """What came of a review."""

    executed: np.ndarray
    """[N, A] what is to be carried out."""
    vetoed: np.ndarray
    """[N] bool: the trusted policy acts."""
    modified: np.ndarray
    """[N] bool: the overseers' own action is done."""
    halted: Mapping[int, Verdict]
    """Copies in which nothing more is to be done, and why."""


class ActionReview(Part):
    """What stands between a policy and its world: called with what was seen and proposed, gives what is carried out.

    Args:
        config: the overseers.
        world: in which the steps are to be taken, or one like it.
        episodes: says where those stand and what they cost so far.
        course: what was done in them; None for one of its own.
        is_frozen: learn no more of what is usual.
        clock_s: reads the time.
        processor_s: reads the time that this process has computed.

    Raises:
        ConfigError: an overseer or the trusted policy cannot be had, or does not fit the world; a budget is of nothing
            that is counted here.
    """

    name = "overseers"

    def __init__(
        self,
        config: OverseersConfig,
        world: World,
        episodes: Episodes,
        *,
        course: Course | None = None,
        is_frozen: bool = False,
        clock_s: Callable[[], float] = time.monotonic,
        processor_s: Callable[[], float] = time.process_time,
    ) -> None:
        self.config, self._space, self._episodes, self._is_frozen = (
            config,
            world.single_action_space,
            episodes,
            is_frozen,
        )
        head = action_head(world.single_action_space)
        built = build_team(config, num_choices=head.num_choices if isinstance(head, CategoricalHead) else ())
        self.team, self._conduct = built.team, built.conduct
        self._files = {"rules": (config.rules, built.rules_sha256)}
        if built.learned is not None:
            built.learned.refuse_unfit(world)
            self._files["learned"] = (config.learned, built.learned.sha256)
        self._trusted = trusted_policy(config.trusted, world)
        self._clock_s, self._processor_s = clock_s, processor_s
        self._began_s, self._began_processor_s = clock_s(), processor_s()
        self._earlier = np.zeros(2)
        self._num = len(episodes.episode_step)
        self._course = course or Course(self._num)
        if built.learned is not None and self._course.sums is None:
            self._course.sums = built.learned.fresh(self._num)
        self.step = 0
        """Environment steps that were reviewed, over all copies."""
        self._num_vetoed = self._num_modified = self._num_since = 0
        self.objections = Objections()
        """Since they were last told."""
        counters = self._counters()
        self._refuse_uncounted(list(counters))
        sizes = {"observation": world.observation_size, "action": head.action_size}
        check_parts(built.rules, sizes, list(counters), config.rules)
        # What nobody looks at is not counted: this is done for every step.
        self._spent = counters if built.spent is None else {name: counters[name] for name in built.spent}

    def __call__(self, observation: np.ndarray, proposed: np.ndarray) -> np.ndarray:
        """Review a step of all copies of a run.

        Args:
            observation: [N, O] what the policy saw.
            proposed: [N, A] what it is about to do, within the bounds.

        Returns:
            [N, A] what is to be carried out.

        Raises:
            RunHalted: the overseers halt the run.
        """
        step, reviewed = self.step, self.review(observation, proposed)
        for verdict in reviewed.halted.values():
            raise halted_by(verdict, f"the run at step {step:,}")
        return reviewed.executed

    def review(self, observation: np.ndarray, proposed: np.ndarray, rows_N: np.ndarray | None = None) -> Reviewed:
        """Review a step of some copies, and say in which of them nothing more is to be done.

        Args:
            observation: [N, O] what the policy saw.
            proposed: [N, A] what it is about to do, within the bounds.
            rows_N: booleans: which copies are reviewed; None for all. The others' actions are left as they are.
        """
        rows_n = np.arange(self._num) if rows_N is None else np.flatnonzero(rows_N)
        proposals = self._proposals(observation, proposed, rows_n)
        verdicts = self.team.review_all(proposals)
        objected = [] if all_allowed(verdicts) else [n for n, one in enumerate(verdicts) if one.decision != "allow"]
        reviewed = self._decided(proposals, verdicts, objected, proposed, rows_n)
        self._course.take(observation, reviewed.executed, rows_n)
        if self._conduct is not None and not self._is_frozen:
            is_usual = np.ones(len(verdicts), bool)
            is_usual[objected] = False
            self._conduct.learn(proposals, is_usual)
        self.step += len(verdicts)
        self._num_since += len(verdicts)
        return reviewed

    def _proposals(self, observation: np.ndarray, proposed: np.ndarray, rows_n: np.ndarray) -> Proposals:
        is_first_n = self._episodes.episode_step.take(rows_n) == 0
        if is_first_n.any():
            self._course.energy[rows_n[is_first_n]] = 0
        before = self._course.previous
        # Copies, as what is there changes with the next step.
        return Proposals(
            step=self.step,
            observation=observation.take(rows_n, 0),
            action=proposed.take(rows_n, 0),
            spent={name: count(proposed).take(rows_n) for name, count in self._spent.items()},
            previous=None if before is None else (before[0].take(rows_n, 0), before[1].take(rows_n, 0)),
            is_first=None if before is None else is_first_n,
            copies=rows_n,
            sums=self._course.sums,
        )

    def _decided(
        self,
        proposals: Proposals,
        verdicts: list[Verdict],
        places: list[int],
        proposed: np.ndarray,
        rows_n: np.ndarray,
    ) -> Reviewed:
        executed, vetoed, modified = proposed, np.zeros(self._num, bool), np.zeros(self._num, bool)
        halted: dict[int, Verdict] = {}
        if not places:
            return Reviewed(executed, vetoed, modified, halted)
        executed = proposed.copy()
        trusted = self._trusted(proposals.observation[places])
        for instead, place in zip(trusted, places, strict=True):
            verdict, row = verdicts[place], int(rows_n[place])
            replacement = fitting(verdict, self._space) if verdict.decision == "modify" else None
            executed[row] = instead if replacement is None else replacement
            if verdict.decision == "halt":
                halted[row] = verdict
                continue
            is_modified = replacement is not None
            (modified if is_modified else vetoed)[row] = True
            self.objections.add(verdict, "modify" if is_modified else "veto", step=self.step, copy=row)
        self._num_modified += int(modified.sum())
        self._num_vetoed += int(vetoed.sum())
        return Reviewed(executed, vetoed, modified, halted)

    def _counters(self) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
        """[N] of each thing that is used up, the proposed step included."""
        num, episodes = self._num, self._episodes
        counters: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            name: lambda _, place=place: episodes.episode_cost[:, place]
            for place, name in enumerate(episodes.cost_names)
        }
        return counters | {
            "steps": lambda _: episodes.episode_step + 1.0,
            "energy": lambda proposed: self._course.energy + energy_of(proposed),
            "seconds": lambda _: np.full(num, self._times_s()[0]),
            "compute": lambda _: np.full(num, self._times_s()[1]),
            "money": lambda _: np.full(num, self._times_s()[1] / 3600 * self.config.money_per_hour),
        }

    def _times_s(self) -> np.ndarray:
        """Seconds of the run, and of its processor, over all its sittings."""
        now = np.array([self._clock_s() - self._began_s, self._processor_s() - self._began_processor_s])
        return self._earlier + now

    def _refuse_uncounted(self, counted: Sequence[str]) -> None:
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

    def kept(self) -> Kept:
        """What a checkpoint keeps."""
        hashes = {f"{name}_sha256": sha256 for name, (_, sha256) in self._files.items()}
        state = {"step": self.step, "team": self.team.state(), "times_s": self._times_s().tolist()}
        return self._arrays(), state | hashes

    def _arrays(self) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {"energy": self._course.energy.copy()}
        if (before := self._course.previous) is not None:
            found |= {"previous.observation": before[0].copy(), "previous.action": before[1].copy()}
        if self._course.sums is not None:
            found["sums"] = self._course.sums.copy()
        if self._conduct is not None:
            found |= {f"conduct.{name}": array for name, array in self._conduct.arrays().items()}
        return found

    def restore(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Go on from what `kept` returned.

        Raises:
            RunError: the file of rules, or that of learned overseers, was changed since.
        """
        self.load_learned(arrays, state)
        self.team.load(state["team"])
        self._course.energy = arrays["energy"].copy()
        self._course.sums = arrays["sums"].copy() if "sums" in arrays else self._course.sums
        self._earlier = np.array(state["times_s"])
        self._began_s, self._began_processor_s = self._clock_s(), self._processor_s()
        self._num_since = self._num_vetoed = self._num_modified = 0
        self.objections.forget()
        previous = under("previous.", dict(arrays))
        self._course.previous = (previous["observation"].copy(), previous["action"].copy()) if previous else None

    def load_learned(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Know what is usual as when `kept` was called, and how many steps the run had taken; the rest begins here.

        Raises:
            RunError: the file of rules, or that of learned overseers, was changed since.
        """
        for name, (path, sha256) in self._files.items():
            if state[f"{name}_sha256"] != sha256:
                raise RunError(
                    f"{path} was changed since the checkpoint was saved; put the old {name} back, or begin another run "
                    "with the new ones"
                )
        self.step = int(state["step"])
        if self._conduct is not None:
            self._conduct.load(under("conduct.", dict(arrays)))


def halted_by(verdict: Verdict, what: str) -> RunHalted:
    """The error of a verdict to halt; `what` it halts, in words."""
    return RunHalted(f"overseers halted {what}: {verdict.reason}", evidence=plain(verdict.evidence))


def check_overseers(config: OverseersConfig | None, world: World) -> None:
    """Refuse overseers that cannot be had in a world, before anything is written.

    Raises:
        ConfigError: as `ActionReview`.
    """
    if config is not None:
        ActionReview(config, world, EpisodeCount(world.num_envs, world.cost_names))
