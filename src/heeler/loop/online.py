"""The whole loop: act, show, answer, reward, learn. Whoever reads `OnlineRun.iterate` sees the product.

The learner owns the run directory while it runs. A checkpoint holds everything that the next update depends on, so that
a run killed at any moment goes on from its last checkpoint as if it had never stopped.
"""

import atexit
import gc
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from heeler.core.attention import Attention
from heeler.core.errors import ConfigError, LearningError, RunHalted, WorldError
from heeler.core.named import under
from heeler.core.nouns import PolicyVersion
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.envs import World, make
from heeler.evaluation.returns import Evaluation
from heeler.feedback.patience import Patience, patient
from heeler.feedback.store import Store
from heeler.feedback.stores import open_store, refuse_taken_store
from heeler.loop.absence import Absence
from heeler.loop.acts import Acts
from heeler.loop.config import RunConfig, check_learns, from_dict, to_dict
from heeler.loop.control_gating import is_offer_due, offers
from heeler.loop.costs import PREFIX, OwnCosts, own_costs
from heeler.loop.evaluations import final_seed, save_evaluation, summarize
from heeler.loop.going_on import go_back, newest_sound, refuse_changed_config
from heeler.loop.holding import RULES_MAY_CHANGE, Holding
from heeler.loop.intervened import Intervened, find_trusted
from heeler.loop.live import LiveRecorder
from heeler.loop.overseers.acting import ActionReview, check_overseers
from heeler.loop.preferences import PreferenceLoop
from heeler.loop.progress import EpisodeReturns
from heeler.loop.reading import evaluate_policy, newest_sound_checkpoint, preference_model
from heeler.loop.shaping import RunShaping
from heeler.loop.steering import Steering
from heeler.loop.trackers import check_trackers, open_trackers
from heeler.loop.trusted import Trusted, check_trusted
from heeler.loop.watching import MAY_CHANGE, watch_over, watched
from heeler.models.policy import Policy
from heeler.rollouts.collector import CalledOff, Collector
from heeler.safety.shields.shield import make_shield

Metrics = dict[str, float]
WAITING = "waiting_for_people"
"""Setting of the store that says since when (Unix seconds) the learner waits for people's answers; None while it does
not."""
_POLL_S = 0.2
# What is learned does not depend on these, and a full disk or a server that has moved may be the reason to change them.
_MAY_CHANGE = ("trackers", "keep_checkpoints", "num_evaluation_episodes", "store", "store_patience_s")
_MAY_CHANGE += (*MAY_CHANGE, *RULES_MAY_CHANGE)

# A process that ends has nothing to tidy: to look for garbage among all that torch has loaded would take .3 s more.
atexit.register(gc.freeze)


