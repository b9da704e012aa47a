"""From a configuration to a finished run of the loop: `run` and `resume`."""

import atexit
import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heeler.core.errors import ConfigError, RunHalted, WorldError
from heeler.core.rundir import RunDirectory
from heeler.envs import World, make
from heeler.evaluation.returns import Evaluation
from heeler.feedback.patience import Patience, patient
from heeler.feedback.stores import open_store, refuse_taken_store
from heeler.loop.absence import Absence
from heeler.loop.acts import Acts
from heeler.loop.config import RunConfig, check_learns, from_dict, to_dict
from heeler.loop.control_gating import offers
from heeler.loop.costs import OwnCosts, cost_names_of, own_costs
from heeler.loop.evaluations import final_seed, save_evaluation, summarize
from heeler.loop.imitating import Imitation, MovedReward, learner_of
from heeler.loop.intervened import Intervened
from heeler.loop.kinds.action_rewards import action_reward
from heeler.loop.online import OnlineRun
from heeler.loop.overseers.acting import check_overseers
from heeler.loop.parts import Metrics
from heeler.loop.progress import EpisodeReturns
from heeler.loop.reading import evaluate_policy, joint_model, newest_sound_checkpoint, preference_model
from heeler.loop.shaping import RunShaping
from heeler.loop.steering import Steering
from heeler.loop.trackers import check_trackers, open_trackers
from heeler.loop.trusted import check_trusted
from heeler.loop.watchable import watchable
from heeler.loop.watching import watched
from heeler.models.policy import Policy
from heeler.safety.shields.shield import make_shield

# A process that ends has nothing to tidy: to look for garbage among all that torch has loaded would take .3 s more.
atexit.register(gc.freeze)


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


def _check(config: RunConfig) -> None:
    """Refuse what cannot be run, before anything is written: length, world, networks, device, trackers."""
    check_learns(config)
    check_trackers(config)
    world = make(config.env.single(), config.seed)
    try:
        imitation = Imitation(config, world, EpisodeReturns(1)) if config.imitation else None
        if config.reward_of:
            MovedReward(config, world)
        ppo = learner_of(config, world, imitation)
        state = ppo.init(config.seed, num_envs=1)
        check_trusted(config, state.policy)
        if config.interventions:
            config.interventions.check_watched(config.monitors, watchable(config, cost_names_of(config, world)))
        if config.preferences:
            preference_model(config, ppo)
        if config.kinds:
            joint_model(config, ppo)
            if config.kinds.teacher != "people" and "correction" in config.kinds.kinds:
                action_reward(config.env.id)
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
            online.beat()
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
                    if on_metrics is not None:
                        on_metrics(metrics or online.waiting())
                    steering.obey(while_paused=tell)
                offer(online)
        except (WorldError, RunHalted):
            online.save_last_whole_update()
            raise
        finally:
            online.close()
        evaluation = _conclude(online, acts)
        policy = online.learner.policy
        return RunResult(path=directory.path, policy=policy, evaluation=evaluation, refused_checkpoints=refused)


def _conclude(online: OnlineRun, acts: Acts) -> Evaluation:
    """Play fresh episodes of what the run came to, and write down how they went."""
    config, seed = online.config, final_seed(online.config)
    evaluation = evaluate_policy(
        # What is not trusted to act does not act at the end either.
        online.trusted or online.learner.policy,
        config,
        num_episodes=config.num_evaluation_episodes,
        seed=seed,
        learned=online.shield.shield.tensors() if online.shield else None,
        own_costs=online.costs,
        overseen=online.overseers.kept() if online.overseers else None,
    )
    checkpoint = newest_sound_checkpoint(online.directory)
    save_evaluation(online.directory, summarize(evaluation, checkpoint, seed=seed))
    acts.note("run.finish", step=online.step, checkpoint_sha256=checkpoint.sha256)
    return evaluation


def _warn(online: OnlineRun, acts: Acts, on_warning: Callable[[str], None] | None) -> None:
    """Tell, once, that what shapes the reward may mislead the learner, or that answers are left out."""
    for part in (online.shaping, online.corrections, online.kinds):
        words = part.warning() if part else None
        if words is not None:
            acts.note("run.warning", step=online.step, problem=words)
            if on_warning is not None:
                on_warning(words)


def _what(config: RunConfig) -> dict[str, Any]:
    """What the audit log says of a configuration; the rest stands in config.yaml."""
    return {"recipe": config.recipe, "env": config.env.id, "seed": config.seed, "people": config.asks_people}
