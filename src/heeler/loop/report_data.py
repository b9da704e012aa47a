"""What a report tells, gathered from the run's directory: no page, no chart, only facts."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from heeler.algorithms.ppo import PPO
from heeler.core.errors import DataError, HeelerError
from heeler.core.gate_records import GateRecord, GateRecords
from heeler.core.nouns import Query, Segment
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.envs import make
from heeler.feedback.staleness import staleness
from heeler.feedback.store import Store
from heeler.feedback.stores import control_segments, every_answer, has_store, open_store
from heeler.loop import clips
from heeler.loop.config import RunConfig, from_dict
from heeler.loop.evaluations import PolicyEvaluation, evaluate_run, save_evaluation, saved_evaluation
from heeler.loop.groups_told import GroupsTold, groups_told
from heeler.loop.honesty.found import Honesty, saved_honesty
from heeler.loop.kinds.answer_worth import AnswerWorth, worth_of_answers
from heeler.loop.overseers.telling import Objected
from heeler.loop.reading import learned_preferences, policy_of, shield_state
from heeler.loop.report_findings import asking_to_show, findings_to_show
from heeler.loop.report_interventions import Intervention, interventions_to_show
from heeler.loop.report_kinds import KindWorth, worth_of_kinds
from heeler.loop.report_overseers import objections_to_show
from heeler.loop.report_people import PeopleShown, people_to_show
from heeler.loop.report_views import ViewsShown, views_shown
from heeler.models.policy import Policy
from heeler.oversight.finding import Finding
from heeler.rewards.preference_model import is_validation

MAX_SCATTER = 600
_CLIP_SEED = 7


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The questions of a run and their answers."""

    queries: Sequence[Query]
    """In the order asked."""
    choices: Counter[str]
    """How often each answer was given."""
    annotators: Counter[str]
    """Answers of each annotator. People are numbered, as a report goes where nobody can forget them any more."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SegmentReturns:
    """True against learned: sums over whole segments. Shape: K segments."""

    true: np.ndarray
    """[K] sums of the true reward."""
    predicted: np.ndarray
    """[K] sums of the final learned reward."""
    held_out: np.ndarray
    """[K] bool: of trajectories not trained on."""

    @property
    def correlation(self) -> float:
        """Pearson's, over all; NaN where one does not vary."""
        if len(self.true) < 2 or self.true.std() == 0 or self.predicted.std() == 0:
            return math.nan
        return float(np.corrcoef(self.true, self.predicted)[0, 1])


@dataclass(frozen=True, kw_only=True)
class FilmedClip:
    """A clip in `media/`, or why there is none."""

    path: Path | None
    caption: str
    """What it shows, or why it is missing."""


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything that the page shows."""

    name: str
    config: RunConfig
    config_values: dict[str, Any]
    rows: list[dict[str, Any]]
    """Of `metrics.jsonl`."""
    began: datetime
    ended: datetime
    evaluation: PolicyEvaluation | None
    """None where there is no sound checkpoint."""
    refused_checkpoints: list[str]
    """Checkpoints newer than the one that is shown that were torn or altered, and how."""
    first_clip: FilmedClip
    last_clip: FilmedClip
    labels: Labels | None
    """None where nobody is asked."""
    gates: Sequence[GateRecord] = ()
    """What was decided about candidates, the oldest first."""
    stale_reward_model: str | None = None
    """What the newest checkpoint's reward model learned from that was withdrawn since, in words."""
    reliability: list[list[float]] = field(default_factory=list[list[float]])
    """Mean prediction, share that came true, and count, of each bin that has any."""
    segment_returns: SegmentReturns | None = None
    """None where no true reward is known or nothing is learned yet."""
    findings: Sequence[Finding] = ()
    """Of monitors, in the order in which they were found."""
    interventions: Sequence[Intervention] = ()
    """What rules and people did to the run, the oldest first."""
    people: PeopleShown | None = None
    """Who answered, and whether they can be trusted; None where fewer than two did."""
    groups: GroupsTold | None = None
    """Groups of people who want different things; None where there are none."""
    objected: Objected | None = None
    """What overseers objected to; None where nothing was."""

    kinds: Sequence[KindWorth] = ()
    """What the answers of each kind were worth; nothing where not all kinds are learned from."""
    answers: Sequence[AnswerWorth] = ()
    """What each single one of them said, those that said most first."""
    views: Sequence[ViewsShown] = ()
    """Of each kind, what was answered where a model's view was offered; nothing where none was."""
    asking: Sequence[str] = ()
    """Why asking stopped, or began again, and by what people cannot judge, the oldest first."""
    honesty: Honesty | None = None
    """Whether what was learned is what people said; None where nobody has looked."""
    checkpoint_sha256: str = ""
    """Of the newest sound checkpoint; empty where there is none."""

    @property
    def step(self) -> int:
        """Environment steps so far."""
        return int(self.rows[-1]["step"]) if self.rows else 0

    @property
    def is_finished(self) -> bool:
        """Whether all steps have been made."""
        return self.step >= self.config.num_updates * self.config.steps_per_update

    @property
    def elapsed_s(self) -> float:
        """Wall seconds of acting, rewarding and learning."""
        return float(self.rows[-1]["elapsed_s"]) if self.rows else 0.0

    def last(self, name: str) -> float | None:
        """The newest value of a metric, None where there is none."""
        return next((float(row[name]) for row in reversed(self.rows) if name in row), None)


