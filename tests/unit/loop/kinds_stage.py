"""A loop of all kinds in front of a policy that does not learn: every stage of a turn can be looked at."""

import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from heeler.core.nouns import Feedback, PolicyVersion, Query, stable_id
from heeler.envs import EnvConfig, make
from heeler.feedback.kinds_teacher_config import KindsTeacherConfig
from heeler.feedback.schedule import LabelSchedule
from heeler.loop.config import RunConfig
from heeler.loop.kinds.config import KindsConfig
from heeler.loop.kinds.kinds_loop import KindsLoop
from heeler.loop.parts import Turn
from heeler.loop.reading import joint_model
from heeler.rewards.joint.model import JointModelConfig
from heeler.rewards.preference_model import PreferenceModelConfig
from heeler.rollouts.collector import Collector
from tests.unit.feedback.helpers import new_store

REWARD = PreferenceModelConfig(
    hidden_sizes=(8,), max_epochs=3, lapse=0.0, validation_share=0.25, learning_rate=0.01, minibatch_size=16
)


def stage_config(*, num_updates: int = 20, env: str = "Pendulum-v1", **kinds: Any) -> RunConfig:
    """A run of 20 short rollouts; the world's episodes last 25 steps."""
    settings: dict[str, Any] = {
        "schedule": LabelSchedule(budget=160),
        "teacher": KindsTeacherConfig(),
        "segment_length": 8,
        "num_warmup_rollouts": 3,
        "num_candidates": 3,
        "refit_every": 8,
        "model": JointModelConfig(reward=REWARD),
    }
    return RunConfig(
        recipe="test",
        env=EnvConfig(id=env, num_envs=16, kwargs={"max_episode_steps": 25}),
        total_steps=num_updates * 20 * 16,
        num_steps=20,
        num_evaluation_episodes=2,
        kinds=KindsConfig(**(settings | kinds)),
    )


class KindsStage:
    """Acts by a fixed policy, asks, listens and rewards, turn by turn.

    Args:
        config: of the run.
        folder: of the store.
    """

    def __init__(self, config: RunConfig, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.config, self.world = config, make(config.env, config.seed)
        self.store = new_store(folder / "heeler.db", folder / "segments")
        weakref.finalize(self, self.store.close)
        self.store.add_policy_version(PolicyVersion(version=0, step=0))
        for name in ("ann", "bob"):
            self.store.add_annotator(name, "person")
        self.ppo = config.learner(self.world)
        self.policy = self.ppo.init(config.seed, 1).policy
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.loop = self.new_loop()
        self.collector = Collector(self.world, config.num_steps, record_snapshots=False)
        self.collector.reset(config.seed, stagger=True)
        self.noise = torch.Generator().manual_seed(0)
        self.step = self.update = 0

    def new_loop(self) -> KindsLoop:
        """As a learner that begins has it."""

        def note(act: str, **details: Any) -> None:
            self.told.append((act, details))

        return KindsLoop(self.config, self.store, joint_model(self.config, self.ppo), self.world, note)

    def turn(self) -> np.ndarray | None:
        """Act, show, answer, reward."""
        rollout = self.collector.collect(self.policy, self.noise, self.update)
        self.step += self.config.steps_per_update
        self.update += 1
        turn = Turn(
            rollout=rollout, step=self.step, progress=0.0, policy=self.policy, is_own=True, reward=rollout.true_reward
        )
        return self.loop.after_rollout(turn).reward

    def turns(self, num: int) -> None:
        """Several turns."""
        for _ in range(num):
            self.turn()

    def finish(self) -> None:
        """All turns that are left of the run."""
        self.turns(self.config.num_updates - self.update)

    def answer(self, queries: Sequence[Query], annotator: str = "ann", **values: Mapping[str, Any]) -> list[Feedback]:
        """Put a person's answers into the store: to each kind this value, else one that says something."""
        usual: dict[str, Mapping[str, Any]] = {
            "preference": {"choice": "left"},
            "rating": {"score": 7.0, "low": 0.0, "high": 10.0},
            "evaluation": {"marks": [{"time_s": 0.2, "sign": 1}]},
            "critique": {"text": "so", "start": 0, "end": 4, "sign": -1},
            "correction": {"step": 1, "action": [0.5]},
        }
        answers = [
            Feedback(
                key=stable_id("answer", annotator, query.id),
                query_id=query.id,
                kind=query.kind,
                value=values.get(query.kind) or usual.get(query.kind) or {"segment_id": query.segment_ids[0]},
                annotator=annotator,
                time_taken_s=4.0,
            )
            for query in queries
        ]
        self.store.add_feedback(answers)
        return answers
