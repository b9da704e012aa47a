"""`heeler honesty`: four checks of whether what a run learned is what people said."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from heeler.core.errors import ConfigError, DataError
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.envs import make
from heeler.evaluation.honesty.following import Following, followed
from heeler.evaluation.honesty.phases import NEWER
from heeler.evaluation.honesty.shortcuts import Shortcut
from heeler.evaluation.honesty.unlike import Seen
from heeler.loop.config import RunConfig, check_seed, from_dict
from heeler.loop.evaluations import final_seed
from heeler.loop.honesty.acting import AS_TRAINED, UNLIKE, Stage
from heeler.loop.honesty.answers import Answers, read_answers
from heeler.loop.honesty.courses import course_of_run, phases_of
from heeler.loop.honesty.found import Honesty, SituationFound
from heeler.loop.honesty.learned import LearnedReward, learned_reward
from heeler.loop.honesty.trivial import Judged, held_out_margins, judged_clips, shortcuts_of, staying_alive, windows
from heeler.loop.honesty.unlike import look_in, seen_clips, seen_episodes
from heeler.loop.reading import newest_sound_checkpoint, policy_of, shield_state

NO_HINTS = (
    "hints: no question of this run records who suggested an answer or what a helper said of it, so that whether "
    "people follow a hint cannot be told; the side and the newer policy are looked at"
)
VIEWS_CHOSEN = (
    "hints: who is asked what is hard to judge may unfold what the reward thinks of it (kinds.shows_view). The report "
    "says how many did, and how often their answers say the same; as they chose to look, whether they follow it cannot "
    "be told. Beside that, the side and the newer policy are looked at"
)
FEW_ANSWERS = 20


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is played."""

    num_envs: int = 16
    """Episodes of each policy and situation, at once."""
    num_steps: int = 300
    """Steps of each."""
    seed: int | None = None
    """Of the episodes; None for those by which the run was judged at its end."""

    def __post_init__(self) -> None:
        if self.num_envs < 4:
            raise ConfigError(f"episodes must be >= 4, as fewer tell nothing of chance; got {self.num_envs}")
        if self.num_steps < 20:
            raise ConfigError(f"steps must be >= 20, got {self.num_steps}")
        if self.seed is not None:
            check_seed(self.seed)


def examine(path: Path, effort: Effort | None = None, own: Sequence[str] = ()) -> Honesty:
    """Look at a run in a world; nothing in it is changed.

    Args:
        path: of the run, finished or going.
        effort: how much is played.
        own: shortcuts of one's own, functions as `heeler.loop.honesty.trivial.Trivial`.

    Raises:
        RunError: there is no run, no sound checkpoint, or no reward that was learned.
        ConfigError: a shortcut cannot be computed.
        DataError: a clip is missing or altered.
    """
    directory = RunDirectory.open(path)
    config, effort = from_dict(directory.config()), effort or Effort()
    checkpoint = newest_sound_checkpoint(directory)
    reward = learned_reward(directory, config, checkpoint)
    seed = final_seed(config) if effort.seed is None else effort.seed
    answers = read_answers(directory, config, checkpoint) if config.asking is not None else None
    knows_true = config.asking is None or config.asking.teacher != "people"
    stage = Stage(
        config=config,
        shield=shield_state(checkpoint),
        num_envs=effort.num_envs,
        num_steps=effort.num_steps,
        seed=seed,
    )
    policy = policy_of(checkpoint, config)
    rollout = stage.act(policy)
    paid_TN = reward.of_steps(rollout, policy).mean(0)
    judged = windows(rollout, paid_TN, config.env.id) if answers is None else judged_clips(reward, answers)
    margin_Q = np.zeros(0) if answers is None else held_out_margins(answers, judged.reward_K)
    shortcuts = _shortcuts(judged, config, own, answers, margin_Q, seed)
    alive = staying_alive(rollout, paid_TN, seed=seed)
    course, points = course_of_run(directory, config, checkpoint, reward, stage, knows_true=knows_true)
    situations, unsaid = _situations(config, checkpoint, reward, answers, stage, knows_true=knows_true)
    return Honesty(
        step=checkpoint.step,
        checkpoint_sha256=checkpoint.sha256,
        seed=seed,
        held_out_by="" if answers is None else answers.held_out.by,
        num_held_out=len(margin_Q),
        course=course,
        points=points,
        phases=None if answers is None or not len(margin_Q) else phases_of(answers, margin_Q, seed=seed),
        shortcuts=tuple(sorted((*shortcuts, *([alive] if alive else [])), key=lambda one: -one.explained)),
        followed=() if answers is None else _followed(answers, margin_Q, seed),
        situations=situations,
        missing=(*_missing(config, answers, len(points), has_ends=alive is not None), *unsaid),
    )


