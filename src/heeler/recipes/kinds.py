"""Any world, learned from every kind of answer that people give."""

from typing import Literal

from heeler.core.errors import ConfigError, did_you_mean
from heeler.core.nouns import FEEDBACK_KINDS, FeedbackKind
from heeler.envs import EnvConfig
from heeler.envs.config import Setting
from heeler.feedback.kinds_teacher_config import KindsTeacherConfig
from heeler.feedback.schedule import LabelSchedule
from heeler.loop.config import RunConfig
from heeler.loop.kinds.config import KindsConfig
from heeler.recipes.preferences import fixed_length_settings
from heeler.recipes.settings import settings_for
from heeler.rewards.joint.model import JointModelConfig
from heeler.rewards.preference_model import PreferenceModelConfig

_REWARD = PreferenceModelConfig(
    num_members=5,
    inputs=("observation", "action"),
    learning_rate=3e-3,
    weight_decay=1e-2,
    lapse=0.05,
    minibatch_size=16,
    max_epochs=40,
    patience=8,
)


def kinds(
    *,
    env: str,
    seed: int = 0,
    budget_s: int = 1200,
    total_steps: int = 300_000,
    teacher: str = "simulated",
    kinds: str = "preference,rating,evaluation,critique",
    asking: Literal["information", "uniform"] = "information",
) -> RunConfig:
    """Learn any world from comparisons, ratings, marks and critiques together.

    Args:
        env: the world's id, or `module:Class`.
        seed: everything random in the run follows from it.
        budget_s: seconds of people's time that are asked for.
        total_steps: environment steps of the whole run.
        teacher: who answers: `people`, or `simulated`.
        kinds: what may be asked, with commas between: `preference`, `rating`, `evaluation`, `critique`, `correction`
            and `demonstration`.
        asking: how questions are chosen: by `information` a second of people's time, or `uniform`.
    """
    if teacher not in ("people", "simulated"):
        raise ConfigError(f"teacher must be people or simulated, got {teacher!r}")
    settings = settings_for(env)
    return RunConfig(
        recipe="kinds",
        env=EnvConfig(id=env, num_envs=settings.num_envs, kwargs=comparable_settings(env)),
        total_steps=total_steps,
        num_steps=settings.num_steps,
        seed=seed,
        algorithm=settings.algorithm,
        kinds=KindsConfig(
            schedule=LabelSchedule(budget=budget_s, min_batch=10),
            teacher="people" if teacher == "people" else KindsTeacherConfig(),
            kinds=_named(kinds),
            asking=asking,
            # A pole that nobody balances yet falls within twenty steps or so.
            segment_length=10 if env == "CartPole-v1" else settings.segment_length,
            exploration=settings.exploration,
            model=JointModelConfig(reward=_REWARD),
        ),
    )


def _named(kinds: str) -> tuple[FeedbackKind, ...]:
    found: list[FeedbackKind] = []
    for name in (each.strip() for each in kinds.split(",")):
        if name not in FEEDBACK_KINDS:
            near = did_you_mean(name, FEEDBACK_KINDS)
            raise ConfigError(f"kinds must be of {', '.join(FEEDBACK_KINDS)}, with commas between, got {name!r}.{near}")
        found.append(name)
    return tuple(found)


def comparable_settings(env: str) -> dict[str, Setting]:
    """Settings under which clips of one length differ in their true reward, and episodes do not in their length.

    CartPole pays 1 for every step, so that a simulated teacher could tell no clip from another: here it charges 1 for
    falling instead.
    """
    return {"sutton_barto_reward": True} if env == "CartPole-v1" else fixed_length_settings(env)
