"""The whole loop: act, show, answer, reward, learn. Whoever reads `OnlineRun.iterate` sees the product.

The learner owns the run directory while it runs. A checkpoint holds everything that the next update depends on, so that
a run killed at any moment goes on from its last checkpoint as if it had never stopped. `running` steps a run to its
end; what it carries beside the learner are `parts`.
"""

import math
import time
from functools import reduce
from operator import or_

import numpy as np
import torch

from heeler.core.attention import Attention
from heeler.core.named import under
from heeler.core.nouns import PolicyVersion
from heeler.core.rollout import Rollout
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.envs import make
from heeler.feedback.action_bounds import ActionBounds
from heeler.feedback.store import Store
from heeler.feedback.told import ACTIONS
from heeler.loop.acts import Acts
from heeler.loop.config import RunConfig, from_dict
from heeler.loop.control_gating import is_offer_due
from heeler.loop.corrections import Corrections
from heeler.loop.costs import OwnCosts, cost_names_of, own_costs
from heeler.loop.diverging import refuse_broken
from heeler.loop.going_on import config_text, go_back, newest_sound, refuse_changed_config
from heeler.loop.group_turns import GroupTurns
from heeler.loop.holding import RULES_MAY_CHANGE, Holding
from heeler.loop.imitating import Imitation, MovedReward, learner_of
from heeler.loop.intervened import find_trusted
from heeler.loop.kinds.kinds_loop import KindsLoop
from heeler.loop.live import LiveRecorder
from heeler.loop.overseers.acting import ActionReview
from heeler.loop.overseers.telling import ObjectionLog
from heeler.loop.parts import Metrics, Part, Turn, kept_of, restore
from heeler.loop.place import Place
from heeler.loop.preferences import PreferenceLoop
from heeler.loop.progress import EpisodeReturns, correlation
from heeler.loop.reading import joint_model, preference_model
from heeler.loop.shaping import RunShaping
from heeler.loop.shielded import Shielded
from heeler.loop.telling_changes import tell_changes
from heeler.loop.tensors import to_arrays, to_tensors
from heeler.loop.trusted import Trusted
from heeler.loop.waiting import FirstAnswers
from heeler.loop.watching import MAY_CHANGE, watch_over
from heeler.models.policy import Policy
from heeler.rollouts.collector import CalledOff, Collector
from heeler.safety.shields.shield import make_shield

# What is learned does not depend on these, and a full disk or a server that has moved may be the reason to change them.
_MAY_CHANGE = ("trackers", "keep_checkpoints", "num_evaluation_episodes", "store", "store_patience_s")
_MAY_CHANGE += (*MAY_CHANGE, *RULES_MAY_CHANGE)