def gather(directory: RunDirectory) -> ReportData:
    """Collect what is known of a run; plays episodes and films clips where that was not done yet.

    Raises:
        RunError: the directory cannot be written.
        StoreError: the store cannot be opened.
    """
    values = directory.config()
    config = from_dict(values)
    rows = directory.metrics()
    checkpoint, refused = directory.newest_checkpoint()
    shared: dict[str, Any] = {
        "name": directory.path.resolve().name,
        "config": config,
        "config_values": values,
        "rows": rows,
        "began": _time_of(directory.path / "config.yaml"),
        "ended": _time_of(directory.metrics_path),
        "evaluation": _evaluation(directory, checkpoint),
        "refused_checkpoints": refused,
        "first_clip": _first_clip(directory, config),
        "last_clip": _last_clip(directory, config, checkpoint),
        "labels": None,
        "findings": findings_to_show(directory.path),
        "interventions": interventions_to_show(directory.path),
        "objected": objections_to_show(directory.path),
        "gates": GateRecords(directory).all(),
        "honesty": saved_honesty(directory),
        "checkpoint_sha256": "" if checkpoint is None else checkpoint.sha256,
    }
    if config.kinds is not None and has_store(directory):
        with open_store(directory) as store:
            shared["stale_reward_model"] = staleness(directory, store).in_words
            shared["people"] = people_to_show(store, directory)
        if checkpoint is not None:
            shared["kinds"] = worth_of_kinds(config, checkpoint, rows[-1])
            shared["answers"] = worth_of_answers(checkpoint)
        shared["views"] = views_shown(config.kinds.kinds, rows[-1]) if rows else ()
        shared["asking"] = asking_to_show(directory.path)
    if config.preferences is None or not has_store(directory):
        return ReportData(**shared)
    with open_store(directory) as store:
        shared["labels"] = labels = _labels(store)
        shared["people"] = people_to_show(store, directory)
        if config.preferences.groups is not None:
            shared["groups"] = groups_told(store, directory.path, config.preferences.groups, rows)
        shared["stale_reward_model"] = staleness(directory, store).in_words
        if checkpoint is not None:
            shared["reliability"] = checkpoint.state["preferences"]["reliability"]
            shared["segment_returns"] = _segment_returns(store, labels.queries, config, checkpoint)
    return ReportData(**shared)


def _time_of(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime).astimezone()


def _evaluation(directory: RunDirectory, checkpoint: Checkpoint | None) -> PolicyEvaluation | None:
    if checkpoint is None:
        return None
    evaluation = saved_evaluation(directory, checkpoint)
    if evaluation is None:
        evaluation = evaluate_run(directory.path)
        save_evaluation(directory, evaluation)
    return evaluation


