"""From a run to a policy that acts without heeler."""

from pathlib import Path
from typing import Any

from gymnasium import Space

from heeler.core.errors import RunError
from heeler.core.releases import Releases
from heeler.core.rundir import RunDirectory
from heeler.envs import EnvConfig, make
from heeler.envs.gymnasium_adapter import GymnasiumWorld, build_env
from heeler.loop.config import from_dict, to_dict
from heeler.loop.reading import newest_sound_checkpoint, policy_of
from heeler.loop.released import release_named, released_checkpoint
from heeler.models.export import export_policy


def export_run(run: Path | str, folder: Path | str, *, release: str | None = None) -> list[Path]:
    """Write the policy of a run's newest sound checkpoint so that it runs with NumPy alone.

    Args:
        run: the run's directory.
        folder: where `policy.safetensors`, `policy.json` and `policy.py` go.
        release: a release in place of the newest checkpoint, by its step, its id or how that begins.

    Returns:
        The files.

    Raises:
        RunError: the run has no sound checkpoint or no such release, or the folder cannot be written.
        CheckpointError: the release was altered.
    """
    directory, folder = RunDirectory.open(Path(run)), Path(folder)
    if folder.resolve() == directory.path.resolve():
        raise RunError(f"{folder} is the run itself; choose another --out")
    config = from_dict(directory.config())
    releases, chosen = Releases(directory), None
    if release is not None:
        chosen = release_named(release, releases.all(), directory.path)
    checkpoint = (
        newest_sound_checkpoint(directory)
        if chosen is None
        else released_checkpoint(releases.checkpoint_folder(chosen), chosen)
    )
    observation_space, action_space = own_spaces(config.env)
    origin: dict[str, Any] = {
        "run": directory.path.resolve().name,
        "recipe": config.recipe,
        "env": to_dict(config)["env"],
        "seed": config.seed,
        "step": checkpoint.step,
        "checkpoint_sha256": checkpoint.sha256,
    }
    if config.shield is not None:
        # It asks the world, or a network of its own: what runs with NumPy alone is the policy's proposals.
        origin["left_out"] = ["shield"]
    if chosen is not None:
        origin["release"] = chosen.id
    return export_policy(
        policy_of(checkpoint, config),
        folder,
        observation_space=observation_space,
        action_space=action_space,
        origin=origin,
    )


def own_spaces(config: EnvConfig) -> tuple[Space[Any], Space[Any]]:
    """Observation and action space of one environment as its maker gave them, before they were made flat."""
    world = make(config.single(), seed=0)
    try:
        if not isinstance(world, GymnasiumWorld):
            return world.single_observation_space, world.single_action_space
    finally:
        world.close()
    env = build_env(config.id, config.kwargs)
    try:
        return env.observation_space, env.action_space
    finally:
        env.close()
