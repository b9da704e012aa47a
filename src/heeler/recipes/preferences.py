"""Any world, learned from comparisons instead of its reward."""

from dataclasses import replace

from heeler.envs import EnvConfig
from heeler.envs.config import Setting
from heeler.feedback.schedule import LabelSchedule
from heeler.loop.config import RunConfig
from heeler.loop.preferences_config import PreferencesConfig
from heeler.recipes.settings import settings_for
from heeler.recipes.teachers import people_of, teacher_named
from heeler.rewards.preference_model import PreferenceModelConfig

# What came of an action says more of it than what was there before: a speed, a distance.
_NOISY = PreferenceModelConfig(
    num_members=5, inputs=("action", "next_observation"), learning_rate=3e-3, weight_decay=1.0
)
# An oracle's answers hold no noise that a fit could learn by rote: it goes on to the end.
_EXACT = replace(_NOISY, weight_decay=1e-4, patience=_NOISY.max_epochs, lapse=0.0)


def preferences(
    *,
    env: str,
    seed: int = 0,
    budget: int = 700,
    total_steps: int = 1_000_000,
    teacher: str = "oracle",
    acquisition: str = "information_gain",
) -> RunConfig:
    """Learn any world from comparisons.

    With an oracle no fit is stopped early: its answers hold no noise that could be learned by rote.

    Args:
        env: the world's id, or `module:Class`.
        seed: everything random in the run follows from it.
        budget: comparisons that are asked for.
        total_steps: environment steps of the whole run.
        teacher: who answers: `people`, or a simulated teacher: `oracle`, `noisy`, `mistaken`, `skipping`, `myopic`,
            `indifferent`, `slow`, `biased` or `backflip`, which is noisy with 10 % mistakes; or a simulated crowd:
            `crowd`, `careless-crowd`, `hostile-crowd`, `colluding-crowd`, `drifting-crowd` or `two-groups`.
        acquisition: how pairs worth asking about are chosen: `random`, `disagreement`, `entropy`, `information_gain` or
            `coverage`.
    """
    settings = settings_for(env)
    return RunConfig(
        recipe="preferences",
        env=EnvConfig(id=env, num_envs=settings.num_envs, kwargs=fixed_length_settings(env)),
        total_steps=total_steps,
        num_steps=settings.num_steps,
        seed=seed,
        algorithm=settings.algorithm,
        preferences=PreferencesConfig(
            schedule=LabelSchedule(budget=budget),
            teacher=teacher_named(teacher),
            people=people_of(teacher),
            segment_length=settings.segment_length,
            acquisition=acquisition,
            exploration=settings.exploration,
            model=_EXACT if teacher == "oracle" else _NOISY,
        ),
    )


def fixed_length_settings(env: str) -> dict[str, Setting]:
    """Settings that keep a world's episodes at one length, so that an early end tells a learner nothing."""
    return {"terminate_when_unhealthy": False} if env in ("Hopper-v5", "Walker2d-v5", "Ant-v5", "Humanoid-v5") else {}