class OnlineRun:
    """One run of the loop in its directory. Use `run` and `resume` unless you want to step it yourself.

    Args:
        directory: the run's, made for this very configuration.
        config: of the run.
        store: the run's store.
    """

    def __init__(self, directory: RunDirectory, config: RunConfig, store: Store) -> None:
        torch.set_num_threads(config.torch_threads)
        self.directory, self.config, self.store = directory, config, store
        self.world = make(config.env, config.seed)
        self.shield = make_shield(config.shield, config.env, self.world)
        self.collector = Collector(
            self.world, config.num_steps, record_snapshots=config.preferences is not None, shield=self.shield
        )
        self.ppo = config.learner(self.world)
        self.learner = self.ppo.init(config.seed, self.world.num_envs)
        self.noise = torch.Generator().manual_seed(config.seed + 1)
        self.preferences: PreferenceLoop | None = None
        if config.preferences:
            self.preferences = PreferenceLoop(config, store, preference_model(config, self.ppo))
        self.overseers = ActionReview(config.overseers, self.world, self.collector) if config.overseers else None
        self.collector.review = self.overseers
        self.costs = OwnCosts(config, self.world, store) if own_costs(config) else None
        self.shaping = RunShaping(config, self.world) if config.shaping else None
        self.returns = EpisodeReturns(self.world.num_envs)
        self.live = LiveRecorder(directory.path, self.world)
        self.holding = Holding(config.interventions)
        self.trusted: Trusted | None = None
        """What acts in the policy's place, while something does."""
        self.collector.is_called_off = Attention(directory.path).is_called
        self.watch = watch_over(config, directory, self.world.cost_names)
        self.step = self.update = self.metrics_size = 0
        self.elapsed_s = 0.0
        self._says_waiting: bool | None = None
        self.remember()

    def begin(self) -> list[str]:
        """Start afresh, or go on from the newest sound checkpoint; returns why newer ones were refused.

        Raises:
            RunError: there are checkpoints, and none is sound: to start afresh would destroy what is left of them; or
                the configuration is not the one that the checkpoint was made with.
        """
        checkpoint, refused = newest_sound(self.directory)
        if checkpoint is None:
            self.directory.truncate_metrics(0)
            self.collector.reset(self.config.seed, stagger=self.world.exact_state)
            self.returns.restart(partial=self.world.exact_state)
            self.store.add_policy_version(PolicyVersion(version=0, step=0))
        else:
            self._refuse_changed_config(checkpoint)
            self._load(checkpoint)
        return refused

    @property
    def is_finished(self) -> bool:
        """Whether all updates have been made."""
        return self.update >= self.config.num_updates

    def iterate(self) -> Metrics | None:
        """One turn of the loop; None where it only waited for people's first answers."""
        began = time.perf_counter()
        people = self.preferences
        if self._waits_for_people():
            return None
        # A policy that is frozen is not put aside for a fresh one either.
        if self.update == self.config.restart_update and self.holding.learns:
            self.learner = self.ppo.init(self.config.seed + 1_000_003 * self.update, self.world.num_envs)
            if self.watch:
                self.watch.begin_anew()
        progress = self.config.progress(self.update)
        self.remember()
        is_shown = self.live.is_due()
        self.collector.record_snapshots = is_shown or people is not None or bool(self.costs and self.costs.answers)
        try:
            rollout = self.collector.collect(self.trusted or self.learner.policy, self.noise, self.update)
        except CalledOff:
            self._put_back()
            if not self.world.exact_state:
                self._begin_episodes_anew()
            return None
        acted = time.perf_counter()
        self.step += self.config.steps_per_update
        if self.costs:
            rollout = self.costs.beside(rollout, self.step)
        self.returns.add(rollout)
        guarded = self.shield.learn(rollout, self.learner.policy) if self.shield else {}
        if is_shown:
            self.live.add(rollout, self.step)
        reward: np.ndarray | None = rollout.true_reward
        if people:
            if self.trusted is None:
                people.ask(rollout, self.step)
            people.listen(self.step)
            reward = people.reward(rollout, progress=progress)
            self._refuse_broken_reward(people, reward)
        rewarded = time.perf_counter()
        learned: Metrics = {}
        if reward is not None and self.holding.learns and (self.costs is None or self.costs.is_ready):
            self.learner.pace = self.holding.pace
            shaped = self.shaping.add(rollout, reward, self.step) if self.shaping else reward
            self.learner, learned = self.ppo.update(self.learner, rollout, shaped, progress=progress)
            self._refuse_broken_policy(learned, shaped)
        self.update += 1
        ended = time.perf_counter()
        self.elapsed_s += ended - began
        times = {"acting_s": acted - began, "reward_s": rewarded - acted, "learning_s": ended - rewarded}
        told = [part.metrics() for part in (self.overseers, people, self.costs, self.shaping) if part]
        return self._record(rollout, reward, reduce(or_, told, learned | guarded | times))

    def _waits_for_people(self) -> bool:
        """Whether people are still to give the first answers; waits for them a moment."""
        asking = [one for one in (self.preferences, self.costs and self.costs.answers) if one and one.teacher is None]
        waiting = [one for one in asking if one.waits_for_people]
        if waiting:
            self._say_waiting(True)
            if self.watch:
                self.watch.dog.beat()
            time.sleep(_POLL_S)
            for one in waiting:
                one.listen(self.step)
            if not all(one.has_enough for one in waiting):
                return True
        if asking:
            self._say_waiting(False)
        return False

    def waiting(self) -> Metrics:
        """Where the run stands while it waits for people; no update's metrics."""
        figures = [part.metrics() for part in (self.preferences, self.costs) if part]
        return reduce(or_, figures, {"step": self.step, "update": self.update})

    def _say_waiting(self, waits: bool) -> None:
        """Tell those who look at the store whether this learner waits for people."""
        if self._says_waiting != waits:
            self.store.set_setting(WAITING, time.time() if waits else None)
            self._says_waiting = waits

    def _record(self, rollout: Any, reward: np.ndarray | None, figures: Metrics) -> Metrics:
        row: Metrics = {"step": self.step, "update": self.update, "elapsed_s": round(self.elapsed_s, 3)}
        row |= self.returns.metrics()
        row["true_reward_mean"] = float(rollout.true_reward.mean())
        if reward is not None and self.preferences:
            row["reward_correlation"] = correlation(reward, rollout.true_reward)
        # What a learner says of itself does not take the place of what was measured.
        row |= {name: float(value) for name, value in figures.items() if name not in row} | self.holding.metrics()
        if self.watch:
            row |= self.watch.look(row, rollout=rollout, reward=reward, returns=self.returns, people=self.preferences)
            self.holding.findings += self.watch.findings
        self.holding.decide(self.update)
        self.metrics_size = self.directory.append_metrics(row)
        is_due = self.is_finished or is_offer_due(self.config, self.update)
        if self.update % self.config.checkpoint_every == 0 or is_due:
            self.save()
        return row

    def _refuse_broken_reward(self, people: PreferenceLoop, reward: np.ndarray | None) -> None:
        broken = people.model.not_finite(people.model_state)
        if reward is not None and not np.isfinite(reward).all():
            broken.append("the learned reward")
        self._refuse(broken, "Lower preferences.model.learning_rate, or preferences.model.weight_decay")

    def _refuse_broken_policy(self, learned: Metrics, reward: np.ndarray) -> None:
        broken = [name for name, value in learned.items() if not math.isfinite(value)]
        if not torch.isfinite(self.learner.parameters.flat).all():
            broken.append("a weight of the policy")
        size = f"{np.abs(reward).max():.3g}"
        self._refuse(
            broken, f"Lower algorithm.learning_rate, or algorithm.max_gradient_norm; rewards were of up to {size}"
        )

    def _refuse(self, broken: list[str], mend: str) -> None:
        """Stop where learning has diverged."""
        if broken:
            steps = self.directory.checkpoint_steps()
            kept = f"the checkpoint of step {steps[-1]:,} is kept" if steps else "there is no checkpoint yet"
            raise LearningError(
                f"learning diverged in update {self.update + 1}: {', '.join(broken)} is no longer a finite number; "
                f"{kept}. {mend}"
            )

    def save_last_whole_update(self) -> Checkpoint:
        """Write a checkpoint of the state before the stretch of acting in which the world broke down."""
        # A foreign world cannot be put back, and may not even be reset; whoever goes on begins its episodes anew.
        self._put_back()
        return self.save(begin_anew=False)

    def remember(self) -> None:
        """A stretch of acting begins: keep how world, noise and overseers stand, to be put back to."""
        overseers = self.overseers.kept() if self.overseers else None
        self._before = (self.collector.state_dict(), self.noise.get_state(), overseers)

    def _put_back(self) -> None:
        """Stand where the present stretch of acting began; a foreign world stays where it is."""
        collector, noise, overseers = self._before
        self.collector.load_state_dict(collector)
        self.noise.set_state(noise)
        if self.overseers and overseers:
            self.overseers.load(*overseers)

    def save(self, *, begin_anew: bool = True) -> Checkpoint:
        """Write a checkpoint now; a world that cannot be saved begins new episodes, unless told not to."""
        if begin_anew and not self.world.exact_state:
            self._begin_episodes_anew()
        tensors = {f"learner.{k}": v for k, v in self.ppo.tensors(self.learner).items()}
        people = self.preferences
        if people:
            tensors |= {f"preferences.{k}": v for k, v in people.tensors().items()}
        if self.shield:
            tensors |= {f"shield.{k}": v for k, v in self.shield.tensors().items()}
        if self.costs:
            tensors |= {f"{PREFIX}{k}": v for k, v in self.costs.tensors().items()}
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
        arrays |= {f"collector.{k}": v for k, v in self.collector.state_dict().items()}
        arrays["noise"] = self.noise.get_state().numpy()
        overseen, of_overseers = self.overseers.kept() if self.overseers else ({}, None)
        arrays |= {f"overseers.{name}": array for name, array in overseen.items()}
        state = {
            "config": yaml.safe_dump(to_dict(self.config), sort_keys=False),
            "lineage": {"policy_version": self.update, "answers": people.num_answered if people else 0},
            "update": self.update,
            "metrics_size": self.metrics_size,
            "elapsed_s": self.elapsed_s,
            "returns": self.returns.state_dict(),
            "preferences": people.state() if people else None,
            "overseers": of_overseers,
            "holding": self.holding.state(),
            "watch": self.watch.state() if self.watch else None,
            "costs": self.costs.state() if self.costs else None,
            "shaping": self.shaping.state() if self.shaping else None,
        }
        spare = self.holding.spared(self.directory.checkpoint_steps())
        checkpoint = self.directory.save_checkpoint(
            self.step, arrays, state, keep=self.config.keep_checkpoints, spare=spare
        )
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
        self._refuse_changed_config(checkpoint)
        gone_back = go_back(self.directory, checkpoint, self.holding, keep=self.config.keep_checkpoints)
        self._load(gone_back)
        if gone_back.sha256 != checkpoint.sha256:
            self._tell_of(gone_back)

    def set_budget(self, budget: int) -> int:
        """Ask for so many comparisons in all from now on; returns how many it were.

        Raises:
            ConfigError: this run asks nothing.
        """
        if self.preferences is None:
            raise ConfigError("this run learns from its world's own reward and asks nothing")
        was = self.preferences.schedule.budget
        self.preferences.set_budget(budget)
        return was

    def _refuse_changed_config(self, checkpoint: Checkpoint) -> None:
        # Checkpoints of the first versions do not hold it.
        if "config" in checkpoint.state:
            old = to_dict(from_dict(yaml.safe_load(checkpoint.state["config"])))
            refuse_changed_config(self.directory, checkpoint, old, to_dict(self.config), may_change=_MAY_CHANGE)

    def _load(self, checkpoint: Checkpoint) -> None:
        arrays, state = checkpoint.tensors, checkpoint.state
        tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
        self.learner = self.ppo.load_tensors(self.learner, under("learner.", tensors))
        if self.shield:
            self.shield.load_tensors(under("shield.", tensors))
        if self.preferences:
            self.preferences.load(under("preferences.", tensors), state["preferences"])
        if self.costs:
            self.costs.load(under(PREFIX, tensors), state["costs"])
        if self.shaping:
            self.shaping.load(state["shaping"])
        self.collector.load_state_dict(under("collector.", arrays))
        if self.overseers:
            self.overseers.load(under("overseers.", arrays), state["overseers"])
        self.noise.set_state(tensors["noise"])
        self.step, self.update = checkpoint.step, state["update"]
        self.metrics_size, self.elapsed_s = state["metrics_size"], state["elapsed_s"]
        self.returns.load_state_dict(state["returns"])
        # Checkpoints from before there were interventions do not hold it.
        self.holding.load(state.get("holding"))
        self.trusted = find_trusted(self)
        # Checkpoints of runs that nobody watched do not hold it.
        if self.watch and state.get("watch"):
            self.watch.load(state["watch"])
        self.live.forget()
        self.directory.truncate_metrics(self.metrics_size)
        if not self.world.exact_state:
            self._begin_episodes_anew()

    def _begin_episodes_anew(self) -> None:
        """In a world that cannot be saved: here, in a resumed run and in an uninterrupted one alike."""
        self.collector.reset(self.config.seed + 1_000_003 * self.update)
        self.returns.restart()
        if self.costs:
            self.costs.restart()


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run came to."""

    path: Path
    """Its directory."""
    policy: Policy
    """The policy at its end."""
    evaluation: Evaluation
    """Fresh episodes of that policy."""
    refused_checkpoints: list[str]
    """Checkpoints that were torn or altered, and how; empty in a run that was never resumed."""


def run(
    config: RunConfig,
    path: Path | str,
    *,
    on_metrics: Callable[[Metrics], None] | None = None,
    on_begin: Callable[[], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> RunResult:
    """Make the run directory and learn to the end; a directory with the same configuration is gone on with.

    Args:
        config: from a recipe.
        path: of the run directory.
        on_metrics: called after each update with its metrics, and while people are waited for with what there is.
        on_begin: called once nothing more is refused: the run's directory and store are there, and its own.
        on_warning: called with what may mislead the learner, in words, as soon as it is found.

    Raises:
        StoreAway: the store's server was away for longer than `store_patience_s`; `resume` goes on from the last
            checkpoint.
        HeelerError: what is wrong and how to mend it. A world that breaks down leaves a checkpoint behind.
    """
    _check(config)
    refuse_taken_store(config.store, Path(path))
    directory = RunDirectory.create(Path(path), to_dict(config))
    return _learn(directory, config, on_metrics, on_begin, on_warning)


def _check(config: RunConfig) -> None:
    """Refuse what cannot be run, before anything is written: length, world, networks, device, trackers."""
    check_learns(config)
    check_trackers(config)
    world = make(config.env.single(), config.seed)
    try:
        ppo = config.learner(world)
        state = ppo.init(config.seed, num_envs=1)
        check_trusted(config, state.policy)
        if config.preferences:
            preference_model(config, ppo)
        check_overseers(config.overseers, world)
        if shield := make_shield(config.shield, config.env.single(), world):
            shield.close()
        if own_costs(config):
            OwnCosts(config, world, None).try_out(world)
        if config.shaping:
            RunShaping(config, world).try_out(world)
        _try_out(world, config)
    finally:
        world.close()


def _try_out(world: World, config: RunConfig) -> None:
    """One step of heeler's own world: a setting of the right type may still be none that it can be run with."""
    if not (world.exact_state and config.env.kwargs):
        return
    try:
        world.reset(seed=config.seed)
        world.step(world.action_space.sample())
    except (ArithmeticError, TypeError, ValueError, WorldError) as error:
        settings = ", ".join(f"{name}={value}" for name, value in config.env.kwargs.items())
        raise ConfigError(f"{config.env.id} cannot be run with {settings}: {error}") from error


