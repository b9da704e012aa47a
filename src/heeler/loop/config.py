"""The configuration of one run, and how it is written to and read from a file."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from heeler.algorithms import CONSTRAINED_ALGORITHMS
from heeler.algorithms.constrained import ConstrainedPPO
from heeler.algorithms.cpo import CPOConfig
from heeler.algorithms.fixed_penalty import FixedPenaltyConfig
from heeler.algorithms.focops import FOCOPSConfig
from heeler.algorithms.learner import Learner
from heeler.algorithms.p3o import P3OConfig
from heeler.algorithms.ppo import PPO, PPOConfig
from heeler.algorithms.ppo_lagrangian import PPOLagrangianConfig
from heeler.algorithms.rcpo import RCPOConfig
from heeler.core.errors import ConfigError, did_you_mean
from heeler.envs import EnvConfig, World
from heeler.feedback.control_crowd import ControlCrowdConfig
from heeler.feedback.postgres import check_run_store
from heeler.feedback.stores import TEXTS
from heeler.loop.cost_config import UnsafeAnswersConfig
from heeler.loop.held_out import check_held_out
from heeler.loop.imitation_config import ImitationConfig
from heeler.loop.kinds.config import KindsConfig
from heeler.loop.overseers.settings import OverseersConfig
from heeler.loop.preferences_config import PreferencesConfig
from heeler.loop.settings import validated
from heeler.loop.watchable import watchable
from heeler.oversight.control_gate_config import ControlGateConfig, check_gate
from heeler.oversight.interventions import InterventionsConfig
from heeler.oversight.monitors.config import MonitorsConfig
from heeler.rewards.shaping import ShapingConfig
from heeler.safety.costs import ANSWERS, CostConfig, all_cost_names
from heeler.safety.shields.config import ShieldConfig

DEFAULT_STORE_PATIENCE_S = 60.0
REWARD_MODEL = "reward-model"
"""Recipe of runs that fit a reward model to pairs of texts."""
_MAX_SEED = 2**31
# Far more ends the process inside torch. Not this machine's cores: a run must be readable on a smaller one too.
_MAX_TORCH_THREADS = 1024


@dataclass(frozen=True, kw_only=True)
class LimitsConfig:
    """What may be spent beside the reward, and the learner that keeps to it: exactly one of those here."""

    costs: tuple[CostConfig, ...]
    """Costs with their budgets; those of the world without one are counted and limit nothing."""
    answers: UnsafeAnswersConfig | None = None
    """How the cost whose source is `answers` is learned."""
    ppo_lagrangian: PPOLagrangianConfig | None = None
    """Each cost has a price that rises while it is above its budget."""
    rcpo: RCPOConfig | None = None
    """The same, with the costs taken off the reward."""
    cpo: CPOConfig | None = None
    """One trust-region step an update, within all budgets."""
    focops: FOCOPSConfig | None = None
    """Steps towards the best policy within a KL, the costs at their prices."""
    p3o: P3OConfig | None = None
    """What is above a budget is charged at one high rate."""
    fixed_penalty: FixedPenaltyConfig | None = None
    """The naive way: a fixed weight for each cost, whatever the budgets are."""

    def __post_init__(self) -> None:
        chosen = [name for name in CONSTRAINED_ALGORITHMS if getattr(self, name) is not None]
        if len(chosen) != 1:
            raise ConfigError(
                f"limits needs exactly one learner of {', '.join(CONSTRAINED_ALGORITHMS)}; got "
                f"{' and '.join(chosen) or 'none'}"
            )
        learned = [cost.name for cost in self.costs if cost.source == ANSWERS]
        if len(learned) > 1:
            raise ConfigError(
                "one cost alone can be learned from answers, which do not say which they are of; "
                f"got {', '.join(learned)}"
            )
        if learned and self.answers is None:
            raise ConfigError(f"cost {learned[0]!r} is learned from answers: limits.answers must say how; set it")
        if not learned and self.answers is not None:
            raise ConfigError("limits.answers would be ignored: no cost has the source 'answers'; leave it out")

    @classmethod
    def of(
        cls, learner: str, costs: tuple[CostConfig, ...], answers: UnsafeAnswersConfig | None = None
    ) -> "LimitsConfig":
        """With the learner of that name, in its default settings.

        Raises:
            ConfigError: there is none.
        """
        if learner not in CONSTRAINED_ALGORITHMS:
            known, hint = ", ".join(CONSTRAINED_ALGORITHMS), did_you_mean(learner, CONSTRAINED_ALGORITHMS)
            raise ConfigError(f"no learner {learner!r} keeps budgets; there are {known}.{hint}")
        return cls(costs=costs, answers=answers, **{learner: CONSTRAINED_ALGORITHMS[learner][1]()})

    def learner(self, algorithm: PPOConfig, world: World) -> ConstrainedPPO[Any]:
        """The learner that is set, for a world.

        Raises:
            ConfigError: a budget is for no cost of the world.
        """
        name = next(name for name in CONSTRAINED_ALGORITHMS if getattr(self, name) is not None)
        return CONSTRAINED_ALGORITHMS[name][0](
            algorithm,
            getattr(self, name),
            self.costs,
            all_cost_names(self.costs, world.cost_names),
            world.observation_size,
            world.single_action_space,
        )


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything about one run; a recipe returns it."""

    recipe: str
    """The recipe that made it."""
    env: EnvConfig
    """The world."""
    total_steps: int
    """Environment steps of the whole run, over all environments."""
    num_steps: int = 128
    """Steps of each environment between two updates."""
    seed: int = 0
    """Everything random in the run follows from it."""
    algorithm: PPOConfig = field(default_factory=PPOConfig)
    """The learner."""
    limits: LimitsConfig | None = None
    """What may be spent beside the reward; without it costs of the world are counted and limit nothing."""
    shield: ShieldConfig | None = None
    """What is not done whatever the policy proposes, while it learns and when it is looked at."""
    overseers: OverseersConfig | None = None
    """Who looks at each step before it is carried out; None for nobody."""
    preferences: PreferencesConfig | None = None
    """How the reward is learned from comparisons; without it, and without `kinds`, the learner sees the true reward."""
    kinds: KindsConfig | None = None
    """How the reward is learned from every kind of answer, in place of `preferences`."""
    imitation: ImitationConfig | None = None
    """How the run learns from demonstrations, in place of a reward; without it there are none."""
    reward_of: str = ""
    """The directory of a run that made a reward from demonstrations: that reward is learned from here, as it was at the
    newest checkpoint there, and no longer changes."""
    interventions: InterventionsConfig | None = None
    """What is done about what monitors find; without it only people intervene."""
    monitors: MonitorsConfig | None = None
    """What is watched while it learns, `{}` for all of it; None for nothing. Watching changes nothing that is learned;
    it takes a millisecond or two an update, which only worlds as small as CartPole feel."""
    gate: ControlGateConfig | None = None
    """When candidates are offered for release, and what they must show; without it nothing is released."""
    shaping: ShapingConfig | None = None
    """What is added to the reward that is learned from, so that it is found sooner."""
    checkpoint_every: int = 20
    """Updates between two checkpoints."""
    keep_checkpoints: int = 3
    """Checkpoints that stay on disk."""
    num_evaluation_episodes: int = 20
    """Fresh episodes at the end of the run."""
    torch_threads: int = 1
    """Threads of torch; small networks are fastest on one, and a run on one can be repeated bit for bit."""
    store: str = ""
    """Where questions and answers are kept: empty for `heeler.db` in the run's directory, or a PostgreSQL database of
    the run's own, `postgresql://HOST/DATABASE`; a password goes into PGPASSWORD or ~/.pgpass."""
    store_patience_s: float = DEFAULT_STORE_PATIENCE_S
    """For how long the learner waits for the server of its store when that is away, before it ends; 0 to end at once,
    inf to wait for ever. Only for a store on PostgreSQL."""
    trackers: tuple[Literal["tensorboard", "mlflow"], ...] = ()
    """Where metrics go beside `metrics.jsonl` (extra `tracking`)."""

    def __post_init__(self) -> None:
        for name in (
            "total_steps",
            "num_steps",
            "checkpoint_every",
            "keep_checkpoints",
            "num_evaluation_episodes",
            "torch_threads",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.torch_threads > _MAX_TORCH_THREADS:
            raise ConfigError(
                f"torch_threads must be at most {_MAX_TORCH_THREADS}, got {self.torch_threads}; more threads than this "
                "machine has cores only wait for each other"
            )
        check_seed(self.seed)
        check_store(self.store, self.store_patience_s)
        check_gate(self.gate, self.limits.costs if self.limits else ())
        self._check_sources()
        if self.shaping is not None:
            self.shaping.check_discount(self.algorithm.discount)
        answers = None if self.limits is None else self.limits.answers
        if answers is not None and answers.segment_length > self.num_steps:
            raise ConfigError(
                f"limits.answers.segment_length must be <= num_steps ({self.num_steps}): clips are cut from one "
                f"stretch; got {answers.segment_length}"
            )
        if self.preferences and isinstance(self.preferences.teacher, ControlCrowdConfig):
            check_held_out(self.preferences.teacher.ids, self.seed, self.preferences.held_out_people)
        if self.preferences and self.kinds:
            raise ConfigError(
                "preferences and kinds each learn the reward, and there is one: leave one of them out; comparisons are "
                "among the kinds"
            )
        if self.asking and self.asking.segment_length > self.num_steps:
            raise ConfigError(
                f"segment_length must be <= num_steps ({self.num_steps}): clips are cut from one stretch; "
                f"got {self.asking.segment_length}"
            )
        if self.kinds and answers and answers.kind in self.kinds.kinds:
            raise ConfigError(
                f"limits.answers asks by {answers.kind} what is unsafe, and kinds.kinds by the same what is good: an "
                "answer would be taken for both; leave it out of kinds.kinds, or set limits.answers.kind"
            )
        if self.interventions is not None:
            self.interventions.check_watched(self.monitors, watchable(self))
        if self.asking and self.shield and self.shield.check and self.shield.check.foresight:
            raise ConfigError(
                "shield.check.foresight looks at the world's own reward, which a run that learns its reward must not "
                "see; set it to 0"
            )
        if self.steps_per_update > self.total_steps:
            raise ConfigError(
                f"total_steps must be at least one update's {self.steps_per_update} (num_envs {self.env.num_envs} x "
                f"num_steps {self.num_steps}), got {self.total_steps}"
            )

    def _check_sources(self) -> None:
        """Refuse two rewards, and settings beside a learner that would ignore them."""
        sources = [name for name in ("preferences", "imitation", "reward_of") if getattr(self, name)]
        if len(sources) > 1:
            raise ConfigError(f"one reward alone is learned from; got {' and '.join(sources)}, leave out all but one")
        if self.imitation is None:
            return
        self.imitation.check_algorithm(self.algorithm)
        if not self.imitation.is_reward:
            for name in ("limits", "shaping"):
                if getattr(self, name) is not None:
                    raise ConfigError(
                        f"{name} would be ignored, as {self.imitation.method} looks at no reward; leave it out"
                    )
        expert = self.imitation.expert
        if self.imitation.asks_people and expert and expert.segment_length > self.num_steps:
            raise ConfigError(
                f"imitation.expert.segment_length must be <= num_steps ({self.num_steps}): clips are cut from one "
                f"stretch; got {expert.segment_length}"
            )

    def learner(self, world: World) -> Learner:
        """The learner for a world of this run, where it learns from a reward."""
        if self.limits is not None:
            return self.limits.learner(self.algorithm, world)
        return PPO(self.algorithm, world.observation_size, world.single_action_space)

    @property
    def num_first_answers(self) -> int:
        """Answers that are wanted before the first fit, whatever becomes of the budget; 0 where nobody is asked."""
        return 0 if self.preferences is None else max(1, self.preferences.schedule.target(0, self.total_steps))

    @property
    def asking(self) -> PreferencesConfig | KindsConfig | None:
        """How the reward is learned from answers; None where it is not."""
        return self.preferences or self.kinds

    @property
    def learns_reward(self) -> bool:
        """Whether the learner learns from another reward than the world's."""
        return self.asking is not None or bool(self.reward_of) or bool(self.imitation and self.imitation.is_reward)

    @property
    def asks_people(self) -> bool:
        """Whether people or programs are to answer, through the store."""
        if self.imitation is not None and self.imitation.asks_people:
            return True
        asking = (self.asking, None if self.limits is None else self.limits.answers)
        return any(one is not None and one.teacher == "people" for one in asking)

    @property
    def steps_per_update(self) -> int:
        """Environment steps between two updates."""
        return self.num_steps * self.env.num_envs

    @property
    def num_updates(self) -> int:
        """Updates of the whole run: `total_steps` rounded down to whole ones."""
        return self.total_steps // self.steps_per_update

    @property
    def restart_update(self) -> int | None:
        """Updates before a fresh policy takes over; None where the first stays."""
        share = self.asking.restart_share if self.asking else None
        update = round(share * self.num_updates) if share is not None else 0
        return update if 0 < update < self.num_updates else None

    def progress(self, update: int) -> float:
        """Share of a policy's updates that is over, from 0 when it begins to 1 when the run, or its successor, does."""
        restart = self.restart_update
        if restart is None:
            return update / self.num_updates
        return update / restart if update < restart else (update - restart) / (self.num_updates - restart)


def check_store(store: str, patience_s: float) -> None:
    """Refuse settings of where answers are kept that cannot be meant.

    Raises:
        ConfigError: `store` or `store_patience_s` cannot be, or nothing would come of the latter.
    """
    if store:
        check_run_store(store)
    if not patience_s >= 0:
        raise ConfigError(f"store_patience_s must be >= 0 (inf to wait for ever), got {patience_s}")
    if not store and patience_s != DEFAULT_STORE_PATIENCE_S:
        raise ConfigError(
            f"store_patience_s would be ignored, got {patience_s:g}: this run's store is a file and has no server to "
            "wait for; leave it out, or name a store on PostgreSQL"
        )


def check_seed(seed: int) -> None:
    """Refuse a seed that not every generator takes.

    Raises:
        ConfigError: it is negative, or too large.
    """
    if not 0 <= seed < _MAX_SEED:
        raise ConfigError(f"seed must be from 0 to {_MAX_SEED - 1}, got {seed}")


def check_learns(config: RunConfig) -> None:
    """Refuse a run that is over before there is a reward to learn from.

    Not a matter for `RunConfig` itself: a recipe's configuration may be on its way to another.

    Raises:
        ConfigError: names what is too long, and how many steps would do.
    """
    answers = None if config.limits is None else config.limits.answers
    every = (("preferences", config.preferences), ("kinds", config.kinds), ("limits.answers", answers))
    for place, asking in every:
        if asking is not None:
            delay = 0 if asking.teacher == "people" else asking.teacher.delay_steps
            _check_first_answers(config, place, asking.num_warmup_rollouts, delay)


def _check_first_answers(config: RunConfig, place: str, num_warmup_rollouts: int, delay: int) -> None:
    first = num_warmup_rollouts + math.ceil(delay / config.steps_per_update)
    if first < config.num_updates:
        return
    reasons = {f"{place}.num_warmup_rollouts": num_warmup_rollouts}
    reasons |= {f"{place}.teacher.delay_steps": delay} if delay else {}
    raise ConfigError(
        f"nothing would be learned: by {' and '.join(f'{name} ({value:,})' for name, value in reasons.items())} the "
        f"first answers are in after {first} updates of {config.steps_per_update:,} steps, and the run has "
        f"{config.num_updates}; raise total_steps to at least {(first + 1) * config.steps_per_update:,}, or lower "
        f"{' or '.join(reasons)}"
    )


def to_dict(config: Any) -> dict[str, Any]:
    """The configuration as YAML-ready values; infinities as the strings `inf` and `-inf`."""
    return _plain(dataclasses.asdict(config))


def from_dict(values: Mapping[str, Any]) -> RunConfig:
    """The configuration that `to_dict` wrote.

    Raises:
        ConfigError: a setting is unknown, missing or of the wrong type; named in the message.
    """
    if values.get("recipe") == TEXTS:
        raise ConfigError("this is a folder of texts, in which nothing learns; only its feedback goes in and out")
    if values.get("recipe") == REWARD_MODEL:
        raise ConfigError(
            "this is the run of a reward model, in which nothing acts: heeler run, resume and report are for it"
        )
    if "steps_per_second" in values:
        raise ConfigError(
            "this is a run that learns from good and bad: heeler run, resume and report are for it, and the page Watch"
        )
    if "sft" in values:
        raise ConfigError(
            "this is the run of a language model that learns from data: heeler run, resume, report and serve are for it"
        )
    if "world" in values:
        raise ConfigError(
            "this is the run of a language model: heeler run, resume, report, export and serve are for it"
        )
    return validated(RunConfig, values)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return str(value)
    return value