def _first_clip(directory: RunDirectory, config: RunConfig) -> FilmedClip:
    """The untrained policy: the seed alone makes it, so it can be filmed at any time."""
    path = directory.path / "media" / "first.webp"
    caption = "Before learning"
    if path.exists():
        return FilmedClip(path=path, caption=caption)
    return _film(_untrained_policy(config), config, path, caption)


def _untrained_policy(config: RunConfig) -> Policy:
    world = make(config.env.single(), config.seed)
    shape = world.single_observation_space.shape
    assert shape is not None
    ppo = PPO(config.algorithm, shape[0], world.single_action_space)
    world.close()
    return ppo.fresh_policy(config.seed)


def _last_clip(directory: RunDirectory, config: RunConfig, checkpoint: Checkpoint | None) -> FilmedClip:
    if checkpoint is None:
        why = "No checkpoint is sound" if directory.checkpoint_steps() else "There is no checkpoint yet"
        return FilmedClip(path=None, caption=f"{why}, and so there is no clip of a trained policy.")
    path = directory.path / "media" / "last.webp"
    caption = f"After {checkpoint.step:,} steps"
    return _film(policy_of(checkpoint, config), config, path, caption, shield_state(checkpoint))


def _film(
    policy: Policy, config: RunConfig, path: Path, caption: str, learned: Mapping[str, Tensor] | None = None
) -> FilmedClip:
    try:
        clip = clips.record(policy, config, seed=_CLIP_SEED, learned=learned)
    except HeelerError as error:
        return FilmedClip(path=None, caption=f"No clip: {error}")
    return FilmedClip(path=clips.save(clip, path), caption=caption)


def _labels(store: Store) -> Labels:
    preferences = [answer for _, answer in every_answer(store) if answer.kind == "preference"]
    answered = store.queries(list(dict.fromkeys(answer.query_id for answer in preferences)))
    queries = sorted([*answered, *store.open_queries(10_000_000)], key=lambda query: query.asked_step)
    return Labels(
        queries=[query for query in queries if query.kind == "preference"],
        choices=Counter(str(answer.value["choice"]) for answer in preferences),
        annotators=named_annotators(store, Counter(answer.annotator for answer in preferences)),
    )


def named_annotators(store: Store, answers: Counter[str]) -> Counter[str]:
    """Answers of each simulated teacher and program by its name, and of people as `person N`."""
    known = store.bulk.annotators()
    people = [name for name, _ in answers.most_common() if known[name].kind == "person"]
    numbered = {name: f"person {number}" for number, name in enumerate(people, start=1)}
    return Counter({numbered.get(name, name): number for name, number in answers.items()})


def _segment_returns(
    store: Store, queries: Sequence[Query], config: RunConfig, checkpoint: Checkpoint
) -> SegmentReturns | None:
    """Segments that were asked about, evenly over the run, judged by the newest learned reward."""
    if config.preferences is None or checkpoint.state["preferences"]["num_fits"] == 0:
        return None
    ids = list(dict.fromkeys(i for query in queries for i in query.segment_ids))
    shown = [ids[i] for i in np.unique(np.linspace(0, len(ids) - 1, min(len(ids), MAX_SCATTER)).astype(int))]
    try:
        segments = list(control_segments(store, shown).values())
    except DataError:
        # A run whose clips were thrown away has lost this chart, not its report.
        return None
    if not segments or any(segment.true_reward is None for segment in segments):
        return None
    share = config.preferences.model.validation_share
    return SegmentReturns(
        true=np.array([float(s.true_reward.sum()) for s in segments if s.true_reward is not None]),
        predicted=predicted_returns(config, checkpoint, segments),
        held_out=np.array([is_validation(segment.trajectory_id, share) for segment in segments]),
    )


def predicted_returns(config: RunConfig, checkpoint: Checkpoint, segments: Sequence[Segment]) -> np.ndarray:
    """[K] sums of the learned reward over K segments of one length, as the newest fit has it."""
    policy = policy_of(checkpoint, config)
    model, state = learned_preferences(checkpoint, config, policy)
    raw_MK = model.segment_returns(state, segments)
    member_MK = (raw_MK - len(segments[0]) * state.offset_M[:, None]) * state.scale_M[:, None]
    return member_MK.mean(0).numpy()