def resume(
    path: Path | str,
    *,
    on_metrics: Callable[[Metrics], None] | None = None,
    on_begin: Callable[[], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> RunResult:
    """Go on with a run from its newest sound checkpoint; needs nothing but the directory. The rest is as of `run`."""
    directory = RunDirectory.open(Path(path))
    return _learn(directory, from_dict(directory.config()), on_metrics, on_begin, on_warning)


def _learn(
    directory: RunDirectory,
    config: RunConfig,
    on_metrics: Callable[[Metrics], None] | None,
    on_begin: Callable[[], None] | None,
    on_warning: Callable[[str], None] | None,
) -> RunResult:
    with directory.locked(), open_store(directory) as opened, opened.sole_learner():
        acts = Acts(directory)
        absence = Absence(acts, on_metrics)
        store = patient(opened, Patience(config.store_patience_s, absence))
        online = absence.run = OnlineRun(directory, config, store)
        refused, steering = online.begin(), Steering(Intervened(online), store, acts)
        acts.note("run.resume" if online.step else "run.begin", step=online.step, **_what(config))
        steering.begin()
        offer = offers(directory, config, acts)
        if on_begin is not None:
            on_begin()

        def tell() -> None:
            if online.watch:
                online.watch.dog.beat()
            if on_metrics is not None:
                on_metrics(online.waiting())

        try:
            with acts.ending(online), watched(online.watch, online), open_trackers(directory, config) as track:
                steering.obey(while_paused=tell)
                while not online.is_finished:
                    offer(online)
                    metrics = online.iterate()
                    if metrics is not None:
                        track(metrics)
                        _warn(online, acts, on_warning)
                        _tell_objections(online, acts)
                    if on_metrics is not None:
                        on_metrics(metrics or online.waiting())
                    steering.obey(while_paused=tell)
                offer(online)
        except (WorldError, RunHalted):
            online.save_last_whole_update()
            raise
        finally:
            online.world.close()
            if online.shield:
                online.shield.close()
        policy, seed = online.learner.policy, final_seed(config)
        # What is not trusted to act does not act at the end either.
        evaluated, num_episodes = online.trusted or policy, config.num_evaluation_episodes
        learned = online.shield.tensors() if online.shield else None
        evaluation = evaluate_policy(
            evaluated, config, num_episodes=num_episodes, seed=seed, learned=learned, own_costs=online.costs
        )
        checkpoint = newest_sound_checkpoint(directory)
        save_evaluation(directory, summarize(evaluation, checkpoint, seed=seed))
        acts.note("run.finish", step=online.step, checkpoint_sha256=checkpoint.sha256)
        return RunResult(path=directory.path, policy=policy, evaluation=evaluation, refused_checkpoints=refused)


def _warn(online: OnlineRun, acts: Acts, on_warning: Callable[[str], None] | None) -> None:
    """Tell, once, that what shapes the reward may mislead the learner."""
    words = online.shaping.warning() if online.shaping else None
    if words is not None:
        acts.note("run.warning", step=online.step, problem=words)
        if on_warning is not None:
            on_warning(words)


def _tell_objections(online: OnlineRun, acts: Acts) -> None:
    """Tell, where others of the overseers object than at the update before, who does and why."""
    why = online.overseers.new_objections() if online.overseers else {}
    if why:
        acts.note("overseers.object", step=online.step, why=why)


def _what(config: RunConfig) -> dict[str, Any]:
    """What the audit log says of a configuration; the rest stands in config.yaml."""
    return {"recipe": config.recipe, "env": config.env.id, "seed": config.seed, "people": config.asks_people}


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation of two arrays of one shape; 0 where either does not vary."""
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
