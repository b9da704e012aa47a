"""The loop of an agent that learns from good and bad while it acts; `EvaluativeRun.iterate` is all of it.

Like every run it can be killed at any moment. What is acted is saved before it is shown, so that whatever people have
seen, and said of it, is known when the run goes on; what they say is a row of the store before it is acknowledged, and
a checkpoint says up to which row it was learned from.
"""

import time
from collections.abc import Mapping

import torch

from heeler.core import live
from heeler.core.errors import ConfigError, DataError
from heeler.core.named import under
from heeler.core.nouns import PolicyVersion
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.envs import make
from heeler.feedback.judges import Judge, judge_of
from heeler.feedback.store import Store
from heeler.feedback.told import WAITING
from heeler.feedback.trainers import ScriptedTrainer
from heeler.loop.evaluative.config import EvaluativeRunConfig, evaluative_config_from_dict
from heeler.loop.evaluative.session import Session, Step
from heeler.loop.evaluative.stretches import Shown, Stretches, as_arrays, cut, from_arrays, publish, told_of
from heeler.loop.going_on import config_text, go_back, newest_sound, refuse_changed_config
from heeler.loop.holding import By, Held, Holding, Level
from heeler.loop.parts import Metrics

TRAINER = "scripted-trainer"
"""Annotator of the rows that a scripted trainer gives."""
LOOKS_AWAY_S = 5.0
"""Whoever has not asked for what comes next for so long watches no more, and the agent waits."""
_POLL_S = 0.05
_MAX_ANSWERS = 10_000
_MAY_CHANGE = ("keep_checkpoints", "num_evaluation_episodes", "store", "store_patience_s")


