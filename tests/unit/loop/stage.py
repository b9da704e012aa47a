"""A preference loop in front of a policy that does not learn: every stage of a turn can be looked at."""

import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from heeler.core.nouns import Feedback, PolicyVersion, Query, Segment, stable_id
from heeler.core.rollout import Rollout
from heeler.envs import EnvConfig, World, make
from heeler.feedback.schedule import LabelSchedule
from heeler.feedback.teachers import TeacherConfig
from heeler.loop.config import RunConfig
from heeler.loop.preferences import PreferenceLoop
from heeler.loop.preferences_config import PreferencesConfig
from heeler.models.actions import CategoricalHead
from heeler.models.policy import Policy, PolicyConfig
from heeler.rewards.preference_model import PreferenceModel, PreferenceModelConfig
from heeler.rollouts.collector import Collector
from tests.unit.feedback.helpers import new_store

ORACLE = TeacherConfig()


def stage_config(
    *, env: str = "Pendulum-v1", num_envs: int = 16, num_steps: int = 20, num_updates: int = 20, **preferences: Any
) -> RunConfig:
    """A run of 20 short rollouts; the world's episodes last 25 steps."""
    model = PreferenceModelConfig(hidden_sizes=(8,), max_epochs=3, lapse=0.0, validation_share=0.25)
    settings: dict[str, Any] = {
        "schedule": LabelSchedule(budget=40),
        "teacher": ORACLE,
        "segment_length": 8,
        "num_warmup_rollouts": 3,
        "refit_every": 8,
        "model": model,
    }
    return RunConfig(
        recipe="test",
        env=EnvConfig(id=env, num_envs=num_envs, kwargs={"max_episode_steps": 25}),
        total_steps=num_updates * num_steps * num_envs,
        num_steps=num_steps,
        num_evaluation_episodes=2,
        preferences=PreferencesConfig(**(settings | preferences)),
    )


class Stage:
    """Acts by a fixed policy, asks, listens and rewards, turn by turn.

    Args:
        config: of the run.
        folder: of the store.
        world: None for the configuration's own.
    """

    def __init__(self, config: RunConfig, folder: Path, world: World | None = None) -> None:
        assert config.preferences is not None
        folder.mkdir(exist_ok=True)
        self.config = config
        self.world = world or make(config.env, config.seed)
        self.store = new_store(folder / "heeler.db", folder / "segments")
        weakref.finalize(self, self.store.close)
        self.store.add_policy_version(PolicyVersion(version=0, step=0))
        self.store.add_annotator("ann", "person")
        self.store.add_annotator("bob", "person")
        size = self.world.single_observation_space.shape[0]
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.policy = Policy(PolicyConfig(hidden_sizes=(8,)), size, self.world.single_action_space)
        head = self.policy.head
        choices = head.num_choices if isinstance(head, CategoricalHead) else ()
        self.model = PreferenceModel(config.preferences.model, size, head.action_size, choices)
        self.loop = PreferenceLoop(config, self.store, self.model)
        self.collector = Collector(self.world, config.num_steps, record_snapshots=True)
        self.collector.reset(config.seed, stagger=config.env.id == "Pendulum-v1")
        self.noise = torch.Generator().manual_seed(0)
        self.step = self.update = 0

    def act(self) -> Rollout:
        """One rollout, which counts as an update's."""
        rollout = self.collector.collect(self.policy, self.noise, self.update)
        self.step += self.config.steps_per_update
        self.update += 1
        return rollout

    def turn(self) -> tuple[Rollout, np.ndarray | None]:
        """Act, show, answer, reward."""
        rollout = self.act()
        self.loop.ask(rollout, self.step)
        self.loop.listen(self.step)
        return rollout, self.loop.reward(rollout, progress=0.0)

    def turns(self, num: int) -> None:
        """Several turns."""
        for _ in range(num):
            self.turn()

    def finish(self) -> None:
        """All turns that are left of the run."""
        self.turns(self.config.num_updates - self.update)

    def answer(self, queries: Sequence[Query], choice: str, annotator: str = "ann") -> list[Feedback]:
        """Put a person's answers into the store."""
        answers = [
            Feedback(
                key=stable_id("answer", annotator, query.id),
                query_id=query.id,
                kind="preference",
                value={"choice": choice},
                annotator=annotator,
            )
            for query in queries
        ]
        self.store.add_feedback(answers)
        return answers

    def all_queries(self) -> list[Query]:
        """Every query that was asked, in order, whether it is answered or not."""
        answered = [answer.query_id for _, answer in self.store.feedback_after(0, limit=10_000, up_to_step=None)]
        return self.store.queries(list(dict.fromkeys(answered))) + self.store.open_queries(10_000)

    def segments_of(self, query: Query) -> tuple[Segment, Segment]:
        """Left and right."""
        found = self.store.segments(query.segment_ids)
        left, right = query.segment_ids
        return found[left], found[right]


def with_preferences(config: RunConfig, **changes: Any) -> RunConfig:
    """The configuration with some settings of `preferences` changed."""
    assert config.preferences is not None
    return replace(config, preferences=replace(config.preferences, **changes))