class OnlineRun:
    """One run of the loop in its directory. Use `running.run` and `resume` unless you want to step it yourself.

    Args:
        directory: the run's, made for this very configuration.
        config: of the run.
        store: the run's store.
    """

    def __init__(self, directory: RunDirectory, config: RunConfig, store: Store) -> None:
        torch.set_num_threads(config.torch_threads)
        self.directory, self.config, self.store = directory, config, store
        self.world = make(config.env, config.seed)
        shield = make_shield(config.shield, config.env, self.world)
        self.collector = Collector(self.world, config.num_steps, record_snapshots=False, shield=shield)
        self.collector.is_called_off = Attention(directory.path).is_called
        self.returns = EpisodeReturns(self.world.num_envs)
        self.imitation = Imitation(config, self.world, self.returns) if config.imitation else None
        self.ppo = learner_of(config, self.world, self.imitation)
        self.learner = self.ppo.init(config.seed, self.world.num_envs)
        self.noise = torch.Generator().manual_seed(config.seed + 1)
        self.trusted: Trusted | None = None
        """What acts in the policy's place, while something does."""
        self.step = self.update = self.metrics_size = 0
        self.elapsed_s = 0.0

        place = Place(self.collector, self.noise)
        self.overseers = ActionReview(config.overseers, self.world, self.collector) if config.overseers else None
        self.collector.review = self.overseers
        self.objections = ObjectionLog(directory, self.overseers) if self.overseers else None
        self.costs = OwnCosts(config, self.world, store) if own_costs(config) else None
        self.shield = Shielded(shield, directory.path) if shield else None
        self.preferences: PreferenceLoop | None = None
        if config.preferences:
            self.preferences = PreferenceLoop(config, store, preference_model(config, self.ppo), directory.path)
        self.kinds: KindsLoop | None = None
        if config.kinds:
            note = Acts(directory).note
            self.kinds = KindsLoop(config, store, joint_model(config, self.ppo), self.world, note)
        grouping = self.preferences.grouping if self.preferences else None
        self.turns = GroupTurns(grouping) if grouping else None
        self.people = self.preferences or self.kinds
        """Whoever asks people, and learns the reward from them."""
        self.corrections = Corrections(config, store) if config.imitation and config.imitation.asks_people else None
        moved = MovedReward(config, self.world) if config.reward_of else None
        self.shaping = RunShaping(config, self.world) if config.shaping else None
        self.holding = Holding(config.interventions)
        self.watch = watch_over(config, directory, cost_names_of(config, self.world))
        live = LiveRecorder(directory.path, self.world)
        # In the order in which they take in a rollout: what it cost and returned first, what it is rewarded with last.
        taking_in = (self.overseers, self.costs, self.returns, self.shield, live)
        taking_in += (self.people, self.turns, self.imitation, self.corrections, moved, self.shaping)
        self.parts = [part for part in (place, *taking_in, self.holding, self.watch) if part is not None]
        self._moved_by_acting: list[Part] = [place, self.overseers] if self.overseers else [place]
        asking = [one for one in (self.people, self.costs and self.costs.answers) if one and one.teacher is None]
        self._first_answers = FirstAnswers(store, [*asking, *([self.corrections] if self.corrections else [])])

    def begin(self) -> list[str]:
        """Start afresh, or go on from the newest sound checkpoint; returns why newer ones were refused.

        Raises:
            RunError: there are checkpoints, and none is sound: to start afresh would destroy what is left of them; or
                the configuration is not the one that the checkpoint was made with.
        """
        self.store.set_setting(ACTIONS, ActionBounds.of(self.world.single_action_space).to_setting())
        checkpoint, refused = newest_sound(self.directory)
        if checkpoint is None:
            self.directory.truncate_metrics(0)
            self.collector.reset(self.config.seed, stagger=self.world.exact_state)
            self.returns.restart(partial=self.world.exact_state)
            self.store.add_policy_version(PolicyVersion(version=0, step=0))
        else:
            refuse_changed_config(self.directory, checkpoint, self.config, from_dict, may_change=_MAY_CHANGE)
            self._load(checkpoint)
        self.remember()
        return refused

    @property
    def is_finished(self) -> bool:
        """Whether all updates have been made."""
        return self.update >= self.config.num_updates

    def iterate(self) -> Metrics | None:
        """One turn of the loop; None where it only waited for people's first answers, or was called off."""
        began = time.perf_counter()
        if self._first_answers.are_missing(self.step, beat=self.beat):
            return None
        self._put_another_policy_if_due()
        rollout = self._act()
        if rollout is None:
            return None
        acted = time.perf_counter()
        self.step += self.config.steps_per_update
        turn = Turn(
            rollout=rollout,
            step=self.step,
            progress=self.config.progress(self.update),
            policy=self.learner.policy,
            is_own=self.trusted is None,
            reward=rollout.true_reward,
        )
        # Costs are counted, people are shown and listened to, and what was acted is rewarded.
        for part in self.parts:
            turn = part.after_rollout(turn)
        if self.preferences:
            tell_changes(self.preferences, self.directory, self.store, self.step)
        if self.people:
            of = "preferences.model" if self.preferences else "kinds.model.reward"
            mend = f"Lower {of}.learning_rate, or {of}.weight_decay"
            refuse_broken(self.directory, self.update + 1, self.people.not_finite(turn.reward), mend)
        rewarded = time.perf_counter()
        learned = self._learn(turn)
        self.update += 1
        ended = time.perf_counter()
        self.elapsed_s += ended - began
        times = {"acting_s": acted - began, "reward_s": rewarded - acted, "learning_s": ended - rewarded}
        if self.objections:
            self.objections.tell(self.step)
        return self._record(turn, learned | times)

    def _put_another_policy_if_due(self) -> None:
        # A policy that is frozen is not put aside for another one either.
        if not self.holding.learns:
            return
        is_another = self.update == self.config.restart_update
        if is_another:
            self.learner = self.ppo.init(self.config.seed + 1_000_003 * self.update, self.world.num_envs)
            if self.turns:
                self.turns.begin_anew(self.ppo, self.learner)
        if self.turns:
            self.learner, is_back = self.turns.begin(self.ppo, self.learner)
            is_another |= is_back
        if self.watch and is_another:
            self.watch.begin_anew()

    def _act(self) -> Rollout | None:
        """A rollout; None where it was called off, and the run stands where it stood before."""
        self.remember()
        # Each is asked, as it may have to know.
        self.collector.record_snapshots = any([part.wants_snapshots() for part in self.parts])
        try:
            return self.collector.collect(self.trusted or self._actor(), self.noise, self.update)
        except CalledOff:
            self._put_back()
            if not self.world.exact_state:
                self._begin_episodes_anew()
            return None

    def _actor(self) -> Policy:
        policy = self.learner.policy
        return self.imitation.actor(policy, self.config.progress(self.update)) if self.imitation else policy

    def _learn(self, turn: Turn) -> Metrics:
        if turn.reward is None or not self.holding.learns or not (self.costs is None or self.costs.is_ready):
            return {}
        self.learner.pace = self.holding.pace
        if self.corrections:
            self.learner = self.corrections.hand_over(self.ppo, self.learner)
        reward = self.shaping.add(turn.rollout, turn.reward, turn.step) if self.shaping else turn.reward
        self.learner, learned = self.ppo.update(self.learner, turn.rollout, reward, progress=turn.progress)
        broken = [name for name, value in learned.items() if not math.isfinite(value)]
        if not torch.isfinite(self.learner.parameters.flat).all():
            broken.append("a weight of the policy")
        size = f"{np.abs(reward).max():.3g}"
        mend = f"Lower algorithm.learning_rate, or algorithm.max_gradient_norm; rewards were of up to {size}"
        refuse_broken(self.directory, self.update + 1, broken, mend)
        return learned

    def _record(self, turn: Turn, figures: Metrics) -> Metrics:
        row: Metrics = {"step": self.step, "update": self.update, "elapsed_s": round(self.elapsed_s, 3)}
        row |= self.returns.means()
        row["true_reward_mean"] = float(turn.rollout.true_reward.mean())
        if turn.reward is not None and self.config.learns_reward:
            row["reward_correlation"] = correlation(turn.reward, turn.rollout.true_reward)
        told = reduce(or_, (part.metrics() for part in self.parts), figures)
        # What a learner says of itself does not take the place of what was measured.
        row |= {name: float(value) for name, value in told.items() if name not in row}
        if self.watch:
            asked = self.people
            row |= self.watch.look(row, rollout=turn.rollout, reward=turn.reward, returns=self.returns, people=asked)
            self.holding.findings += self.watch.findings
        self.holding.decide(self.update)
        self.metrics_size = self.directory.append_metrics(row)
        is_due = self.is_finished or is_offer_due(self.config, self.update)
        if self.update % self.config.checkpoint_every == 0 or is_due:
            self.save()
        return row

    def waiting(self) -> Metrics:
        """Where the run stands while it waits for people; no update's metrics."""
        figures = [part.metrics() for part in (self.people, self.corrections, self.costs) if part]
        return reduce(or_, figures, {"step": self.step, "update": self.update})

    def beat(self) -> None:
        """Tell whoever watches for stalls that the run is alive."""
        if self.watch:
            self.watch.dog.beat()

    # Checkpoints

    def remember(self) -> None:
        """Remember where world, noise and overseers stand: here a stretch of acting begins."""
        self._before = kept_of(self._moved_by_acting)

    def _put_back(self) -> None:
        """Stand where the present stretch of acting began; a foreign world stays where it is."""
        if self.objections:
            self.objections.tell(self.step, given_up=True)
        restore(self._moved_by_acting, *self._before)

    def save_last_whole_update(self) -> Checkpoint:
        """Write a checkpoint of the state before the stretch of acting in which the world broke down."""
        # A foreign world cannot be put back, and may not even be reset; whoever goes on begins its episodes anew.
        self._put_back()
        return self.save(begin_anew=False)

    def save(self, *, begin_anew: bool = True) -> Checkpoint:
        """Write a checkpoint now; a world that cannot be saved begins new episodes, unless told not to."""
        if begin_anew and not self.world.exact_state:
            self._begin_episodes_anew()
        learned = {f"learner.{name}": array for name, array in to_arrays(self.ppo.tensors(self.learner)).items()}
        arrays, states = kept_of(self.parts)
        answers = self.people.num_answered if self.people else 0
        state = {
            "config": config_text(self.config),
            "lineage": {"policy_version": self.update, "answers": answers},
            "update": self.update,
            "metrics_size": self.metrics_size,
            "elapsed_s": self.elapsed_s,
            **states,
        }
        keep, spare = self.config.keep_checkpoints, self.holding.spared(self.directory.checkpoint_steps())
        checkpoint = self.directory.save_checkpoint(self.step, learned | arrays, state, keep=keep, spare=spare)
        self._tell_of(checkpoint)
        return checkpoint

    def _tell_of(self, checkpoint: Checkpoint) -> None:
        """Have watch and store know of the checkpoint that the run stands at."""
        if self.watch:
            self.watch.wrote_checkpoint(checkpoint.step)
        self.store.add_policy_version(
            PolicyVersion(version=self.update, step=checkpoint.step, checkpoint_sha256=checkpoint.sha256)
        )

    def roll_back(self, step: int) -> None:
        """Forget what was learned after the checkpoint of `step`. People's answers stay, and are taken in again.

        Raises:
            CheckpointError: there is no such checkpoint, or it is torn or altered; nothing is forgotten.
        """
        checkpoint = self.directory.load_checkpoint(step)
        refuse_changed_config(self.directory, checkpoint, self.config, from_dict, may_change=_MAY_CHANGE)
        gone_back = go_back(self.directory, checkpoint, self.holding, keep=self.config.keep_checkpoints)
        self._load(gone_back)
        if gone_back.sha256 != checkpoint.sha256:
            self._tell_of(gone_back)
        self.remember()

    def _load(self, checkpoint: Checkpoint) -> None:
        arrays, state = checkpoint.tensors, checkpoint.state
        self.learner = self.ppo.load_tensors(self.learner, to_tensors(under("learner.", arrays)))
        restore(self.parts, arrays, state)
        self.step, self.update = checkpoint.step, state["update"]
        self.metrics_size, self.elapsed_s = state["metrics_size"], state["elapsed_s"]
        self.trusted = find_trusted(self)
        self.directory.truncate_metrics(self.metrics_size)
        if not self.world.exact_state:
            self._begin_episodes_anew()

    def _begin_episodes_anew(self) -> None:
        """In a world that cannot be saved: here, in a resumed run and in an uninterrupted one alike."""
        self.collector.reset(self.config.seed + 1_000_003 * self.update)
        for part in self.parts:
            part.restart()

    def close(self) -> None:
        """Let go of the world, and of what the parts hold."""
        self.world.close()
        for part in self.parts:
            part.close()
