"""Any small world, learned from good and bad that is said while the agent acts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from heeler.algorithms.coach import COACHConfig
from heeler.algorithms.deep_coach import DeepCOACHConfig
from heeler.algorithms.deep_tamer import DeepTAMERConfig
from heeler.algorithms.delay import DelayConfig
from heeler.algorithms.tamer import TAMERConfig
from heeler.core.errors import ConfigError, did_you_mean
from heeler.envs import EnvConfig
from heeler.envs.config import Setting
from heeler.feedback.trainers import By, TrainerConfig
from heeler.loop.evaluative.config import EvaluativeRunConfig
from heeler.models.bases import BasisConfig

METHODS, TEACHERS = ("tamer", "deep-tamer", "coach", "deep-coach"), ("scripted", "people")
GRID = ("S...", ".#..", "..#.", "...G")
"""The grid of LavaGrid here, the same in every episode: one that is drawn anew has nothing to learn by heart."""


@dataclass(frozen=True, kw_only=True)
class EvaluativeSettings:
    """What differs from world to world."""

    steps_per_second: float = 5.0
    """How fast it is shown: so that somebody who reacts within two seconds can tell what they say it of."""
    basis: BasisConfig = field(default_factory=BasisConfig)
    """What learners see."""
    kwargs: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    """Settings of the world."""
    hold_steps: int = 1
    """Steps for which what was chosen is kept while people watch; what is best is done anew in each."""
    notice: float = 0.5
    """Share of the average difference between actions below which a scripted trainer says nothing."""
    coach_by: By = "policy"
    """What a scripted trainer goes by who teaches a learner of advantages."""
    tamer: TAMERConfig = field(default_factory=TAMERConfig)
    deep_tamer: DeepTAMERConfig = field(default_factory=DeepTAMERConfig)
    coach: COACHConfig = field(default_factory=COACHConfig)
    deep_coach: DeepCOACHConfig = field(default_factory=DeepCOACHConfig)


# Without traces: whoever can look at single steps judges single steps, and what went before has no part in that.
_SETTINGS: Mapping[str, EvaluativeSettings] = {
    "CartPole-v1": EvaluativeSettings(
        steps_per_second=4.0,
        # What a pole that is being balanced does, and not all that it may do before it falls.
        basis=BasisConfig(kind="scaled", low=(-1.2, -1.5, -0.1, -1.5), high=(1.2, 1.5, 0.1, 1.5), constant=False),
        tamer=TAMERConfig(step_size=0.1, num_averaged=20),
        deep_tamer=DeepTAMERConfig(num_rehearsals=2),
        coach=COACHConfig(step_size=1.0, num_averaged=20, trace_decay=0.0),
        deep_coach=DeepCOACHConfig(trace_decay=0.0),
    ),
    "MountainCar-v0": EvaluativeSettings(
        steps_per_second=4.0,
        # Which way the car moves, whatever its speed, and faintly on which side of the place it is from which both ways
        # are as long. Policies that are linear in the bare numbers reach -110 only within a sliver of their weights,
        # and not by what the best action is in most states.
        basis=BasisConfig(kind="scaled", low=(-2.48, -0.02), high=(1.52, 0.02), constant=False),
        # Few states stand out far, where one step decides on another swing; beside them hardly any other would matter.
        notice=0.1,
        tamer=TAMERConfig(step_size=0.1, num_averaged=20),
        deep_tamer=DeepTAMERConfig(num_rehearsals=2),
        # Half a second more than the slowest reaction.
        hold_steps=10,
        coach=COACHConfig(step_size=0.5, num_averaged=20, trace_decay=0.0),
        deep_coach=DeepCOACHConfig(learning_rate=1e-2, trace_decay=0.0),
    ),
    "LavaGrid": EvaluativeSettings(
        steps_per_second=1.0,
        # The cell that the agent is on; all else is always the same.
        basis=BasisConfig(columns=tuple(range(16))),
        kwargs={"layout": GRID, "max_episode_steps": 30},
        tamer=TAMERConfig(step_size=0.5),
        deep_tamer=DeepTAMERConfig(learning_rate=1e-2, num_rehearsals=8),
        coach_by="action",
        coach=COACHConfig(step_size=2.0, trace_decay=0.0),
        deep_coach=DeepCOACHConfig(learning_rate=2e-2, entropy_coefficient=0.05, trace_decay=0.0),
    ),
}


def evaluative(
    *,
    env: str,
    method: Literal["tamer", "deep-tamer", "coach", "deep-coach"] = "tamer",
    teacher: Literal["scripted", "people"] = "scripted",
    minutes: float = 3.0,
    seed: int = 0,
) -> EvaluativeRunConfig:
    """Learn from good and bad, said while the agent acts.

    Args:
        env: the world's id, or `module:Class`. A scripted teacher knows CartPole-v1, MountainCar-v0 and LavaGrid.
        method: `tamer` and `deep-tamer` learn what people say of actions; `coach` and `deep-coach` take it for how much
            better an action is than the policy.
        teacher: `scripted` for a simulated person with a reaction time of .2 to 2 seconds, or `people`, who press
            buttons in the console.
        minutes: for how long the agent is shown.
        seed: everything random in the run follows from it.
    """
    for argument, value, known in (("method", method, METHODS), ("teacher", teacher, TEACHERS)):
        if value not in known:
            near = did_you_mean(value, known)
            raise ConfigError(f"{argument} must be one of {', '.join(known)}, got {value!r}.{near}")
    if not 0 < minutes < math.inf:
        raise ConfigError(f"minutes must be > 0 and finite, got {minutes}")
    settings = _SETTINGS.get(env, EvaluativeSettings())
    name = method.replace("-", "_")
    learner = replace(getattr(settings, name), basis=settings.basis)
    # Somebody who thinks of values goes with a learner of values, and of advantages with one of those.
    by = settings.coach_by if method in ("coach", "deep-coach") else "action"
    trainer = TrainerConfig(by=by, signals_per_minute=60.0, notice=settings.notice)
    num_steps = max(1, round(settings.steps_per_second))
    return EvaluativeRunConfig(
        recipe="evaluative",
        env=EnvConfig(id=env, num_envs=1, kwargs=dict(settings.kwargs)),
        teacher="people" if teacher == "people" else trainer,
        steps_per_second=settings.steps_per_second,
        total_steps=max(num_steps, round(minutes * 60 * settings.steps_per_second)),
        num_steps=num_steps,
        hold_steps=settings.hold_steps,
        delay=DelayConfig(low_s=0.2, high_s=2.0),
        seed=seed,
        **{name: learner},
    )