def _shortcuts(
    judged: Judged, config: RunConfig, own: Sequence[str], answers: Answers | None, margin_Q: np.ndarray, seed: int
) -> tuple[Shortcut, ...]:
    return shortcuts_of(judged, config.env, own, answers, margin_Q, seed=seed)


def _followed(answers: Answers, margin_Q: np.ndarray, seed: int) -> tuple[Following, ...]:
    """Check 3: the side on which a clip stands, and whose policy is newer."""
    held = answers.held_out
    decided = held.choice_Q != 0.5
    version = np.array([clip.policy_version for clip in answers.clips], np.int64)
    newer_Q = np.sign(version[held.left_Q] - version[held.right_Q]) if len(margin_Q) else np.zeros(0)
    mixed = decided & (newer_Q != 0)
    return (
        followed("the left side", margin_Q[decided], held.choice_Q[decided], held.as_named_Q[decided], seed=seed),
        followed(NEWER, margin_Q[mixed], held.choice_Q[mixed], newer_Q[mixed] > 0, seed=seed),
    )


def _situations(
    config: RunConfig,
    checkpoint: Checkpoint,
    reward: LearnedReward,
    answers: Answers | None,
    stage: Stage,
    *,
    knows_true: bool,
) -> tuple[tuple[SituationFound, ...], tuple[str, ...]]:
    """Check 4, and what cannot be said of it."""
    try:
        seen = _seen(config, reward, answers, stage.seed)
    except DataError as error:
        return (), (f"situations: {error}",)
    policy = policy_of(checkpoint, config)
    # Other episodes than those of the other checks: what is usual must not be what was just looked at.
    stage = replace(stage, seed=stage.seed + 1)
    usual = stage.act(policy)
    spread_O = usual.observation.reshape(-1, policy.observation_size).std(0)
    found: list[SituationFound] = []
    for situation in (AS_TRAINED, *UNLIKE):
        if not stage.offers(situation):
            continue
        acted = usual if situation is AS_TRAINED else stage.act(policy, situation, spread_O)
        found.append(look_in(situation, acted, policy, reward, seen, knows_true=knows_true, seed=stage.seed))
    offered = all(stage.offers(each) for each in UNLIKE)
    return tuple(found), () if offered else ("situations: this world's gravity cannot be changed here",)


def _seen(config: RunConfig, reward: LearnedReward, answers: Answers | None, seed: int) -> Seen:
    """What people saw: the clips that they judged, or the episodes that they showed."""
    if answers is not None:
        return seen_clips(reward, answers.clips, seed=seed)
    its = config
    if config.reward_of:
        its = from_dict(RunDirectory.open(Path(config.reward_of)).config())
    assert its.imitation is not None
    world = make(its.env.single(), its.seed)
    try:
        shown = its.imitation.read(world)
    finally:
        world.close()
    if shown is None:
        raise DataError("there are no demonstrations to compare with")
    return seen_episodes(reward, shown, seed=seed)


def _missing(config: RunConfig, answers: Answers | None, num_points: int, *, has_ends: bool) -> tuple[str, ...]:
    found: list[str] = []
    if num_points < 5:
        found.append(
            f"over-optimisation: {num_points - 1} policies of this run are still on disk, and a curve needs 4; begin "
            "runs with a larger keep_checkpoints"
        )
    if not has_ends:
        found.append("shortcuts: no episode was terminated, so that staying alive cannot be told apart")
    if config.overseers is not None:
        found.append("the policies acted without the run's overseers")
    if answers is None:
        return (*found, "held-out answers: this reward was made of demonstrations, and nobody was asked about it")
    number = len(answers.held_out.choice_Q)
    if number < FEW_ANSWERS:
        found.append(f"held-out answers: there are {number}, and fewer than {FEW_ANSWERS} say nothing")
    if config.preferences is not None and not config.preferences.held_out_people:
        found.append(
            "people held out: there are none, so that answers of the same people about other trajectories are used; "
            "set preferences.held_out_people for answers of others"
        )
    if answers.num_opened:
        found.append(
            f"held-out answers: {answers.num_opened} that were given after somebody had opened what the reward thinks "
            "are left out, as they may repeat it"
        )
    shows_view = config.kinds is not None and config.kinds.shows_view
    return (*found, VIEWS_CHOSEN if shows_view else NO_HINTS)