class EvaluativeRun:
    """One run in its directory. `running` steps it to its end.

    Args:
        directory: the run's, made for this very configuration.
        config: of the run.
        store: the run's store.

    Raises:
        ConfigError: the learner cannot take the world's actions, or no scripted trainer knows the world.
    """

    def __init__(self, directory: RunDirectory, config: EvaluativeRunConfig, store: Store) -> None:
        torch.set_num_threads(config.torch_threads)
        self.directory, self.config, self.store = directory, config, store
        self.world = make(config.env, config.seed)
        learner = config.learner(self.world)
        timing = {"step_s": config.step_s, "hold_steps": config.hold_steps}
        self.session = Session(self.world, learner, config.delay, seed=config.seed, **timing)
        self.trainer: ScriptedTrainer | None = None
        self.judge: Judge | None = None
        if config.teacher != "people":
            self.judge, self.trainer = judge_of(config.env), ScriptedTrainer(config.teacher, config.seed, TRAINER)
        self.stretches = Stretches(config.step_s)
        self.holding = Holding(None)
        self.step = self.update = self.metrics_size = self.position = 0
        self.num_signals = self.num_good = self.num_unheard = 0
        self.refused: list[str] = []
        """Why answers were not learned from, since somebody asked."""
        self.elapsed_s = self._episode_return = 0.0
        self._shown: list[Shown] = []
        self._due_s = 0.0
        self._says_waiting: bool | None = None

    def begin(self) -> list[str]:
        """Start afresh, or go on from the newest sound checkpoint; returns why newer ones were refused.

        Raises:
            RunError: there are checkpoints, and none is sound; or the configuration is not the one that the checkpoint
                was made with.
        """
        checkpoint, refused = newest_sound(self.directory)
        if self.trainer is not None:
            self.store.add_annotator(TRAINER, "simulated")
        if checkpoint is None:
            self.directory.truncate_metrics(0)
            self.store.add_policy_version(PolicyVersion(version=0, step=0))
        else:
            self._refuse_changed_config(checkpoint)
            self._load(checkpoint)
            self._publish()
        return refused

    @property
    def is_finished(self) -> bool:
        """Whether all updates have been made."""
        return self.update >= self.config.num_updates

    def iterate(self) -> Metrics | None:
        """One turn: hear, act, show. None where it only waited for people to watch, or for the clock."""
        if self._waits():
            return None
        began = time.perf_counter()
        told = self._listen()
        steps = [self._act() for _ in range(self.config.num_steps)]
        name = f"{self.config.recipe}-seed{self.config.seed}"
        self._shown = cut(steps, env_id=self.config.env.id, run=name, version=self.update)
        self.stretches.add(one.stretch for one in self._shown)
        if self.holding.learns:
            told |= self.session.rehearse()
        self.step += len(steps)
        self.update += 1
        self.elapsed_s += time.perf_counter() - began
        row = self._row(steps, told)
        self.metrics_size = self.directory.append_metrics(row)
        if self.config.asks_people or self.update % self.config.checkpoint_every == 0 or self.is_finished:
            self.save()
        self._publish()
        return row

    # Hear

    def _listen(self) -> Metrics:
        """Learn from what was said since."""
        told: Metrics = {}
        for position, answer in self.store.feedback_after(self.position, limit=_MAX_ANSWERS, up_to_step=self.step):
            self.position = position
            if answer.kind != "evaluation" or not self.holding.learns:
                continue
            try:
                marks = self.stretches.marks(answer)
            except DataError as error:
                self.refused.append(str(error))
                continue
            if marks is None:
                self.num_signals += len(answer.value["marks"])
                self.num_unheard += len(answer.value["marks"])
            for mark in marks or ():
                learned = self.session.hear(mark.signal, num_shown=mark.num_shown)
                self.num_signals += 1
                self.num_good += mark.signal.sign > 0
                self.num_unheard += learned is None
                told |= learned or {}
        return told

    # Act

    def _act(self) -> Step:
        step = self.session.act(snapshot=True)
        if self.trainer is not None and self.judge is not None:
            value_L = self.judge.values(step.observation[None])[0]
            start_s = step.number * self.config.step_s
            self.trainer.watch(start_s, start_s + self.config.step_s, value_L, int(step.executed[0]), step.probability)
        return step

    def _waits(self) -> bool:
        """Whether nobody watches, or what was shown is still on; waits a moment then."""
        if not self.config.asks_people:
            return False
        is_watched = live.is_watched(self.directory.path, within_s=LOOKS_AWAY_S)
        if self._says_waiting is not (not is_watched):
            self._says_waiting = not is_watched
            self.store.set_setting(WAITING, time.time() if self._says_waiting else None)
        now_s = time.monotonic()
        if not is_watched or now_s < self._due_s:
            time.sleep(_POLL_S if not is_watched else min(_POLL_S, max(0.0, self._due_s - now_s)))
            return True
        # A machine that was busy does not make up for it: nobody can watch faster.
        self._due_s = max(self._due_s, now_s - _POLL_S) + self.config.num_steps * self.config.step_s
        return False

    # Show

    def _publish(self) -> None:
        """Have people see the newest stretches, and a scripted trainer say what is due by now."""
        publish(self.store, self._shown, step=max(0, self.step - self.config.num_steps))
        if self.trainer is None:
            return
        due = self.trainer.ready(self.session.time_s)
        answers = [self.stretches.answer(signal, annotator=TRAINER, step=self.step) for signal in due]
        if answers:
            self.store.add_feedback(answers)

    def _row(self, steps: list[Step], told: Mapping[str, float]) -> Metrics:
        returns: list[float] = []
        for step in steps:
            self._episode_return += step.reward
            if step.ended:
                returns.append(self._episode_return)
                self._episode_return = 0.0
        row: Metrics = {"step": self.step, "update": self.update, "elapsed_s": round(self.elapsed_s, 3)}
        row |= {"minutes": self.session.time_s / 60, "signals": self.num_signals, "good_signals": self.num_good}
        row["unheard_signals"] = self.num_unheard
        if returns:
            row["episode_return"] = sum(returns) / len(returns)
        return row | {f"learning/{name}": value for name, value in told.items()} | self.holding.metrics()

    def waiting(self) -> Metrics:
        """Where the run stands while it waits; no update's metrics."""
        return {"step": self.step, "update": self.update, "signals": self.num_signals}

    # Checkpoints

    def save(self) -> Checkpoint:
        """Write a checkpoint now."""
        arrays, session = self.session.kept()
        arrays |= {f"shown.{name}": array for name, array in as_arrays(self._shown).items()}
        state = {
            "config": config_text(self.config),
            "lineage": {"policy_version": self.update, "answers": self.num_signals},
            "update": self.update,
            "metrics_size": self.metrics_size,
            "elapsed_s": self.elapsed_s,
            "position": self.position,
            "counts": [self.num_signals, self.num_good, self.num_unheard],
            "episode_return": self._episode_return,
            "session": session,
            "trainer": None if self.trainer is None else self.trainer.state_dict(),
            "stretches": self.stretches.state(),
            "shown": told_of(self._shown),
            "holding": self.holding.state(),
        }
        keep, spare = self.config.keep_checkpoints, self.holding.spared(self.directory.checkpoint_steps())
        checkpoint = self.directory.save_checkpoint(self.step, arrays, state, keep=keep, spare=spare)
        self.store.add_policy_version(
            PolicyVersion(version=self.update, step=self.step, checkpoint_sha256=checkpoint.sha256)
        )
        return checkpoint

    def _load(self, checkpoint: Checkpoint) -> None:
        arrays, saved = checkpoint.tensors, checkpoint.state
        self.session.restore(arrays, saved["session"])
        self.step, self.update = checkpoint.step, saved["update"]
        self.metrics_size, self.elapsed_s = saved["metrics_size"], saved["elapsed_s"]
        self.position, self._episode_return = saved["position"], saved["episode_return"]
        self.num_signals, self.num_good, self.num_unheard = saved["counts"]
        if self.trainer is not None:
            self.trainer.load_state_dict(saved["trainer"])
        self.stretches.load(saved["stretches"])
        self._shown = from_arrays(under("shown.", arrays), saved["shown"])
        self.holding.load(saved["holding"])
        self.directory.truncate_metrics(self.metrics_size)

    def _refuse_changed_config(self, checkpoint: Checkpoint) -> None:
        read = evaluative_config_from_dict
        refuse_changed_config(self.directory, checkpoint, self.config, read, may_change=_MAY_CHANGE)

    # Steered

    def roll_back(self, step: int) -> None:
        """Forget what was learned after the checkpoint of `step`, and what was said of stretches after it.

        Raises:
            CheckpointError: there is no such checkpoint, or it is torn or altered; nothing is forgotten.
        """
        checkpoint = self.directory.load_checkpoint(step)
        self._refuse_changed_config(checkpoint)
        self._load(go_back(self.directory, checkpoint, self.holding, keep=self.config.keep_checkpoints))

    def hold(self, level: Level, *, by: By, reason: str) -> str:
        """Be frozen; saved before it returns. Says in words what came of it.

        Raises:
            ConfigError: it is to be slowed, or to fall back.
        """
        if level != "freeze":
            raise ConfigError(
                "a run that learns from good and bad can be frozen, and nothing milder or harder: each signal is one "
                "step of learning, and there is nothing to fall back to"
            )
        said = self.holding.hold(Held(level=level, by=by, reason=reason, since_step=self.step))
        self.save()
        return said

    def thaw(self) -> str:
        """Learn again from what is said from now on; says in words what came of it."""
        said = self.holding.thaw()
        self.save()
        return said

    def come_to_rest(self) -> str:
        """Write a checkpoint: between two turns the agent does nothing."""
        self.save()
        return "nothing moves between two turns"

    def set_budget(self, budget: int) -> int:
        """Refused: nobody is asked for comparisons.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("this run asks for no comparisons; it learns from what is said of it while it acts")

    def close(self) -> None:
        """Let go of the world."""
        if self.config.asks_people:
            self.store.set_setting(WAITING, None)
        self.world.close()
